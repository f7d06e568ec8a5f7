"""What a recording's findings add up to: burdens, rates, rhythms, how much couldn't be read.

Each finding speaks for the time since the one before it, ten seconds at most (findings come at least every five
seconds; a longer silence is not known). Beats are listed by every window they lie in and counted once, with
the class that the last finding gave them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Finding, Quality

LONGEST_STEP_S = 10.0
SAME_BEAT_US = 150_000  # two times nearer than this are of one beat: hearts beat no faster than 400/min


@dataclass
class Burdens:
    """Totals of one recording; times in seconds from `start_us`."""

    start_us: int
    end_us: int
    readable_s: float = 0.0
    unreadable_s: float = 0.0
    rhythm_s: dict[str, float] = field(default_factory=dict)
    timeline: list[tuple[float, float, str]] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    beats: dict[str, int] = field(default_factory=dict)
    couplets: int = 0
    runs: int = 0
    longest_run: int = 0

    @property
    def duration_s(self) -> float:
        """From the first finding's start to the last one's end."""
        return (self.end_us - self.start_us) / 1e6

    @property
    def af_burden(self) -> float | None:
        """AF's share of the time whose rhythm is known; None when none is."""
        known = sum(self.rhythm_s.values())
        return self.rhythm_s.get("af", 0.0) / known if known else None

    @property
    def pvc_burden(self) -> float | None:
        """Ventricular beats' share of the classed beats; None when there are none."""
        classed = sum(n for kind, n in self.beats.items() if kind != "Q")
        return self.beats.get("V", 0) / classed if classed else None

    @property
    def unreadable_share(self) -> float:
        """The share of the recording that couldn't be read, missing time included."""
        return 1.0 - self.readable_s / self.duration_s if self.duration_s else 0.0


def add_up(findings: Sequence[Finding]) -> Burdens:
    """Add up one device's findings, in the order of time. Raises `ValueError` when there are none."""
    if not findings:
        raise ValueError("findings: there are none")
    total = Burdens(findings[0].start_us, findings[-1].end_us)
    told_us = findings[0].start_us
    seen: dict[
        int, tuple[int, str]
    ] = {}  # time of a beat -> the last finding that lists it, and its class there
    for number, finding in enumerate(findings):
        step_s = min((finding.end_us - told_us) / 1e6, LONGEST_STEP_S)
        told_us = max(told_us, finding.end_us)
        if step_s > 0:
            _time(total, finding, step_s)
        for beat in finding.beats:
            seen[beat.at_us] = number, beat.kind
    _beats(total, _each_once(seen))
    return total


def _each_once(seen: dict[int, tuple[int, str]]) -> list[str]:
    """The classes of beats in order; where the device's clock drifts, one beat has many times."""
    told: list[tuple[int, str]] = []
    before_us = -SAME_BEAT_US
    for at_us in sorted(seen):
        if at_us - before_us < SAME_BEAT_US:
            told[-1] = max(told[-1], seen[at_us])
        else:
            told.append(seen[at_us])
        before_us = at_us
    return [kind for _, kind in told]


def _time(total: Burdens, finding: Finding, step_s: float) -> None:
    end_s = (finding.end_us - total.start_us) / 1e6
    readable = finding.quality is not Quality.UNREADABLE
    label = (finding.rhythm or "unknown") if readable else "unreadable"
    if readable:
        total.readable_s += step_s
        if finding.rhythm is not None:
            total.rhythm_s[finding.rhythm] = total.rhythm_s.get(finding.rhythm, 0.0) + step_s
        if finding.heart_rate_bpm is not None:
            total.rates.append((end_s, finding.heart_rate_bpm))
    else:
        total.unreadable_s += step_s
    if total.timeline and total.timeline[-1][2] == label and end_s - step_s - total.timeline[-1][1] < 1e-3:
        total.timeline[-1] = (total.timeline[-1][0], end_s, label)
    else:
        total.timeline.append((end_s - step_s, end_s, label))


def _beats(total: Burdens, kinds: list[str]) -> None:
    run = 0
    for kind in [*kinds, "N"]:
        if kind == "V":
            run += 1
            continue
        total.couplets += run == 2
        total.runs += run >= 3
        total.longest_run = max(total.longest_run, run)
        run = 0
    for kind in kinds:
        total.beats[kind] = total.beats.get(kind, 0) + 1


def by_the_minute(rates: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Rate trend: float64 (n_minutes with a rate, 4): minute, least, median, greatest [1/min]."""
    minutes: dict[int, list[float]] = {}
    for at_s, rate in rates:
        minutes.setdefault(int(at_s // 60), []).append(rate)
    rows = [(m, min(r), float(np.median(r)), max(r)) for m, r in sorted(minutes.items())]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
