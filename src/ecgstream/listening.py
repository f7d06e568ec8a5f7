"""Since when alerting could have heard a device: for the time before, nobody is silent.

What waits unread in the log isn't silence, and neither is what nobody could read: while partitions changed hands, the broker was
away, the process stood still or the clock was set.
"""

from typing import NamedTuple

LONGEST_US = 5_000_000  # between two looks at the clock, and from a record's arrival to its being taken


class Place(NamedTuple):
    """Offsets in a partition: its end, as last heard of, and the first record that wasn't taken yet."""

    end: int
    untaken: int


class Listening:
    """How far this process listens, by its own clock: records' times are told by other hosts' clocks."""

    def __init__(self, now_us: int) -> None:
        self._looked_us: int | None = None
        self.begin_anew(now_us)

    def begin_anew(self, now_us: int) -> None:
        """Nothing could be heard until now."""
        self._ready_us = now_us
        # by partition: when its end was noted, that end, and up to when it has been read
        self._noted: dict[int, tuple[int, int, int]] = {}
        self._waited_us: dict[int, int] = {}  # when records last waited there

    def broke_off(self, now_us: int) -> bool:
        """Whether the clock was set since this was last asked, or that is long ago: who stood still can't tell the two apart."""
        before_us, self._looked_us = self._looked_us, now_us
        return before_us is not None and not 0 <= now_us - before_us <= LONGEST_US

    def note(self, partition: int, place: Place | None, now_us: int) -> None:
        """Take how a partition stands now, None where that isn't known.

        Its end is noted, and once all up to there has been taken, it has been read up to the time of the note.
        """
        if place is None:
            return
        noted_us, end, read_us = self._noted.get(partition, (now_us, place.end, now_us))
        if place.untaken >= end:
            noted_us, end, read_us = now_us, place.end, noted_us
        self._noted[partition] = noted_us, end, read_us
        if now_us - read_us > LONGEST_US:
            self._waited_us[partition] = now_us

    def since_us(self, partition: int) -> int:
        """Since when devices of a partition could have been heard."""
        return max(self._ready_us, self._waited_us.get(partition, 0))
