"""The beats of a session's window: heart rate, ventricular runs and pauses.

**Heart rate** is computed as bedside monitors do: from the mean of the last eight RR intervals without the longest and
the shortest (all of them while there are fewer than five; none below three). Intervals across a gap or
an unreadable second don't count, and the rate isn't known when the last beat is more than 4 s old.
"""

from collections.abc import Sequence
from itertools import pairwise

FS_HZ = 128
RUN_BEATS, RUN_S = 3, 10
PAUSE_ENDED_S = 3  # ago at most: a beat may be found two seconds late
RR_INTERVALS = 8
RATE_STALE_S = 4.0
UNKNOWN_BEAT = "Q"


class BeatSeen:
    """An R peak: its place in model samples of the session, its class and that class's probability, once known."""

    __slots__ = ("kind", "position", "probability")

    def __init__(self, position: float) -> None:
        self.position = position
        self.kind = UNKNOWN_BEAT
        self.probability: float | None = None


def heart_rate_bpm(beats: Sequence[BeatSeen], now: float, readable_from: float) -> float | None:
    """Heart rate by the rule above, 1/min, at model sample `now`; None when it isn't known.

    `readable_from`: the model sample after the last unreadable second.
    """
    if len(beats) < 4 or beats[-1].position < now - RATE_STALE_S * FS_HZ:
        return None
    positions = [beat.position for beat in beats[-RR_INTERVALS - 1 :]]
    intervals = sorted(b - a for a, b in pairwise(positions) if a >= readable_from)
    if len(intervals) < 3:
        return None
    if len(intervals) >= 5:
        intervals = intervals[1:-1]
    total = sum(intervals)
    return round(60.0 * FS_HZ * len(intervals) / total, 1) if total > 0 else None


def ends_in_ventricular_run(beats: Sequence[BeatSeen], now: float) -> bool:
    """Whether three ventricular beats follow one another in the 10 s before model sample `now`."""
    start = now - RUN_S * FS_HZ
    run = 0
    for beat in reversed(beats):
        if beat.position < start:
            return False
        run = run + 1 if beat.kind == "V" else 0
        if run == RUN_BEATS:
            return True
    return False


def ends_in_pause(beats: Sequence[BeatSeen], now: float, pause_s: float) -> bool:
    """Whether a beat of the last seconds before model sample `now` came `pause_s` or more after the one before it."""
    ended = now - PAUSE_ENDED_S * FS_HZ
    return any(b.position >= ended and b.position - a.position >= pause_s * FS_HZ for a, b in pairwise(beats))
