"""What each second of a stream is called, as the monitor calls it: rhythms by window, beats by class."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import spans
from ecgstream.evaluation.references import Interval
from ecgstream.evaluation.streaming import Model, Stream
from ecgstream.patterns import kinds_in, rhythm_named, told_by_waves
from ecgstream.tally import CLASS_DELAY_US
from ecgstream.windows import MIN_READABLE_S, WINDOW_S

CENTRE_S = 15
AHEAD_S = 3.0  # the detector is ahead of the filtered second that a finding ends with, by less than this
BEATS = ("N", "S", "V")


class Told(NamedTuple):
    """One second's finding: the rhythm that it names (``None`` where none), its beats (places among the stream's) and their kinds."""

    rhythm: str | None
    beats: NDArray[np.int64]
    kinds: list[str]


def told(
    stream: Stream, classes: Sequence[str], thresholds: Mapping[str, float] | None = None
) -> Iterator[Told]:
    """Each second's finding as `ecgstream.windows` makes it, of the beats and classes that are known by then."""
    so_far = np.concatenate([np.zeros(WINDOW_S, np.int64), np.cumsum(stream.readable)])
    readable_s = so_far[WINDOW_S:] - so_far[:-WINDOW_S]
    known = (readable_s >= MIN_READABLE_S) & ~np.isnan(stream.rhythm).any(axis=1)
    kinds = np.array(["Q" if np.isnan(share).any() else BEATS[int(share.argmax())] for share in stream.beats])
    ends = np.searchsorted(stream.beats_s, np.arange(len(known)) + 1.0 + AHEAD_S)
    starts = np.searchsorted(stream.beats_s, np.arange(len(known)) + 1.0 - WINDOW_S)
    for second, (start, end) in enumerate(zip(starts, ends, strict=True)):
        beats = np.arange(start, end)[stream.found[start:end] <= second]
        at_s = stream.beats_s[beats].tolist()
        row = stream.rhythm[second].tolist()
        rhythm = told_by_waves(row, classes, thresholds or {}) if known[second] else None
        so_known = np.where(stream.classed[beats] <= second, kinds[beats], "Q").tolist()
        own = kinds_in(rhythm, at_s, so_known)
        yield Told(rhythm and rhythm_named(rhythm, at_s, own), beats, own)


def labels_of(
    stream: Stream, classes: Sequence[str], thresholds: Mapping[str, float] | None = None
) -> list[str | None]:
    """The rhythm that each second's finding names; ``None`` where it names none."""
    return [finding.rhythm for finding in told(stream, classes, thresholds)]


def why_none(stream: Stream, second: int) -> str:
    """What stands for the rhythm in a second whose finding names none."""
    return "not known" if np.isnan(stream.rhythm[second]).any() else "unreadable"


def kinds_of(stream: Stream, model: Model) -> list[str]:
    """The class of each beat, Q where the network gave none, as the finding tells it by which beats are counted."""
    findings = list(told(stream, model.rhythm_classes, model.thresholds))
    counted = np.minimum(stream.beats_s + CLASS_DELAY_US / 1e6, len(findings) - 1).astype(np.int64)
    kinds = []
    for i, second in enumerate(counted.tolist()):
        _, beats, own = findings[second]
        at = int(np.searchsorted(beats, i))
        kinds.append(own[at] if at < len(beats) and beats[at] == i else "Q")  # not found by the last finding
    return kinds


def judged_by(second: int, n: int) -> int:
    """The second, of `n`, whose finding speaks for another: `CENTRE_S` later, at the earliest the first that can name a rhythm."""
    return min(n - 1, max(MIN_READABLE_S - 1, second + CENTRE_S))


def centred(labels: Sequence[str | None], duration_s: float) -> list[Interval]:
    """Findings as intervals: each second gets the label of the finding that speaks for it (`judged_by`)."""
    n = min(len(labels), int(np.ceil(duration_s)))
    shifted = [labels[judged_by(s, len(labels))] for s in range(n)]
    return spans.of_seconds(shifted, lambda s: (float(s), min(s + 1.0, duration_s)))
