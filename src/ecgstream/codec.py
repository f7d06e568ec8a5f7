"""How records travel: as JSON (for whoever starts with a console producer) or MessagePack (for volume).

The `content-type` header tells them apart; without one the first byte does: JSON text of a record starts with ``{`` and
MessagePack's map never does.
"""

from typing import Any, TypeVar

import msgspec

from ecgstream.messages import Ack, Snooze
from ecgstream.refusals import TOO_DEEP, explain

JSON = "application/json"
MSGPACK = "application/msgpack"
MAX_RECORD_BYTES = (
    900_000  # under Kafka's default message.max.bytes; the longest JSON chunk needs about 420 kB
)


class InvalidRecord(ValueError):
    """The sender's fault: a record that can't be decoded or can't be. Its text names the field and the value."""


T = TypeVar("T")
_json_encoder = msgspec.json.Encoder()
_msgpack_encoder = msgspec.msgpack.Encoder()
_decoders: dict[tuple[type, str], Any] = {}


def encode(record: Any, content_type: str = MSGPACK) -> bytes:
    """Encode a record as `content_type`: ``application/json`` or ``application/msgpack``."""
    if content_type == JSON:
        return _json_encoder.encode(record)
    if content_type == MSGPACK:
        return _msgpack_encoder.encode(record)
    raise ValueError(f"content_type: expected {JSON} or {MSGPACK}, got {content_type!r}")


def decode(kind: type[T], value: bytes | None, content_type: str | None = None) -> T:
    """Decode and validate one record; raises `InvalidRecord`, naming what was wrong and where."""
    if not value:
        raise InvalidRecord("value: empty record")
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"value: {len(value)} bytes, at most {MAX_RECORD_BYTES} are allowed")
    if content_type is None:
        content_type = JSON if value.lstrip()[:1] == b"{" else MSGPACK
    if content_type not in (JSON, MSGPACK):
        raise InvalidRecord(f"content-type: expected {JSON} or {MSGPACK}, got {content_type!r}")
    decoder = _decoders.get((kind, content_type))
    if decoder is None:
        library = msgspec.json if content_type == JSON else msgspec.msgpack
        decoder = _decoders[(kind, content_type)] = library.Decoder(kind)
    try:
        record: T = decoder.decode(value)
    except RecursionError as error:
        raise InvalidRecord(f"{TOO_DEEP} (read as {content_type})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        library = msgspec.json if content_type == JSON else msgspec.msgpack
        raise InvalidRecord(f"{explain(kind, value, error, library)} (read as {content_type})") from error
    return record


def decode_answer(value: bytes | None, content_type: str | None = None) -> Ack | Snooze:
    """Decode a record of ``ecg.acks``: one with an `alert_id` is an `Ack`, one with a `kind` a `Snooze`."""
    try:
        return decode(Ack, value, content_type)
    except InvalidRecord as error:
        try:
            return decode(Snooze, value, content_type)
        except InvalidRecord as other:
            is_snooze = value is not None and b"until_us" in value
            raise (other if is_snooze else error) from None
