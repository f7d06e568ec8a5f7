"""The rewind rule: from where the log must be read again so that a restart loses nothing.

A reader that begins in the middle of a session rebuilds its state from what it reads and holds its findings back until
it has read `WARM_UP_S` of it; by then its state is that of a reader that never stopped, since no state looks
back further. So the committed offset of a partition may not pass, for any session live in it, the record from which
reading reaches `REWIND_S` = 61 s before the end of its next undecided window. A session that is
younger than that is read from its first record.

`Marks` keeps such places sparsely: a record is a mark if its samples lie beyond all that came before, so that all
that follows in the session stands at or after it.
"""

from collections import deque
from collections.abc import Iterable

WARM_UP_S = 60
REWIND_S = WARM_UP_S + 1
MARK_EVERY_S = 5.0
MAX_MARKS = 64


class Marks:
    """Places in the log from which one session can be read again.

    At most `MAX_MARKS` (a window decided prunes those that it needs no longer); at the bound every second one goes,
    which makes a rewind longer and never wrong.
    """

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque()  # (offset, first sample), both rising

    def add(self, offset: int, first_sample: int, fs_hz: float) -> None:
        """Note that reading from `offset` sees all samples of the session from `first_sample` on."""
        marks = self._marks
        if marks and first_sample < marks[-1][1] + MARK_EVERY_S * fs_hz:
            return
        if len(marks) >= MAX_MARKS:
            self._marks = deque(mark for k, mark in enumerate(marks) if k % 2 == 0)
        self._marks.append((offset, first_sample))

    def begin_at(self, first_sample: int) -> None:
        """The session begins at `first_sample`, and what was noted until now was the search for that place."""
        if self._marks:
            self._marks = deque([(self._marks[0][0], first_sample)])

    def forget_beyond(self, head: int) -> None:
        """Drop the marks of records that were refused later: those beyond the furthest sample known."""
        while len(self._marks) > 1 and self._marks[-1][1] > head:
            self._marks.pop()

    def rewind(self, next_window: int | None, fs_hz: float) -> int | None:
        """Offset to read from again when window `next_window` isn't decided yet; None when nothing was noted.

        `next_window` is None while the session has not begun.
        """
        marks = self._marks
        if next_window is not None:
            needed = (next_window + 1 - REWIND_S) * fs_hz
            while len(marks) > 1 and marks[1][1] <= needed:
                marks.popleft()
        return marks[0][0] if marks else None


def committable(next_offset: int, rewinds: Iterable[int | None]) -> int:
    """Offset to commit for a partition read up to `next_offset`, given what each session live in it needs."""
    return min((offset for offset in rewinds if offset is not None), default=next_offset)
