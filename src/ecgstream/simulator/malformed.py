"""Records that are none: what a device's chunk becomes where it is spoilt on its way."""

from collections.abc import Callable

import msgspec

from ecgstream.messages import Chunk


def _but(chunk: Chunk, **wrong: object) -> bytes:
    """The chunk's record with fields that no `Chunk` could have."""
    return msgspec.msgpack.encode(msgspec.structs.asdict(chunk) | wrong)


# By turns.
MALFORMED: tuple[Callable[[bytes, Chunk], bytes], ...] = (
    lambda value, _: value[: len(value) // 2],
    lambda value, _: b"",
    lambda value, _: b"\xc1" + value,
    lambda value, chunk: _but(chunk, first_sample=-5),
    lambda value, chunk: _but(chunk, fs_hz=9.0),
    lambda value, chunk: value.replace(b"samples", b"sampels"),
    lambda value, chunk: _but(chunk, device_id="somebody-else"),
    lambda value, _: b'{"device_id": ',
)
