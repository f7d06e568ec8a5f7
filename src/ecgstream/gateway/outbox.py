"""What waits to be delivered: a bounded first-in-first-out queue, in memory or on disk.

On disk, entries are appended to segment files before anything is sent, and the number of the last delivered one is
noted after it was; so a gateway that dies goes on where it stood. It may repeat the entries of one round
of sending, bytes and sample indices the same, which the monitor counts and drops. At the bound the oldest entries go
(what is newest matters most to whoever is on call), counted in `dropped`: a gap that is told, not hidden.
"""

import os
import struct
import zlib
from collections import deque
from pathlib import Path
from typing import IO, NamedTuple, Protocol

ENTRY = struct.Struct("<IIH")  # checksum of the rest, length of value, length of key
SEGMENT_BYTES = 8 * 1024 * 1024
MAX_ENTRY_BYTES = 1024 * 1024


class OutboxError(RuntimeError):
    """The buffer's folder can't be used; the text says why."""


class Entry(NamedTuple):
    """One record that waits; `number` counts all that ever entered this outbox."""

    number: int
    key: bytes
    value: bytes


class Outbox(Protocol):
    """A queue of records."""

    dropped: int

    @property
    def waiting(self) -> int:
        """How many entries wait."""

    @property
    def waiting_bytes(self) -> int:
        """About how many bytes they hold."""

    def append(self, key: bytes, value: bytes) -> None:
        """Add one entry at the end."""

    def peek(self, max_bytes: int) -> list[Entry]:
        """The oldest entries, at most so many bytes (but one at least, if any waits); they stay."""

    def done(self, number: int) -> None:
        """Remove the entries up to and with that number: they are delivered."""

    def close(self) -> None:
        """Let go of files."""


class MemoryOutbox:
    """A queue in memory: gone with the process."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.dropped, self._bytes, self._next = max_bytes, 0, 0, 0
        self._entries: deque[Entry] = deque()

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return len(self._entries)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes they hold."""
        return self._bytes

    def append(self, key: bytes, value: bytes) -> None:
        """Add one entry; the oldest go where the bound is reached."""
        self._entries.append(Entry(self._next, key, value))
        self._next += 1
        self._bytes += len(key) + len(value)
        while self._bytes > self.max_bytes and len(self._entries) > 1:
            self._remove()
            self.dropped += 1

    def peek(self, max_bytes: int) -> list[Entry]:
        """The oldest entries; they stay."""
        taken: list[Entry] = []
        size = 0
        for entry in self._entries:
            size += len(entry.key) + len(entry.value)
            if taken and size > max_bytes:
                break
            taken.append(entry)
        return taken

    def done(self, number: int) -> None:
        """Remove what is delivered."""
        while self._entries and self._entries[0].number <= number:
            self._remove()

    def close(self) -> None:
        """Nothing to let go of."""

    def _remove(self) -> None:
        entry = self._entries.popleft()
        self._bytes -= len(entry.key) + len(entry.value)


class DiskOutbox:
    """A queue in a folder, of one process at a time. Raises `OutboxError` when the folder can't be used."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes, self.dropped = folder, max_bytes, 0
        self._segment_bytes = max(64 * 1024, min(SEGMENT_BYTES, max_bytes // 8))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("ab")
            self._cursor = os.open(folder / "delivered", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OutboxError(f"buffer: {folder}: {error.strerror}") from error
        _lock(self._lock, folder)
        saved = os.pread(self._cursor, 8, 0)
        self._delivered = struct.unpack("<q", saved)[0] if len(saved) == 8 else -1
        self._segments: deque[tuple[int, int, int]] = deque()  # number of first entry, entries, bytes
        for path in sorted(folder.glob("*.segment")):
            self._segments.append(self._recover(path))
        last = self._segments[-1] if self._segments else (0, 0, 0)
        self._next = max(last[0] + last[1], self._delivered + 1)
        self._read: IO[bytes] | None = None
        self._read_number = self._delivered + 1
        self._end: IO[bytes] | None = None
        self._roll()
        self._trim()

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return self._next - self._oldest()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes the segments that hold them take."""
        return sum(size for _, _, size in self._segments)

    def append(self, key: bytes, value: bytes) -> None:
        """Write one entry to the last segment; the oldest segment goes where the bound is reached."""
        rest = ENTRY.pack(0, len(value), len(key))[4:] + key + value
        if len(rest) > MAX_ENTRY_BYTES:
            raise ValueError(f"value: {len(value)} bytes, at most {MAX_ENTRY_BYTES} fit an outbox")
        if self._segments[-1][2] >= self._segment_bytes:
            self._roll()
        assert self._end is not None
        self._end.write(struct.pack("<I", zlib.crc32(rest)) + rest)
        first, count, size = self._segments[-1]
        self._segments[-1] = (first, count + 1, size + 4 + len(rest))
        self._next += 1
        while self.waiting_bytes > self.max_bytes and len(self._segments) > 1:
            first, count, _ = self._segments[0]
            self.dropped += max(0, first + count - self._oldest())
            self._remove_segment()

    def peek(self, max_bytes: int) -> list[Entry]:
        """The oldest entries, read from their segments; they stay."""
        taken: list[Entry] = []
        size = 0
        self._seek(self._oldest())
        position = None if self._read is None else self._read.tell()
        number = self._read_number
        while number < self._next and self._read is not None:
            entry = _read_entry(self._read)
            if entry is None:  # the end of this segment
                if taken:
                    break  # the rest next time, so that `done` never has to look for its place
                self._seek(number, force=True)
                position = None if self._read is None else self._read.tell()
                continue
            size += len(entry[0]) + len(entry[1])
            if taken and size > max_bytes:
                break
            taken.append(Entry(number, *entry))
            number += 1
        if self._read is not None and position is not None:
            self._read.seek(position)
        return taken

    def done(self, number: int) -> None:
        """Note what is delivered, and remove segments that are so wholly."""
        self._delivered = max(self._delivered, number)
        os.pwrite(self._cursor, struct.pack("<q", self._delivered), 0)
        self._seek(self._delivered + 1)
        self._trim()

    def close(self) -> None:
        """Let go of the files; what waits stays on disk."""
        for file in (self._read, self._end, self._lock):
            if file is not None:
                file.close()
        os.close(self._cursor)

    def _oldest(self) -> int:
        return max(self._delivered + 1, self._segments[0][0])

    def _path(self, first: int) -> Path:
        return self.folder / f"{first:020d}.segment"

    def _roll(self) -> None:
        """Begin a new segment."""
        if self._end is not None:
            self._end.close()
        if self._segments and self._segments[-1][1] == 0:
            self._remove_segment(last=True)
        self._segments.append((self._next, 0, 0))
        self._end = self._path(self._next).open("ab", buffering=0)

    def _trim(self) -> None:
        while len(self._segments) > 1 and self._segments[0][0] + self._segments[0][1] <= self._delivered + 1:
            self._remove_segment()

    def _remove_segment(self, last: bool = False) -> None:
        first, _, _ = self._segments.pop() if last else self._segments.popleft()
        self._path(first).unlink(missing_ok=True)

    def _seek(self, number: int, force: bool = False) -> None:
        """Put the reader at that entry: a step forward in its segment, or into the segment that holds it."""
        if (
            self._read is None
            or force
            or number < self._read_number
            or self._read_first() != self._holder(number)
        ):
            if self._read is not None:
                self._read.close()
            first = self._holder(number)
            self._read = self._path(first).open("rb")
            self._read_number = first
        while self._read_number < number:
            if _read_entry(self._read) is None:
                break
            self._read_number += 1

    def _read_first(self) -> int:
        assert self._read is not None
        return int(Path(self._read.name).stem)

    def _holder(self, number: int) -> int:
        """The segment that holds an entry, by its first number."""
        return max((first for first, _, _ in self._segments if first <= number), default=self._segments[0][0])

    def _recover(self, path: Path) -> tuple[int, int, int]:
        """Count a segment's entries; what a crash left half-written at its end is cut off."""
        count = 0
        with path.open("r+b") as file:
            while _read_entry(file) is not None:
                count += 1
                size = file.tell()
            size = file.tell() if count == 0 else size
            if count == 0:
                size = 0
            file.truncate(size)
        return int(path.stem), count, size


def _read_entry(file: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The entry at the file's position; None, position unchanged, where none is whole."""
    position = file.tell()
    head = file.read(ENTRY.size)
    if len(head) == ENTRY.size:
        checksum, n_value, n_key = ENTRY.unpack(head)
        body = file.read(n_key + n_value) if n_value <= MAX_ENTRY_BYTES else b""
        if len(body) == n_key + n_value and zlib.crc32(head[4:] + body) == checksum:
            return body[:n_key], body[n_key:]
    file.seek(position)
    return None


def _lock(file: IO[bytes], folder: Path) -> None:
    """Hold the folder against a second process, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise OutboxError(f"buffer: {folder}: another gateway uses it") from error
