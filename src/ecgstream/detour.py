"""Around a record that the client can't unpack: which partition to ask next, for how many records, what to leave out.

A corrupt batch, or a header whose name is no text, makes the client raise among the records of many partitions. It doesn't
say where, and what it had taken of other partitions until then is lost. So all go back to where they were worked to, and are
asked one by one. Among the next records of the one that raises, the place is found by halving; the record that raises
twice by itself is left out. Nothing is remembered: whoever reads the log again finds it again.
"""

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

PATIENCE = 50  # answers without a record until a partition's turn is over
MAX_FRUITLESS = 3  # detours in a row that found nothing: then it is no record's fault

P = TypeVar("P")


class Detour(Generic[P]):
    """The partitions whose turn is still to come; without any, all are asked together."""

    def __init__(self, n_records: int) -> None:
        """`n_records`: how many are asked for at most."""
        self._n_records = n_records
        self._turns: deque[P] = deque()
        self._within: int | None = (
            None  # one of so many next records can't be unpacked; None: not known of this partition
        )
        self._empty = 0
        self._fruitless = 0

    @property
    def turn(self) -> P | None:
        """The partition to ask by itself, None for all together."""
        return self._turns[0] if self._turns else None

    @property
    def n_records(self) -> int:
        """How many records to ask for."""
        return self._n_records if self._within is None else (self._within + 1) // 2

    def begin(self, partitions: Iterable[P]) -> bool:
        """All together raised: one of `partitions` holds the record. False when that was found untrue too often."""
        self._fruitless += 1
        self._turns, self._within, self._empty = deque(partitions), None, 0
        return self._fruitless <= MAX_FRUITLESS

    def passed(self, n_records: int) -> None:
        """What was asked last gave so many records."""
        if not self._turns:
            self._fruitless = 0 if n_records else self._fruitless
        elif not n_records:
            self._empty += 1
            if self._empty >= PATIENCE:
                self._next()
        elif self._within is None or self._within <= n_records:
            self._next()
        else:
            self._within, self._empty = self._within - n_records, 0

    def failed(self) -> bool:
        """The partition whose turn it is raised; gives whether its next record is the one, and to be left out."""
        if self._within == 1:
            self._fruitless = 0
            self._next()
            return True
        self._within, self._empty = self.n_records, 0
        return False

    def end(self) -> None:
        """Partitions have changed hands: all are read from elsewhere now."""
        self._turns.clear()
        self._within = None

    def _next(self) -> None:
        self._turns.popleft()
        self._within, self._empty = None, 0
