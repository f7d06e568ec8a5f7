"""Bigeminy and trigeminy, as they are defined: by the sequence of beats.

Ventricular bigeminy is every second beat ventricular, trigeminy every third, three of them in a row at least. A network that looks at
waves sees that there are ventricular beats, not in which order; so the order decides, here, in findings, events and evaluation alike.
A beat without a class breaks the pattern. Supraventricular beats count as normal ones.

The other way round, a rhythm says something of its beats: in AF none comes early, so none is supraventricular ectopic.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

PATTERNS = {
    "bigeminy": re.compile("N?V(?:NV){2,}N?"),
    "trigeminy": re.compile("N{0,2}V(?:NNV){2,}N{0,2}"),
}
NAMED_FROM = 0.5  # a window is called by a pattern in which half of its classed beats stand


def kind_in(rhythm: str | None, kind: str) -> str:
    """What a beat of this kind (N, S, V, Q) is in a rhythm of this name."""
    return "N" if kind == "S" and rhythm == "af" else kind


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


def pattern_named(kinds: Sequence[str]) -> str | None:
    """The pattern that a window of these beats is called by, if one takes half of it."""
    shares = {name: pattern.share for name in PATTERNS if (pattern := find_pattern(name, kinds))}
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] >= NAMED_FROM else None
