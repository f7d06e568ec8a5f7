"""Dead letters: a record that could not be taken, with the reason, and what of both a log may hold.

A record may be small in its compressed batch and huge unpacked, so a letter holds its beginning alone where it is much
longer than any record that is taken. A sender's key and the names of fields that nobody knows are the sender's own text, perhaps a
patient's name in the wrong place: the letter holds them, a log never does.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from ecgstream.messages import ID_PATTERN, LONGEST_ID, Chunk, DeadLetter

# Together no longer than `codec.MAX_RECORD_BYTES`, so that a letter can be decoded as any record.
MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_HEADERS_BYTES, MAX_REASON = 1_000, 860_000, 20_000, 2_000
OF_A_HEADER = 16  # bytes beside its name and content, at most
NO_ID = "(no id)"
VALUE, UNREADABLE = "value", "record"
BESIDE_FIELDS = frozenset({"key", VALUE, "partition", "content-type", UNREADABLE})  # what else is at fault

_ID = re.compile(ID_PATTERN)
_ROOT = re.compile(r"[^.\[]*")


class Taken(Protocol):
    """A record of aiokafka or a message of Faust: what of it goes into a letter. Headers: pairs, a mapping or None."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Any: ...


def dead_letter(record: Taken, reason: str, *, parked: bool = False) -> DeadLetter:
    """A record that could not be taken, with the reason and its place; cut, and its reason says so, where it is too long."""
    headers, kept = _pairs(record.headers), _fitting(_pairs(record.headers))
    cuts = [
        f"{name} cut to its first {bound} of {len(content)} bytes"
        for name, content, bound in (
            ("key", record.key, MAX_KEY_BYTES),
            ("value", record.value, MAX_VALUE_BYTES),
        )
        if content is not None and len(content) > bound
    ]
    if len(kept) < len(headers):
        cuts.append(f"{len(kept)} of {len(headers)} headers kept")
    note = f" ({'; '.join(cuts)})" if cuts else ""
    return DeadLetter(
        reason=reason[: MAX_REASON - len(note)] + note,
        parked=parked,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=None if record.key is None else record.key[:MAX_KEY_BYTES],
        value=None if record.value is None else record.value[:MAX_VALUE_BYTES],
        headers=kept,
    )


def place(record: Taken | DeadLetter) -> str:
    """Where a record, or that of a letter, stands in the log."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


def loggable_id(key: bytes | str | None) -> str | None:
    """A record's key for a log: the id, or that it is none."""
    if key is None:
        return None
    text = key.decode("ascii", "replace") if isinstance(key, bytes) else key
    return text if len(text) <= LONGEST_ID and _ID.fullmatch(text) else NO_ID


def known_fields(kind: type = Chunk) -> frozenset[str]:
    """What `field_at_fault` may name of a `kind`, one by one."""
    return BESIDE_FIELDS | {field.encode_name for field in msgspec.structs.fields(kind)}


def field_at_fault(reason: str, kind: type = Chunk) -> str:
    """The field of a `kind` that a reason begins with, for a log; ``value`` where the record has no such field."""
    names = [_ROOT.match(name)[0] for name in reason.partition(":")[0].split(", ")]  # type: ignore[index]
    return ", ".join(names) if known_fields(kind).issuperset(names) else VALUE


def _pairs(headers: Any) -> list[tuple[str, bytes]]:
    pairs: Iterable[tuple[str, bytes | None]] = (
        headers.items() if isinstance(headers, Mapping) else headers or ()
    )
    return [(name, content or b"") for name, content in pairs]


def _fitting(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """As many of the first headers as a letter has room for."""
    kept, room = [], MAX_HEADERS_BYTES
    for name, content in headers:
        room -= OF_A_HEADER + len(name.encode()) + len(content)
        if room < 0:
            break
        kept.append((name, content))
    return kept
