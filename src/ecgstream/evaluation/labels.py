"""What each second of a stream is called, as the monitor calls it: rhythms by window, beats by class."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ecgstream.classifier import named
from ecgstream.evaluation import spans
from ecgstream.evaluation.references import Interval
from ecgstream.evaluation.streaming import Model, Stream
from ecgstream.patterns import BY_BEATS, kinds_in, rhythm_named
from ecgstream.tally import CLASS_DELAY_US

WINDOW_S, CENTRE_S = 30, 15
BEATS = ("N", "S", "V")


def told(
    stream: Stream, classes: Sequence[str], thresholds: Mapping[str, float] | None = None
) -> Iterator[tuple[str | None, int, list[str]]]:
    """Of each second's finding, as `ecgstream.windows` makes it: the rhythm that it names (``None`` where none), which beat of the
    stream is its first, and the kinds of its beats.
    """
    known = stream.readable & ~np.isnan(stream.rhythm).any(axis=1)
    waves = np.where(np.isin(classes, list(BY_BEATS)), -1.0, np.nan_to_num(stream.rhythm))
    best = np.where(known, named(waves, classes, thresholds or {}), -1)
    kinds = ["Q" if np.isnan(share).any() else BEATS[int(share.argmax())] for share in stream.beats]
    ends = np.searchsorted(stream.beats_s, np.arange(len(best)) + 1.0)
    starts = np.searchsorted(stream.beats_s, np.arange(len(best)) + 1.0 - WINDOW_S)
    for k, start, end in zip(best, starts, ends, strict=True):
        at_s = stream.beats_s[start:end].tolist()
        rhythm = classes[k] if k >= 0 else None
        own = kinds_in(rhythm, at_s, kinds[start:end])
        yield rhythm and rhythm_named(rhythm, at_s, own), int(start), own


def labels_of(
    stream: Stream, classes: Sequence[str], thresholds: Mapping[str, float] | None = None
) -> list[str | None]:
    """The rhythm that each second's finding names; ``None`` where it names none."""
    return [rhythm for rhythm, _, _ in told(stream, classes, thresholds)]


def kinds_of(stream: Stream, model: Model) -> list[str]:
    """The class of each beat, Q where the network gave none, as the finding tells it by which beats are counted."""
    findings = list(told(stream, model.rhythm_classes, model.thresholds))
    counted = np.minimum(stream.beats_s + CLASS_DELAY_US / 1e6, len(findings) - 1).astype(np.int64)
    kinds = []
    for i, second in enumerate(counted.tolist()):
        _, first, own = findings[second]
        kinds.append(own[i - first] if i - first < len(own) else "Q")  # after the last finding's end
    return kinds


def centred(labels: Sequence[str | None], duration_s: float, centre_s: int = CENTRE_S) -> list[Interval]:
    """Findings as intervals: second s gets the label known at s + `centre_s` (at the record's end, the last
    one).
    """
    n = min(len(labels), int(np.ceil(duration_s)))
    shifted = [labels[min(s + centre_s, len(labels) - 1)] for s in range(n)]
    return spans.of_seconds(shifted, lambda s: (float(s), min(s + 1.0, duration_s)))
