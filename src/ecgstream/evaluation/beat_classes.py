"""Beat types between patients, as ANSI/AAMI EC57 counts them.

Our beats are matched one to one with the annotated ones within 150 ms (nearest first in time order, as
PhysioNet's `bxb`), from 5:00 on, outside ventricular fibrillation. Records with paced beats (102, 104, 107,
217) are left out. Then, of the pairs:

- VEB: sensitivity V→V over all annotated V, missed ones too. +P over all beats that we call V, where
  calling a fusion (F) or an unclassifiable (Q) beat V is not held against us (EC57, as de Chazal 2004,
  doi:10.1109/TBME.2004.827359, states it).
- SVEB: sensitivity S→S over all annotated S. +P over all that we call S, where Q is not held against us; F is.
- A beat of ours where there is none counts as a false V or S if it is called so.
- A beat to which no class was given (no frame for it, unreadable second) is missed, and its share is reported.

Gross figures over all beats, with intervals by bootstrap over patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import statistics
from ecgstream.evaluation.labels import kinds_of
from ecgstream.evaluation.references import LEARNING_S, Reference
from ecgstream.evaluation.results import Cell, Confusion, Evaluation, Later, Prediction, Table, Worst
from ecgstream.evaluation.streaming import Model, Stream
from ecgstream.training.splits import MITDB_PACED

TOLERANCE_S = 0.150
REFERENCE_KINDS = ("N", "S", "V", "F", "Q", "-")  # "-": no beat there
OUR_KINDS = ("N", "S", "V", "?", "-")  # "?": a beat without a class, "-": none found
COLUMNS = (
    "database", "patients", "beats", "V", "VEB Se", "VEB +P", "S", "SVEB Se", "SVEB +P", "without a class",
)  # fmt: skip
Floats = NDArray[np.float64]


def match(reference_s: Floats, ours_s: Floats, tolerance_s: float = TOLERANCE_S) -> NDArray[np.int64]:
    """Pair two sorted rows of times one to one: int64 (n_reference,), the index of our beat or -1.

    A beat of ours goes to the nearer of two annotated ones that could have it.

    >>> match(np.array([1.0, 2.0]), np.array([1.1, 2.5])).tolist()
    [0, -1]
    """
    pairs = np.full(len(reference_s), -1, np.int64)
    i = j = 0
    while i < len(reference_s) and j < len(ours_s):
        gap = ours_s[j] - reference_s[i]
        if gap < -tolerance_s:
            j += 1
        elif gap > tolerance_s:
            i += 1
        elif j + 1 < len(ours_s) and abs(ours_s[j + 1] - reference_s[i]) < abs(gap):
            j += 1
        elif i + 1 < len(reference_s) and abs(ours_s[j] - reference_s[i + 1]) < abs(gap):
            i += 1
        else:
            pairs[i] = j
            i, j = i + 1, j + 1
    return pairs


def tally(reference: Reference, times_s: Floats, kinds: NDArray[np.str_]) -> Floats:
    """Count one record's pairs: float64 (6, 5), rows `REFERENCE_KINDS`, columns `OUR_KINDS`."""
    counts = np.zeros((len(REFERENCE_KINDS), len(OUR_KINDS)))
    pairs = match(reference.beats_s, times_s)
    for at_s, kind, pair in zip(reference.beats_s, reference.kinds, pairs, strict=True):
        if is_scored(reference, at_s):
            said = "-" if pair < 0 else str(kinds[pair])
            counts[REFERENCE_KINDS.index(str(kind)), OUR_KINDS.index(said)] += 1
    extra = np.ones(len(times_s), bool)
    extra[pairs[pairs >= 0]] = False
    for at_s, kind in zip(times_s[extra], kinds[extra], strict=True):
        if is_scored(reference, at_s):
            counts[REFERENCE_KINDS.index("-"), OUR_KINDS.index(str(kind))] += 1
    return counts


def is_scored(reference: Reference, at_s: float) -> bool:
    """After the learning period and outside ventricular fibrillation."""
    return at_s >= LEARNING_S and not any(
        i.start_s - TOLERANCE_S <= at_s <= i.end_s + TOLERANCE_S for i in reference.fibrillation
    )


@dataclass(frozen=True)
class Figures:
    """Sensitivity and +P of V and S from tables (b, 6, 5): each (b,)."""

    veb_se: Floats
    veb_ppv: Floats
    sveb_se: Floats
    sveb_ppv: Floats


def figures(counts: Floats) -> Figures:
    """EC57's figures from counts (b, 6, 5)."""
    n, s, v, f, _, none = range(6)
    column = OUR_KINDS.index
    as_v, as_s = counts[:, :, column("V")], counts[:, :, column("S")]
    return Figures(
        statistics.ratio(as_v[:, v], counts[:, v].sum(axis=1)),
        statistics.ratio(as_v[:, v], as_v[:, [n, s, v, none]].sum(axis=1)),
        statistics.ratio(as_s[:, s], counts[:, s].sum(axis=1)),
        statistics.ratio(as_s[:, s], as_s[:, [n, s, v, f, none]].sum(axis=1)),
    )


def classes_of(stream: Stream, model: Model) -> NDArray[np.str_]:
    """The class given to each of our beats, ``?`` where none was: (m,)."""
    given = np.array(kinds_of(stream, model), dtype="U1")
    known = given != "Q"
    if len(stream.readable):
        second = np.clip(stream.beats_s.astype(np.int64), 0, len(stream.readable) - 1)
        known &= stream.readable[second]
    return np.where(known, given, "?")


def evaluate(pairs: Sequence[tuple[Reference, Stream]], model: Model, split: str) -> Evaluation:
    """Judge the streams' beats, one row a database."""
    later, classes = Later(), model.beat_classes
    result = Evaluation("beats-classes", model.name, split, predictions=later)
    rows: list[tuple[Cell, ...]] = []
    records: list[tuple[Cell, ...]] = []
    total = np.zeros((len(REFERENCE_KINDS), len(OUR_KINDS)))
    shares: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    truths: list[NDArray[np.int64]] = []
    wrong: list[tuple[int, Worst]] = []
    pairs = [(r, s) for r, s in pairs if not (r.database == "mitdb" and r.record in MITDB_PACED)]
    for database in dict.fromkeys(reference.database for reference, _ in pairs):
        chosen = [(r, s) for r, s in pairs if r.database == database]
        patients = [r.patient for r, _ in chosen]
        given = [classes_of(s, model) for _, s in chosen]
        counts = np.array([tally(r, s.beats_s, said) for (r, s), said in zip(chosen, given, strict=True)])
        total += counts.sum(axis=0)
        rows.append(_row(database, patients, counts))
        for (reference, stream), said, count in zip(chosen, given, counts, strict=True):
            one = figures(count[None])
            name, n_v, n_s = f"{database}/{reference.record}", int(count[2].sum()), int(count[1].sum())
            v, s = (one.veb_se, one.veb_ppv), (one.sveb_se, one.sveb_ppv)
            records.append((name, n_v, *(float(x[0]) for x in v), n_s, *(float(x[0]) for x in s)))
            wrong += _worst(reference, stream, classes, said, count)
            pair = match(reference.beats_s, stream.beats_s)
            judged = (pair >= 0) & np.isin(reference.kinds, classes) & (reference.beats_s >= LEARNING_S)
            judged[judged] &= said[pair[judged]] != "?"
            shares.append(stream.beats[pair[judged]].reshape(-1, len(classes)))
            labels.append(_indices(said[pair[judged]], classes))
            truths.append(_indices(reference.kinds[judged], classes))
            later.parts.append(partial(_predictions, reference, stream, classes, said))
    note = "AAMI EC57, between patients, from 5:00; 95 % intervals over patients."
    result.tables.append(Table("beat classes", COLUMNS, rows, note))
    result.tables.append(
        Table("by record", ("record", "V", "VEB Se", "VEB +P", "S", "SVEB Se", "SVEB +P"), records)
    )
    names = tuple(dict.fromkeys((*REFERENCE_KINDS, *OUR_KINDS)))
    matrix = np.zeros((len(names), len(names)), np.int64)
    matrix[np.ix_([names.index(k) for k in REFERENCE_KINDS], [names.index(k) for k in OUR_KINDS])] = total
    result.confusions["beat"] = Confusion(names, matrix, "beats")
    if shares:
        result.reliabilities["beat"] = statistics.reliability_of_labels(
            np.concatenate(shares), np.concatenate(labels), np.concatenate(truths)
        )
    result.worst = [worst for _, worst in sorted(wrong, key=lambda pair: -pair[0])[:8]]
    return result


def _indices(kinds: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.int64]:
    return np.array([classes.index(str(kind)) for kind in kinds], np.int64)


def _row(database: str, patients: Sequence[str], counts: Floats) -> tuple[Cell, ...]:
    matrix = counts.sum(axis=0)
    found = matrix[:5, :4].sum()
    return (
        database,
        len(set(patients)),
        int(matrix[:5].sum()),
        int(matrix[2].sum()),
        statistics.bootstrap(patients, counts, lambda c: figures(c).veb_se),
        statistics.bootstrap(patients, counts, lambda c: figures(c).veb_ppv),
        int(matrix[1].sum()),
        statistics.bootstrap(patients, counts, lambda c: figures(c).sveb_se),
        statistics.bootstrap(patients, counts, lambda c: figures(c).sveb_ppv),
        float(matrix[:5, OUR_KINDS.index("?")].sum() / found) if found else float("nan"),
    )


def _worst(
    reference: Reference, stream: Stream, classes: Sequence[str], said: NDArray[np.str_], count: Floats
) -> list[tuple[int, Worst]]:
    pair = match(reference.beats_s, stream.beats_s)
    found = np.array([k if p < 0 else said[p] for k, p in zip(reference.kinds, pair, strict=True)])
    amiss = (pair >= 0) & np.isin(reference.kinds, classes) & (found != reference.kinds) & (found != "?")
    amiss &= reference.beats_s >= LEARNING_S
    if not amiss.any():
        return []
    times = reference.beats_s[amiss]
    densest = int(np.argmax(np.searchsorted(times, times + 10.0) - np.arange(len(times))))
    start = float(max(0.0, times[densest] - 1.0))
    name = f"{reference.database}/{reference.record}"
    caption = f"{name} from {start:.0f} s: {amiss.sum()} of {int(count[:3].sum())} beats called another class"
    return [(int(amiss.sum()), Worst(reference.database, reference.record, start, start + 12.0, caption))]


def _predictions(
    reference: Reference, stream: Stream, classes: Sequence[str], said: NDArray[np.str_]
) -> Iterator[Prediction]:
    name = f"{reference.database}/{reference.record}"
    for at, kind, share in zip(stream.beats_s, said, stream.beats, strict=True):
        yield Prediction(
            name, float(at), float(at), str(kind), dict(zip(classes, share.tolist(), strict=True))
        )
