"""The baseline worth beating: atrial fibrillation from RR intervals alone, with one threshold.

Coefficient of sample entropy (Lake & Moorman 2011, doi:10.1152/ajpheart.00561.2010; `ecgstream.measurements.rr_intervals.cos_en`): the
entropy of short runs of RR intervals, less the logarithms of tolerance and mean interval, so that fast regular and slow
irregular rhythms are told apart. The last 30 s of beats are looked at.

The threshold is the one with the best F1 of AF time on the training split. The beats
are those of this project's detector.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import spans, statistics
from ecgstream.evaluation.labels import CENTRE_S
from ecgstream.evaluation.references import LEARNING_S, Interval, Reference
from ecgstream.evaluation.results import Cell, Table
from ecgstream.evaluation.rhythms import Counts, compare_record, table
from ecgstream.evaluation.streaming import Stream
from ecgstream.measurements.rr_intervals import cos_en
from ecgstream.model_folder import CINC_CLASSES

WINDOW_S = 30.0
Floats = NDArray[np.float64]


class NoThreshold(ValueError):
    """There is nothing to choose a threshold from."""


def left_out(database: str, data: Path) -> Table:
    """What stands in the place of the baseline where its threshold can't be chosen."""
    why = f"{data} has no recording of {database}'s training split to choose its threshold on"
    return Table("baseline: AF from RR intervals", ("left out",), [(why,)])


def each_second(beats_s: Floats, n_seconds: int) -> Floats:
    """CosEn of the last 30 s as of the end of each second: float64 (n_seconds,), NaN where it isn't known."""
    values = np.full(n_seconds, np.nan)
    lows = np.searchsorted(beats_s, np.arange(1, n_seconds + 1) - WINDOW_S)
    highs = np.searchsorted(beats_s, np.arange(1, n_seconds + 1))
    for k in range(n_seconds):
        if k and (lows[k], highs[k]) == (lows[k - 1], highs[k - 1]):
            values[k] = values[k - 1]
        else:
            values[k] = cos_en(np.diff(beats_s[lows[k] : highs[k]]))
    return values


def best_threshold(values: Floats, is_af: NDArray[np.bool_], weight: Floats | None = None) -> float:
    """The threshold with the best F1 of "value at or above it" (values NaN are never above). Raises
    `NoThreshold` where there is none.
    """
    weight = np.ones(len(values)) if weight is None else weight
    known = ~np.isnan(values)
    order = np.flatnonzero(known)[np.argsort(-values[known])]
    hit, said = np.cumsum((is_af * weight)[order]), np.cumsum(weight[order])
    score = statistics.f1(hit, float((is_af * weight).sum()), said)
    score[:-1][np.diff(values[order]) == 0] = np.nan  # equal values are on the same side of any threshold
    if not len(score) or np.isnan(score).all():
        raise NoThreshold("values: no window to choose a threshold from")
    return float(values[order][int(np.nanargmax(score))])


def said_intervals(values: Floats, threshold: float, duration_s: float) -> list[Interval]:
    """AF stretches as the rhythm head's are read: second s by the value known at s + 15."""
    n = min(len(values), int(np.ceil(duration_s)))
    shifted = values[np.minimum(np.arange(n) + CENTRE_S, len(values) - 1)] if n else values
    labels = [None if np.isnan(v) else "af" if v >= threshold else "other" for v in shifted]
    return spans.of_seconds(labels, lambda s: (float(s), min(s + 1.0, duration_s)))


def af_by_second(reference: Reference, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The values of a record's scored seconds and whether each is annotated AF or flutter."""
    middle = np.arange(len(values), dtype=np.float64) + 0.5
    labels = spans.label_at(reference.rhythms, middle)
    scored = middle >= LEARNING_S
    shifted = values[np.minimum(np.arange(len(values)) + CENTRE_S, len(values) - 1)]
    return shifted[scored], np.array([label in ("AFIB", "AFL") for label in labels])[scored]


def rhythm_tables(
    train: Sequence[tuple[Reference, Stream]], judged: Sequence[tuple[Reference, Stream]]
) -> list[Table]:
    """AF by duration and episode with the threshold chosen on `train`: the rhythm tables' columns, one a
    database.
    """
    parts = [af_by_second(r, each_second(s.beats_s, len(s.readable))) for r, s in train]
    threshold = best_threshold(
        np.concatenate([np.empty(0), *(v for v, _ in parts)]),
        np.concatenate([np.empty(0, bool), *(af for _, af in parts)]),
    )
    trained_on = ", ".join(dict.fromkeys(r.database for r, _ in train))
    tables = []
    for database in dict.fromkeys(r.database for r, _ in judged):
        counts: dict[str, list[Counts]] = {"af": [], "af, flutter apart": []}
        patients = []
        for reference, stream in judged:
            if reference.database != database:
                continue
            patients.append(reference.patient)
            values = each_second(stream.beats_s, len(stream.readable))
            values[~stream.readable] = np.nan
            said = said_intervals(values, threshold, reference.duration_s)
            for name, count in compare_record(reference, said, ("af",)).items():
                counts[name].append(count)
        found = table(f"baseline: AF from RR intervals on {database}", list(counts), patients, counts)
        note = f"CosEn at or above {threshold:.3f}, chosen on {trained_on}'s training split. {found.note}"
        tables.append(Table(found.title, found.columns, found.rows, note))
    return tables


def cinc_table(
    train: Sequence[tuple[str, Stream]],
    judged: Sequence[tuple[str, Stream]],
    model_said: Sequence[str] | None = None,
) -> Table:
    """F1 of AF against all else on CinC 2017 records (label, stream); threshold chosen on `train`."""
    values = np.array([cos_en(np.diff(s.beats_s)) for _, s in train])
    threshold = best_threshold(values, np.array([label == "A" for label, _ in train], bool))
    found = np.array([cos_en(np.diff(s.beats_s)) for _, s in judged])
    truth = np.array([label == "A" for label, _ in judged], bool)
    rows: list[tuple[Cell, ...]] = [
        _binary_row("RR entropy (CosEn)", truth, np.nan_to_num(found, nan=-np.inf) >= threshold)
    ]
    if model_said is not None:
        rows.append(_binary_row("this model", truth, np.array([said == "A" for said in model_said])))
    others = ", ".join(c for c in CINC_CLASSES if c != "A")
    note = f"AF against {others}; threshold {threshold:.3f}, chosen on the training split."
    return Table(
        "baseline: AF from RR intervals on cinc2017", ("detector", "F1 A", "Se", "+P", "Sp"), rows, note
    )


def _binary_row(name: str, truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> tuple[Cell, ...]:
    counts = np.stack([truth & said, truth, said, ~truth & ~said, ~truth], axis=1).astype(np.float64)
    units = [str(i) for i in range(len(truth))]
    return (
        name,
        statistics.bootstrap(units, counts, lambda c: statistics.f1(c[:, 0], c[:, 1], c[:, 2])),
        statistics.bootstrap(units, counts, lambda c: statistics.ratio(c[:, 0], c[:, 1])),
        statistics.bootstrap(units, counts, lambda c: statistics.ratio(c[:, 0], c[:, 2])),
        statistics.bootstrap(units, counts, lambda c: statistics.ratio(c[:, 3], c[:, 4])),
    )
