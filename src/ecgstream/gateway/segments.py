"""The files of an outbox on disk: entries one after another, each with a checksum; a file is named by its first one's number.

A file ends with a whole entry: one that could not be written wholly is cut off again. Behind an entry that can't be read
(a crash of the machine, a bad byte) nothing in the same file is trusted.
"""

import logging
import os
import struct
import zlib
from pathlib import Path
from typing import IO, NamedTuple

logger = logging.getLogger(__name__)

ENTRY = struct.Struct("<IIH")  # checksum of the rest, length of value, length of key
MAX_ENTRY_BYTES = 1024 * 1024
NAME = "[0-9]" * 20 + ".segment"


class Entry(NamedTuple):
    """One record that waits; `number` counts all that ever entered this outbox."""

    number: int
    key: bytes
    value: bytes


class Segment:
    """One file: `count` entries from number `first` on, `size` bytes."""

    def __init__(self, path: Path, count: int = 0, size: int = 0) -> None:
        self.path, self.first, self.count, self.size = path, int(path.stem), count, size

    @property
    def end(self) -> int:
        """Number after its last entry."""
        return self.first + self.count


class Writer:
    """Appends to a segment. Raises OSError where the file can't be made."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._file = segment.path.open("ab", buffering=0)

    def append(self, entry: bytes) -> None:
        """Write one packed entry, wholly or, with an OSError, not at all (the disk is full)."""
        try:
            rest = memoryview(entry)
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            self._file.truncate(self.segment.size)
            raise
        self.segment.count += 1
        self.segment.size += len(entry)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Reader:
    """Reads a segment from its first entry on."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._file, self._number = segment.path.open("rb"), segment.first

    def peek(self, number: int, max_bytes: int) -> list[Entry]:
        """The entries from `number` on (never less than last time), at most so many bytes but one at least.

        None at all where the entry with that number can't be read.
        """
        while self._number < number:
            if _read(self._file) is None:
                return []
            self._number += 1
        position = self._file.tell()
        taken: list[Entry] = []
        size = 0
        while number + len(taken) < self.segment.end and (found := _read(self._file)) is not None:
            size += len(found[0]) + len(found[1])
            if taken and size > max_bytes:
                break
            taken.append(Entry(number + len(taken), *found))
        self._file.seek(position)
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def pack(key: bytes, value: bytes) -> bytes:
    """An entry as it stands in a file; raises ValueError where it's too long for one."""
    if len(key) + len(value) + ENTRY.size > MAX_ENTRY_BYTES:
        raise ValueError(f"value: {len(value)} bytes, at most {MAX_ENTRY_BYTES} fit an outbox")
    rest = ENTRY.pack(0, len(value), len(key))[4:] + key + value
    return struct.pack("<I", zlib.crc32(rest)) + rest


def recover(path: Path) -> tuple[Segment, int]:
    """A segment up to the first entry that can't be read, where its file is cut off; and how many entries that costs.

    What a crash left half-written at the end costs none; nor can be counted what stands behind a length that is damaged.
    """
    count = size = 0
    with path.open("r+b") as file:
        while _read(file) is not None:
            count, size = count + 1, file.tell()
        n_behind = _count_to_last_whole(file)
        if (n_cut := file.seek(0, os.SEEK_END) - size) > 0:
            logger.warning("%s: its last %d bytes can't be read, cut off", path, n_cut)
            file.truncate(size)
    return Segment(path, count, size), n_behind


def _read(file: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Key and value of the entry at the file's position; None, position unchanged, where none can be read."""
    position = file.tell()
    head = file.read(ENTRY.size)
    if len(head) == ENTRY.size:
        checksum, n_value, n_key = ENTRY.unpack(head)
        body = file.read(n_key + n_value) if n_value <= MAX_ENTRY_BYTES else b""
        if len(body) == n_key + n_value and zlib.crc32(head[4:] + body) == checksum:
            return body[:n_key], body[n_key:]
    file.seek(position)
    return None


def _count_to_last_whole(file: IO[bytes]) -> int:
    """How many entries stand from the file's position on, by their lengths alone, up to the last that can be read."""
    n = n_to_whole = 0
    while True:
        n += 1
        if _read(file) is not None:
            n_to_whole = n
            continue
        head = file.read(ENTRY.size)
        if len(head) < ENTRY.size:
            return n_to_whole
        _, n_value, n_key = ENTRY.unpack(head)
        file.seek(n_value + n_key, os.SEEK_CUR)
