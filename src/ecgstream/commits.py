"""The rewind rule: from where the log must be read again so that a restart loses nothing.

A reader that begins in the middle of a session rebuilds its state from what it reads, and holds its findings
back until it is warm: until `WARM_UP_S` of samples were read (missing ones don't count), or `WARM_ANYWAY_S` have
passed. By then its state is that of a reader that never stopped, since no state looks back further: a window holds the
beats of 30 s, each judged among those of 20 s before it, whose threshold knew the signal of 50 s and the candidates of
10 s, behind filters of 2 s. So the committed offset of a partition may not pass, for any session live in it, the record
from which a reader would be warm a second before the end of the next undecided window. A session that is younger than
that is read from its first record.

`Marks` keeps such places sparsely: a record is a mark if its samples lie beyond all that came before, so
that all that follows in the session stands at or after it.
"""

from collections import deque
from collections.abc import Iterable

WARM_UP_S = 115
WARM_ANYWAY_S = 600
MARGIN_S = 1
MARK_EVERY_S = 5.0
MAX_MARKS = 64
MAX_GAPS = 256


class Marks:
    """Places in the log from which one session can be read again.

    At most `MAX_MARKS`, and `MAX_GAPS` between them (a decided window prunes what is needed no longer). At the
    bound every second mark goes and the oldest gaps are merged, which makes a rewind longer and never wrong.
    """

    __slots__ = ("_gaps", "_marks")

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque()  # (offset, first sample), both rising
        self._gaps: deque[tuple[int, int]] = deque()  # (first missing sample, how many), rising

    def add(self, offset: int, first_sample: int, fs_hz: float) -> None:
        """Note that reading from `offset` sees all samples of the session from `first_sample` on."""
        marks = self._marks
        if marks and first_sample < marks[-1][1] + MARK_EVERY_S * fs_hz:
            return
        if len(marks) >= MAX_MARKS:
            self._marks = deque(mark for k, mark in enumerate(marks) if k % 2 == 0)
        self._marks.append((offset, first_sample))

    def begin_at(self, first_sample: int) -> None:
        """The session begins at `first_sample`; what was noted until now was the search for that place."""
        if self._marks:
            self._marks = deque([(self._marks[0][0], first_sample)])

    def forget_beyond(self, head: int) -> None:
        """Drop the marks of records that were refused later: those beyond the furthest sample known."""
        while len(self._marks) > 1 and self._marks[-1][1] > head:
            self._marks.pop()

    def gap(self, first_missing: int, n_samples: int) -> None:
        """Note that samples are missing for good."""
        gaps = self._gaps
        gaps.append((first_missing, n_samples))
        if len(gaps) > MAX_GAPS:
            gaps[1] = (gaps[1][0], gaps[0][1] + gaps[1][1])
            gaps.popleft()

    def rewind(self, next_window: int | None, fs_hz: float) -> int | None:
        """Offset to read from again when window `next_window` isn't decided yet; None when nothing was noted.

        `next_window` is None while the session has not begun.
        """
        marks = self._marks
        if next_window is not None and len(marks) > 1:
            end = (next_window + 1 - MARGIN_S) * fs_hz
            while len(marks) > 1 and self._is_warm(marks[1][1], end, fs_hz):
                marks.popleft()
            while self._gaps and self._gaps[0][0] < marks[0][1]:
                self._gaps.popleft()
        return marks[0][0] if marks else None

    def _is_warm(self, first_sample: int, end: float, fs_hz: float) -> bool:
        missing = sum(n for first, n in self._gaps if first_sample <= first < end)
        return end - first_sample >= min(WARM_UP_S * fs_hz + missing, WARM_ANYWAY_S * fs_hz)


def committable(next_offset: int, rewinds: Iterable[int | None]) -> int:
    """Offset to commit for a partition read up to `next_offset`, given what each session live in it needs."""
    return min((offset for offset in rewinds if offset is not None), default=next_offset)
