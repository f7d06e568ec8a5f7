"""Rhythms that are sequences of beats: bigeminy, trigeminy, supraventricular and ventricular tachycardia (SVT, VT).

Ventricular bigeminy is every second beat ventricular, trigeminy every third, three of them in a row at least; there,
supraventricular beats count as normal ones. SVT and VT are runs of supraventricular and of ventricular beats over 100/min. A network
that looks at waves sees which beats there are, not in which order; so the order decides, here, in findings, events and evaluation
alike. A beat without a class breaks a pattern; a run goes on through it.

To CinC 2017, from which network and trees learn, sinus rhythm with ectopic beats is an "other" one. Here it is
sinus rhythm, as it is to MIT-BIH, where the normal beats among the ectopic ones follow each other evenly.

The other way round, a rhythm says something of its beats. What makes a beat supraventricular ectopic is that it comes early. In AF
none does, but what looks like AF may be sinus rhythm with many ectopic beats, as even intervals between the others show. Where the
heart isn't fast, one that comes when it is due is normal. A supraventricular run over 100/min goes on until the heart slows: in a long
one, beats are no longer early among those around them.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

PATTERNS = {
    "bigeminy": re.compile("N?V(?:NV){2,}N?"),
    "trigeminy": re.compile("N{0,2}V(?:NNV){2,}N{0,2}"),
}
RUNS = {"svt": "S", "vt": "V"}
BY_BEATS = frozenset({*PATTERNS, *RUNS})
NAMED_FROM = 0.5  # a window is called by a pattern or by runs in which half of its classed beats stand
RUN_BEATS = 5
RUN_BPM = 100.0
RECENT = 8  # intervals before a beat, or on either side of it, by which it is judged
SLOWING = 1.2  # times the usual of them
SINUS_BPM = (40.0, 130.0)
EVEN = 0.1  # of the usual interval, by which one may differ from it
EVEN_SHARE = 0.8  # of the intervals between normal beats; so even are 80 % of CinC 2017's normal recordings and 3 % of those with AF
DUE = 0.94  # of the usual interval: a beat that comes no sooner isn't early


def kinds_in(rhythm: str | None, at_s: Sequence[float], kinds: Sequence[str]) -> list[str]:
    """What beats of these kinds (N, S, V, Q) at these times are in a rhythm of this name."""
    if rhythm == "af" and not is_sinus_with_ectopy(at_s, kinds):
        return ["N" if kind == "S" else kind for kind in kinds]
    told = ["N" if kind == "S" and is_due(at_s, i) else kind for i, kind in enumerate(kinds)]
    run: list[float] = []  # the intervals of a supraventricular run
    for i, kind in enumerate(told):
        interval = at_s[i] - at_s[i - 1] if i else 0.0
        if (
            kind == "N"
            and len(run) >= RUN_BEATS
            and interval < min(60 / RUN_BPM, SLOWING * median(run[1:][-RECENT:]))
        ):
            told[i] = "S"
        if told[i] == "S":
            run.append(interval)
        elif kind != "Q":
            run = []
    return told


def is_due(at_s: Sequence[float], i: int) -> bool:
    """Whether beat `i` of a heart that isn't fast comes no earlier than the others around it do; False where they are few."""
    first = max(0, i - RECENT)
    intervals = [after - before for before, after in pairwise(at_s[first : i + RECENT + 1])]
    if i == 0 or len(intervals) < RECENT:
        return False
    own = intervals.pop(i - first - 1)
    usual = median(intervals)
    return usual > 60 / RUN_BPM and own >= DUE * usual


def slows(at_s: Sequence[float]) -> bool:
    """Whether a heart that beats at these times slows down at once anywhere among them."""
    intervals = [after - before for before, after in pairwise(at_s)]
    return any(
        intervals[i] > SLOWING * median(intervals[max(0, i - RECENT) : i])
        for i in range(RUN_BEATS - 1, len(intervals))
    )


def is_sinus_with_ectopy(at_s: Sequence[float], kinds: Sequence[str]) -> bool:
    """Whether beats at these times are normal ones at even intervals, at a rate that a sinus node has, and ectopic ones among them."""
    between = zip(pairwise(at_s), pairwise(kinds), strict=True)
    intervals = [after - before for (before, after), pair in between if pair == ("N", "N")]
    n_ectopic = sum(kind in "SV" for kind in kinds)
    if not 0 < n_ectopic <= kinds.count("N") or len(intervals) < RUN_BEATS:
        return False
    usual = median(intervals)
    n_even = sum(abs(interval - usual) <= EVEN * usual for interval in intervals)
    is_rate_of_sinus = SINUS_BPM[0] * usual <= 60 <= SINUS_BPM[1] * usual
    return is_rate_of_sinus and n_even >= EVEN_SHARE * len(intervals)


def runs_of(kind: str, kinds: Sequence[str]) -> list[list[int]]:
    """The places of the beats of each run of one kind, in order; a beat without a class ends none."""
    runs: list[list[int]] = [[]]
    for i, found in enumerate(kinds):
        if found == kind:
            runs[-1].append(i)
        elif found != "Q" and runs[-1]:
            runs.append([])
    return [run for run in runs if run]


class Pattern(NamedTuple):
    """One pattern in a series of beats: the share of the classed beats that stand in it, and its first and last beat."""

    share: float
    first: int
    last: int


def find_pattern(name: str, kinds: Sequence[str]) -> Pattern | None:
    """The pattern called `name` in beats of these kinds (N, S, V, Q); None where it isn't there."""
    text = "".join("V" if kind == "V" else "Q" if kind == "Q" else "N" for kind in kinds)
    found = list(PATTERNS[name].finditer(text))
    if not found:
        return None
    covered = sum(match.end() - match.start() for match in found)
    return Pattern(covered / (len(text) - text.count("Q")), found[0].start(), found[-1].end() - 1)


def told_by_waves(row: Sequence[float], classes: Sequence[str], points: Mapping[str, float]) -> str:
    """The most likely rhythm (probabilities of `classes`) of those that waves tell and that reach their operating point."""
    reached = [
        p if p >= points.get(name, 0.0) and name not in BY_BEATS else -1.0
        for p, name in zip(row, classes, strict=True)
    ]
    return classes[max(range(len(row)), key=reached.__getitem__)]


def rhythm_named(waves: str, at_s: Sequence[float], kinds: Sequence[str]) -> str:
    """What a window of these beats is called: the pattern, SVT or VT that takes half of it, else what its waves were called.

    Idioventricular rhythm is "other" where less than half of the beats are ventricular, and "other" is sinus where that has ectopic beats.
    """
    n_classed = sum(kind != "Q" for kind in kinds)
    shares = {name: pattern.share for name in PATTERNS if (pattern := find_pattern(name, kinds))}
    for name, kind in RUNS.items():
        runs = [run for run in runs_of(kind, kinds) if len(run) >= RUN_BEATS]
        in_runs = sum(
            len(run) for run in runs if 60 * (len(run) - 1) > RUN_BPM * (at_s[run[-1]] - at_s[run[0]])
        )
        if in_runs:
            shares[name] = in_runs / n_classed
    best = max(shares, key=shares.__getitem__, default=waves)
    if best in shares and shares[best] >= NAMED_FROM:
        return best
    is_normal = sum(kind == "V" for kind in kinds) < NAMED_FROM * n_classed
    if waves == "idioventricular" and is_normal:
        waves = "other"
    return "sinus" if waves == "other" and is_sinus_with_ectopy(at_s, kinds) else waves
