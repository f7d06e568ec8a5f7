"""Shockable rhythm against the goals of the American Heart Association (Kerber et al. 1997,
doi:10.1161/01.CIR.95.6.1677; AAMI DF80).

The unit is a segment of 10 s within one annotated rhythm, one after the other from the rhythm's onset on;
what is left over and rhythms shorter than 10 s are not judged. The decision is made at the segment's end by the mean
of the probabilities that were told every second from 5 s into the segment on (the acute horizon is 5 s), by the rules of
`ecgstream.evaluation.shocks`.

| rhythm | goal | its lower bound |
|---|---|---|
| coarse VF (flutter included; peak to peak 0.2 mV and more) | Se > 90 % | 87 % |
| rapid VT (150/min and more) | Se > 75 % | 67 % |
| sinus | Sp > 99 % | 97 % |
| AF, SVT, block, idioventricular, ectopic, paced | Sp > 95 % | 88 % |
| asystole (under 0.08 mV as annotated, not measured here) | Sp > 95 % | 92 % |
| fine VF, slower VT, noise | reported only | |

The bound is the 90 % one-sided lower one: exact (Clopper-Pearson, segments taken as independent, as
manufacturers report it) and, since segments of one record aren't independent, by bootstrap over patients. A
segment that can't be read gets no decision: it counts as "no shock" in `Se` and `Sp`, its share is shown,
and `readable` gives the figure without them.

The AHA asks for 200 segments of coarse VF, 50 of rapid VT, 100 of sinus rhythm, 30 of the others and 100 of asystole at least; a goal
that is met in fewer is met in "too few".

Departures: VF's amplitude is the median over the segment's seconds of the peak-to-peak voltage of the
filtered signal. VT's rate is that of the annotated beats where the database has them and else the strongest
periodicity of the signal between 75 and 360 a minute (autocorrelation); both are properties of the
reference, not of the prediction.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import NothingToJudge, spans, statistics
from ecgstream.evaluation.annotated import read_references, stream_references
from ecgstream.evaluation.chosen import named, none_in
from ecgstream.evaluation.folds import fold_for, has_folds, with_fold
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import ACUTE_OF, Reference, records_of, renamed
from ecgstream.evaluation.results import Cell, Confusion, Evaluation, Prediction, Shown, Table, Worst
from ecgstream.evaluation.shocks import GOALS, Segment, segments_of, stretches
from ecgstream.evaluation.streaming import Stream
from ecgstream.evaluation.ventricular import SEGMENT_S
from ecgstream.training.splits import VFDB

if TYPE_CHECKING:
    from ecgstream import model_folder

DATABASES = ("vfdb", "mitdb")
COLUMNS = (
    "rhythm", "figure", "goal", "its bound", "segments", "patients", "value", "lower bound (exact)",
    "lower bound (patients)", "unreadable", "readable value", "goal met",
)  # fmt: skip


def _group_row(name: str, segments: Sequence[Segment]) -> tuple[Cell, ...]:
    goal = GOALS[name]
    readable = np.array([s.told is not None for s in segments], bool)
    right = np.array([s.is_right for s in segments], bool)
    patients = [s.patient for s in segments]
    counts = np.stack([right, np.ones(len(segments))], axis=1).astype(np.float64)
    over_patients = statistics.bootstrap(
        patients, counts, lambda c: statistics.ratio(c[:, 0], c[:, 1]), level=0.8
    )
    value, bound = float(right.mean()), statistics.lower_bound(int(right.sum()), len(segments))
    return (
        name,
        "Se" if goal.is_shock else "Sp",
        None if math.isnan(goal.value) else Shown(goal.value, f"> {100 * goal.value:.0f}"),
        None if math.isnan(goal.bound) else Shown(goal.bound, f"{100 * goal.bound:.0f}"),
        len(segments),
        len(set(patients)),
        value,
        bound,
        over_patients.low,
        float(1.0 - readable.mean()),
        float(right[readable].mean()) if readable.any() else float("nan"),
        goal.met(value, bound, len(segments)),
    )


def evaluate(
    pairs: Sequence[tuple[Reference, Stream]], classes: Sequence[str], *, model: str, split: str
) -> Evaluation:
    """Judge the acute rhythm of streams (with their signals kept), by database."""
    result = Evaluation("acute", model, split)
    every: list[Segment] = []
    for database in dict.fromkeys(reference.database for reference, _ in pairs):
        segments = [s for r, t in pairs if r.database == database for s in segments_of(r, t, classes)]
        every += segments
        grouped = {name: [s for s in segments if s.group == name] for name in GOALS}
        rows = [_group_row(name, group) for name, group in grouped.items() if group]
        note = f"segments of {SEGMENT_S} s; per cent; lower bounds are one-sided at 90 %."
        result.tables.append(Table(f"shockable rhythm on {database}", COLUMNS, rows, note))
        result.tables.append(_by_record(database, segments))
    truth = np.array([classes.index(s.acute) for s in every], np.int64)
    said = np.array([-1 if s.told is None else classes.index(s.told) for s in every], np.int64)
    result.confusions["segment"] = Confusion(
        tuple(classes), statistics.confusion(truth, said, len(classes)), "segments of 10 s"
    )
    result.predictions = [_prediction(s, classes) for s in every]
    _seconds(result, pairs, classes)
    wrong = [s for s in every if not math.isnan(GOALS[s.group].value) and not s.is_right]
    for record in dict.fromkeys((s.database, s.record) for s in wrong):
        first, *others = [s for s in wrong if (s.database, s.record) == record]
        caption = (
            f"{first.database}/{first.record} at {first.start_s:.0f} s: {first.group}, called"
            f" {first.told or 'unreadable'}, {'shock' if first.is_shock else 'no shock'}; {1 + len(others)} such segments in this record"
        )
        shown = Worst(first.database, first.record, first.start_s, first.start_s + SEGMENT_S, caption)
        result.worst.append(shown)
    return result


def _prediction(segment: Segment, classes: Sequence[str]) -> Prediction:
    told, shock = segment.told or "unreadable", "yes" if segment.is_shock else "no"
    return Prediction(
        f"{segment.database}/{segment.record}",
        segment.start_s,
        segment.start_s + SEGMENT_S,
        segment.group,
        {name: segment.shares.get(name, math.nan) for name in classes},
        {"patient": segment.patient, "told": told, "shock": shock},
    )


def _by_record(database: str, segments: Sequence[Segment]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for record in dict.fromkeys(s.record for s in segments):
        own = [s for s in segments if s.record == record]
        shock = [s for s in own if GOALS[s.group].is_shock]
        rest = [s for s in own if not GOALS[s.group].is_shock]
        rows.append(
            (
                record,
                len(shock),
                float(np.mean([s.is_right for s in shock])) if shock else float("nan"),
                len(rest),
                float(np.mean([s.is_right for s in rest])) if rest else float("nan"),
                float(np.mean([s.told is None for s in own])),
            )
        )
    columns = ("record", "shockable", "Se", "not shockable", "Sp", "unreadable")
    return Table(f"by record on {database}", columns, rows, "All groups, those without a goal too.")


def _seconds(result: Evaluation, pairs: Sequence[tuple[Reference, Stream]], classes: Sequence[str]) -> None:
    """Calibration of every second, judged by the rhythm 2 s before its end (the horizon's middle)."""
    right: list[NDArray[np.bool_]] = []
    top: list[NDArray[np.float32]] = []
    for reference, stream in pairs:
        n = len(stream.acute)
        truth = np.array(
            spans.label_at(renamed(reference.rhythms, ACUTE_OF), np.arange(n, dtype=np.float64) - 1.0),
            dtype=object,
        )
        known = ~np.isnan(stream.acute).any(axis=1) & stream.readable
        judged = known & np.array([t is not None for t in truth], bool)
        said = np.array(classes, dtype=object)[np.nan_to_num(stream.acute).argmax(axis=1)] if n else truth
        right.append((said == truth)[judged].astype(bool))
        top.append(stream.acute[judged].max(axis=1) if judged.any() else np.empty(0, np.float32))
    if any(len(part) for part in right):
        result.reliabilities["second"] = statistics.reliability(
            np.concatenate(top).astype(np.float64), np.concatenate(right)
        )


def run(
    data: Path,
    model: "model_folder.Model",
    split: str,
    done: Callable[[Stream], None],
    databases: Sequence[str] = DATABASES,
) -> Evaluation:
    """Stream the annotated records of a split and judge their acute rhythm.

    Where the model folder carries heads of folds, all of VFDB is judged, each patient by the head that
    never met them.
    """
    databases = named(databases)
    wanted = {
        (database, fold): read_references(data, {database: records})
        for database in databases
        for fold, records in folds_of(model, data, database, split).items()
    }
    n = sum(map(len, wanted.values()))
    if not n:
        raise none_in(databases, split, data)
    if not any(stretches(reference) for references in wanted.values() for reference in references):
        raise NothingToJudge(
            f"{data}: no rhythm of {' or '.join(databases)} is annotated there: nothing to judge"
        )
    expect(done, n)
    pairs: list[tuple[Reference, Stream]] = []
    for (_, fold), references in wanted.items():
        pairs += stream_references(data, with_fold(model, fold), references, done, keep_signal=True)
    return evaluate(pairs, tuple(model.acute_classes), model=model.name, split=split)


def folds_of(
    model: "model_folder.Model", data: Path, database: str, split: str
) -> dict[int | None, list[str]]:
    """Which records are judged by which head; ``None`` is the one that serves."""
    whole = database == VFDB and has_folds(model)
    folds: dict[int | None, list[str]] = {}
    for record in records_of(data, database, "all" if whole else split):
        folds.setdefault(fold_for(model, database, record), []).append(record)
    return folds
