"""What waits to be delivered: a bounded first-in-first-out queue, in memory or on disk.

On disk, entries are appended to segment files before anything is sent, and the number of the last delivered one is
noted after it was; so a gateway that dies goes on where it stood. It may repeat the entries of one round
of sending, bytes and sample indices the same, which the monitor counts and drops. At the bound the oldest entries go
(what is newest matters most to whoever is on call), counted in `dropped`: a gap that is told, not hidden. So are entries
that a file turns out to have lost. Where the disk is full, `append` raises OSError and nothing is taken.
"""

import logging
import os
import struct
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import IO, Protocol

from ecgstream.gateway.segments import NAME, Entry, Reader, Segment, Writer, pack, recover

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 8 * 1024 * 1024
CURSOR = struct.Struct("<q")


class OutboxError(RuntimeError):
    """The buffer's folder can't be used; the text says why."""


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
        saved = os.pread(self._cursor, CURSOR.size, 0)
        self._delivered: int = max(CURSOR.unpack(saved)[0] if len(saved) == CURSOR.size else -1, -1)
        self._note_delivered()  # takes its place on the disk while there is some
        self._segments: deque[Segment] = (
            deque()
        )  # the first one holds the oldest entry that waits, if any does
        self._next = max(self._recover(), self._delivered + 1)
        self._reader: Reader | None = None
        self._writer = self._begin_segment()
        self._count_gaps()
        self._trim()

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return sum(map(self._waiting_in, self._segments))

    @property
    def waiting_bytes(self) -> int:
        """How many bytes the segments that hold them take."""
        return sum(segment.size for segment in self._segments)

    def append(self, key: bytes, value: bytes) -> None:
        """Write one entry to the last segment; the oldest segment goes where the bound is reached."""
        entry = pack(key, value)
        if self._segments[-1].size >= self._segment_bytes:
            self._roll()
            self._trim()
        self._writer.append(entry)
        self._next += 1
        while self.waiting_bytes > self.max_bytes and len(self._segments) > 1:
            self._drop_oldest_segment()

    def peek(self, max_bytes: int) -> list[Entry]:
        """The oldest entries, of one segment, read from it; they stay."""
        while self._waiting_in(segment := self._segments[0]):
            if self._reader is None or self._reader.segment is not segment:
                self._close_reader()
                self._reader = Reader(segment)
            taken = self._reader.peek(self._oldest_in(segment), max_bytes)
            if taken:
                return taken
            self._give_up_oldest_segment()
        return []

    def done(self, number: int) -> None:
        """Note what is delivered, and remove segments that are so wholly."""
        self._delivered = max(self._delivered, number)
        self._note_delivered()
        self._trim()

    def close(self) -> None:
        """Let go of the files; what waits stays on disk."""
        self._close_reader()
        self._writer.close()
        self._lock.close()
        os.close(self._cursor)

    def _oldest_in(self, segment: Segment) -> int:
        return max(segment.first, self._delivered + 1)

    def _waiting_in(self, segment: Segment) -> int:
        return max(0, segment.end - self._oldest_in(segment))

    def _recover(self) -> int:
        """Take up the segments of an earlier process; gives the number after their last entry."""
        end = 0
        for path in sorted(self.folder.glob(NAME)):
            segment, n_behind = recover(path)
            self._segments.append(segment)
            end = segment.end + n_behind
        return end

    def _count_gaps(self) -> None:
        """Count what the disk has lost: entries missing between the end of one segment and the first of the next."""
        for segment, following in pairwise(self._segments):
            lost = following.first - max(segment.end, self._delivered + 1)
            if lost > 0:
                self.dropped += lost
                logger.warning("%s: damaged, %d entries lost", segment.path, lost)

    def _begin_segment(self) -> Writer:
        writer = Writer(Segment(self.folder / f"{self._next:020d}.segment"))
        if self._segments and self._segments[-1].first == self._next:  # an empty one of the same name
            self._segments.pop()
        self._segments.append(writer.segment)
        return writer

    def _roll(self) -> None:
        """Go on in a new segment."""
        full, self._writer = self._writer, self._begin_segment()
        full.close()

    def _trim(self) -> None:
        """Remove segments of which nothing waits."""
        while len(self._segments) > 1 and not self._waiting_in(self._segments[0]):
            self._remove_oldest_segment()

    def _give_up_oldest_segment(self) -> None:
        """Its oldest entry can't be read: go on behind it."""
        segment = self._segments[0]
        logger.warning("%s: damaged, %d entries lost", segment.path, self._waiting_in(segment))
        if len(self._segments) == 1:
            self._roll()
        self._drop_oldest_segment()

    def _drop_oldest_segment(self) -> None:
        self.dropped += self._waiting_in(self._segments[0])
        self._remove_oldest_segment()
        self._trim()

    def _remove_oldest_segment(self) -> None:
        segment = self._segments.popleft()
        if self._reader is not None and self._reader.segment is segment:
            self._close_reader()
        segment.path.unlink(missing_ok=True)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _note_delivered(self) -> None:
        os.pwrite(self._cursor, CURSOR.pack(self._delivered), 0)


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
