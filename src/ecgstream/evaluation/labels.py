"""What each second of a stream is called, as the monitor calls it: rhythms by window, beats by class."""

from collections.abc import Mapping, Sequence

import numpy as np

from ecgstream.classifier import named
from ecgstream.evaluation import spans
from ecgstream.evaluation.references import Interval
from ecgstream.evaluation.streaming import Model, Stream
from ecgstream.patterns import PATTERNS, kind_in, pattern_named
from ecgstream.tally import CLASS_DELAY_US

WINDOW_S, CENTRE_S = 30, 15
BEATS = ("N", "S", "V")


def labels_of(
    stream: Stream, classes: Sequence[str], thresholds: Mapping[str, float] | None = None
) -> list[str | None]:
    """The rhythm each finding names, as `ecgstream.windows` does: a pattern of its beats, else the network's most likely rhythm
    at the model's operating points; ``None`` where it names none.
    """
    known = stream.readable & ~np.isnan(stream.rhythm).any(axis=1)
    waves = np.where(np.isin(classes, list(PATTERNS)), -1.0, np.nan_to_num(stream.rhythm))
    best = np.where(known, named(waves, classes, thresholds or {}), -1)
    kinds = _kinds(stream)
    ends = np.searchsorted(stream.beats_s, np.arange(len(best)) + 1.0)
    starts = np.searchsorted(stream.beats_s, np.arange(len(best)) + 1.0 - WINDOW_S)
    return [
        (pattern_named(kinds[start:end]) or classes[k]) if k >= 0 else None
        for k, start, end in zip(best, starts, ends, strict=True)
    ]


def kinds_of(stream: Stream, model: Model) -> list[str]:
    """The class of each beat, Q where the network gave none, as the finding tells it by which beats are counted."""
    labels = labels_of(stream, model.rhythm_classes, model.thresholds)
    counted = np.minimum(stream.beats_s + CLASS_DELAY_US / 1e6, len(labels) - 1).astype(np.int64)
    return [kind_in(labels[at], kind) for at, kind in zip(counted, _kinds(stream), strict=True)]


def _kinds(stream: Stream) -> list[str]:
    return ["Q" if np.isnan(share).any() else BEATS[int(share.argmax())] for share in stream.beats]


def centred(labels: Sequence[str | None], duration_s: float, centre_s: int = CENTRE_S) -> list[Interval]:
    """Findings as intervals: second s gets the label known at s + `centre_s` (at the record's end, the last
    one).
    """
    n = min(len(labels), int(np.ceil(duration_s)))
    shifted = [labels[min(s + centre_s, len(labels) - 1)] for s in range(n)]
    return spans.of_seconds(shifted, lambda s: (float(s), min(s + 1.0, duration_s)))
