"""Segments of 10 s, the AHA's groups and goals, and the call to shock: what `ecgstream.evaluation.acute` counts.

A call is made when `vt` and `vf` together are likelier than the other rhythms together. What the goals don't want shocked isn't:
nothing under 0.2 mV (fibrillation would be fine); and where the beats that were found in the segment are slower than rapid VT, `vt`
speaks neither for a shock nor against it (of the waves of fibrillation, which `vt` may name, too, the detector finds few).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ecgstream.evaluation.references import ACUTE_OF, RHYTHM_OF, Interval, Reference
from ecgstream.evaluation.spans import union, without
from ecgstream.evaluation.streaming import Stream
from ecgstream.evaluation.ventricular import SEGMENT_S, amplitude_uv, rate_bpm

SHOCKABLE = ("vt", "vf")
FINE_VF_UV = 200.0
RAPID_VT_BPM = 150.0
HORIZON_S = 5
FOUND_S = 1.0  # after an R peak the detector has told it


class Goal(NamedTuple):
    """What the AHA wants of a group: a shock or none, how often, by which lower bound, and of how many segments.

    nan where the group is reported only.
    """

    is_shock: bool
    value: float = math.nan
    bound: float = math.nan
    segments: int = 0

    def met(self, value: float, bound: float, segments: int) -> str | None:
        """``"yes"``, ``"no"``, ``"too few"`` where it would be met by more segments; None without a goal."""
        if math.isnan(self.value):
            return None
        if value <= self.value or bound < self.bound:
            return "no"
        return "yes" if segments >= self.segments else "too few"


GOALS = {
    "coarse VF": Goal(True, 0.90, 0.87, 200),
    "rapid VT": Goal(True, 0.75, 0.67, 50),
    "sinus": Goal(False, 0.99, 0.97, 100),
    "other non-shockable": Goal(False, 0.95, 0.88, 30),
    "asystole": Goal(False, 0.95, 0.92, 100),
    "fine VF": Goal(True),
    "slower VT": Goal(True),
    "noise": Goal(False),
}


@dataclass(frozen=True)
class Segment:
    """Ten seconds of one rhythm, what was told of it at their end (``None``: unreadable), whether to shock, and each class's mean
    probability (none where unreadable).
    """

    patient: str
    database: str
    record: str
    start_s: float
    group: str
    acute: str
    told: str | None
    is_shock: bool
    shares: Mapping[str, float]

    @property
    def is_right(self) -> bool:
        """Whether a call to shock, or none, is what the group wants."""
        return self.is_shock == GOALS[self.group].is_shock


def segments_of(reference: Reference, stream: Stream, classes: Sequence[str]) -> list[Segment]:
    """Cut a record into segments and decide at the end of each."""
    found = []
    for interval in stretches(reference):
        n = int((interval.end_s - interval.start_s) // SEGMENT_S)
        for start_s in interval.start_s + SEGMENT_S * np.arange(n):
            last = (
                int(np.floor(start_s + SEGMENT_S)) - 1
            )  # the second that ends at or just before the segment's end
            if last >= len(stream.acute):
                continue
            shares = shares_over(stream, int(np.ceil(start_s)) + HORIZON_S - 1, last, classes)
            found.append(
                Segment(
                    reference.patient,
                    reference.database,
                    reference.record,
                    float(start_s),
                    group_of(reference, stream, interval.label, float(start_s)),
                    ACUTE_OF[interval.label],
                    told_by(shares),
                    calls_shock(
                        shares, found_bpm(stream, float(start_s)), amplitude_uv(stream, float(start_s))
                    ),
                    shares,
                )
            )
    return found


def stretches(reference: Reference) -> list[Interval]:
    """The stretches of one rhythm; where no rhythm is called VF or flutter, what stands between ``[`` and ``]`` is (CUDB)."""
    rhythms, marked = reference.rhythms, [(i.start_s, i.end_s) for i in reference.fibrillation]
    if not marked or any(ACUTE_OF[i.label] == "vf" for i in rhythms):
        return rhythms
    rest = [
        Interval(*span, i.label) for i in rhythms for span in without([(i.start_s, i.end_s)], union(marked))
    ]
    return sorted([*rest, *(Interval(*span, "VF") for span in union(marked))], key=lambda i: i.start_s)


def shares_over(stream: Stream, first: int, last: int, classes: Sequence[str]) -> dict[str, float]:
    """The mean probability of each class over the readable seconds `first` to `last`; empty where none of them can be read."""
    told = stream.acute[first : last + 1]
    told = told[stream.readable[first : last + 1] & ~np.isnan(told).any(axis=1)]
    return dict(zip(classes, told.mean(axis=0).tolist(), strict=True)) if len(told) else {}


def told_by(shares: Mapping[str, float]) -> str | None:
    """The acute rhythm: VT and VF stand together against the others; ``None`` where nothing is known."""
    if not shares:
        return None
    ventricular = sum(shares[name] for name in SHOCKABLE)
    is_ventricular = ventricular >= max(p for name, p in shares.items() if name not in SHOCKABLE)
    return max((name for name in shares if (name in SHOCKABLE) == is_ventricular), key=shares.__getitem__)


def calls_shock(shares: Mapping[str, float], bpm: float, uv: float) -> bool:
    """Whether to shock a rhythm of this peak-to-peak voltage; `bpm`, the rate of the beats that were found, is nan where too few were."""
    if not shares or uv < FINE_VF_UV:
        return False
    shock = shares["vf"] if bpm < RAPID_VT_BPM else shares["vf"] + shares["vt"]
    return shock >= sum(p for name, p in shares.items() if name not in SHOCKABLE)


def found_bpm(stream: Stream, start_s: float) -> float:
    """The median rate of the beats that the detector has found in a segment by its end; nan where they are fewer than three."""
    end_s = start_s + SEGMENT_S - FOUND_S
    gaps = np.diff(stream.beats_s[(stream.beats_s >= start_s) & (stream.beats_s < end_s)])
    return float(60.0 / np.median(gaps)) if len(gaps) >= 2 else float("nan")


def group_of(reference: Reference, stream: Stream, label: str, start_s: float) -> str:
    """The AHA's group of a segment, by its annotated rhythm and, for VF and VT, by amplitude and rate."""
    acute = ACUTE_OF[label]
    if acute == "vf":
        return "coarse VF" if amplitude_uv(stream, start_s) >= FINE_VF_UV else "fine VF"
    if acute == "vt":
        return "rapid VT" if rate_bpm(reference, stream, start_s) >= RAPID_VT_BPM else "slower VT"
    if acute in ("asystole", "noise"):
        return acute
    is_among_others = RHYTHM_OF[label] != "sinus" or label == "SBR"  # bradycardia is (Kerber et al. 1997)
    return "other non-shockable" if is_among_others else "sinus"
