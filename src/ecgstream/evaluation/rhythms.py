"""Rhythms by duration and by episode, as ANSI/AAMI EC57 asks and PhysioNet's `epicmp` counts.

- Duration sensitivity: of the time the experts call a rhythm, the share that we call so. Duration +P: of the
  time we call so, the share that they do.
- Episode sensitivity: of their episodes, the share that shares any time with one of ours; episode +P the other
  way round.
- The first five minutes of a record aren't scored. Nor is time whose rhythm has no class here (ventricular
  fibrillation, asystole).
- `af` counts flutter as fibrillation; `af, flutter apart` leaves the experts' flutter out of both sides, as
  `epicmp -A` does.
- A window of which less than 20 s can be read gets no rhythm: it is missed where there was one, and the share of
  such time is reported. The figures over the other time alone stand beside them.

A finding looks back 30 s and speaks for the second in the middle of its window: second s is judged by the
finding that is known at s + 15. No episode is dropped for being short and no label is smoothed. Gross
figures are over all patients' time together, with intervals by bootstrap over patients.

Sinus rhythm with ectopic beats is "other" to CinC 2017, which the network also learns from, and `(N` to
MIT-BIH. Here it is `sinus` where the beats explain it (`ecgstream.patterns`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import spans, statistics
from ecgstream.evaluation.annotated import read_references, stream_references
from ecgstream.evaluation.chosen import chosen, unannotated
from ecgstream.evaluation.labels import CENTRE_S, centred, labels_of, why_none
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import (
    LEARNING_S,
    RHYTHM_OF,
    Interval,
    Reference,
    renamed,
)
from ecgstream.evaluation.results import Cell, Confusion, Evaluation, Later, Prediction, Table, Worst, fixed
from ecgstream.evaluation.spans import Span
from ecgstream.evaluation.statistics import Estimate
from ecgstream.evaluation.streaming import Model, Stream

UNTRAINED = "vfdb"  # its rhythms are not learnt from, so all of its patients are judged
COLUMNS = (
    "rhythm", "patients", "minutes", "duration Se", "duration +P", "duration Sp", "readable Se",
    "episodes", "episode Se", "our episodes", "episode +P",
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """One record, one rhythm: seconds and episodes."""

    reference_s: float
    hit_s: float
    said_s: float
    scored_s: float
    readable_reference_s: float
    episodes: int
    episodes_hit: int
    said_episodes: int
    said_episodes_hit: int

    def row(self) -> list[float]:
        """The counts in the order of the fields."""
        return [float(v) for v in vars(self).values()]


Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def compare(
    reference: Sequence[Span], said: Sequence[Span], scored: Sequence[Span], readable: Sequence[Span]
) -> Counts:
    """Compare one rhythm's stretches with ours within the scored time."""
    truth = spans.intersection(reference, scored)
    ours = spans.intersection(said, scored)
    return Counts(
        spans.length(truth),
        spans.length(spans.intersection(truth, ours)),
        spans.length(ours),
        spans.length(scored),
        spans.length(spans.intersection(truth, readable)),
        len(truth),
        spans.touched(truth, ours),
        len(ours),
        spans.touched(ours, truth),
    )


def table(
    title: str, names: Sequence[str], patients: Sequence[str], counts: dict[str, list[Counts]]
) -> Table:
    """Gross figures of each rhythm with intervals over patients."""
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        matrix = np.array([c.row() for c in counts[name]]).reshape(-1, 9)
        seen = len({p for p, c in zip(patients, counts[name], strict=True) if c.reference_s > 0})
        total = matrix.sum(axis=0)
        if not total[0] and not total[2]:
            continue

        def figure(statistic: Statistic, counted: NDArray[np.float64] = matrix) -> Estimate:
            return statistics.bootstrap(patients, counted, statistic)

        rows.append(
            (
                name,
                seen,
                fixed(total[0] / 60, 1),
                figure(lambda c: statistics.ratio(c[:, 1], c[:, 0])),
                figure(lambda c: statistics.ratio(c[:, 1], c[:, 2])),
                figure(lambda c: 1 - statistics.ratio(c[:, 2] - c[:, 1], c[:, 3] - c[:, 0])),
                figure(lambda c: statistics.ratio(c[:, 1], c[:, 4])),
                int(total[5]),
                figure(lambda c: statistics.ratio(c[:, 6], c[:, 5])),
                int(total[7]),
                figure(lambda c: statistics.ratio(c[:, 8], c[:, 7])),
            )
        )
    note = f"{len(set(patients))} patients; per cent, 95 % intervals over patients; from 5:00 of each record."
    return Table(title, COLUMNS, rows, note)


def scored_spans(reference: Reference) -> list[Span]:
    """The time of a record in which rhythms are judged."""
    known = [(i.start_s, i.end_s) for i in renamed(reference.rhythms, RHYTHM_OF)]
    return spans.intersection(spans.union(known), [(LEARNING_S, reference.duration_s)])


def compare_record(reference: Reference, said: Sequence[Interval], names: Sequence[str]) -> dict[str, Counts]:
    """All rhythms of one record, and AF with flutter apart."""
    truth = renamed(reference.rhythms, RHYTHM_OF)
    scored = scored_spans(reference)
    readable = spans.union([(i.start_s, i.end_s) for i in said])
    found = {
        name: compare(spans.spans_of(truth, name), spans.spans_of(said, name), scored, readable)
        for name in names
    }
    flutter = spans.spans_of(reference.rhythms, "AFL")
    found["af, flutter apart"] = compare(
        spans.spans_of(reference.rhythms, "AFIB"),
        spans.spans_of(said, "af"),
        spans.without(scored, flutter),
        readable,
    )
    return found


def evaluate(
    pairs: Sequence[tuple[Reference, Stream]],
    classes: Sequence[str],
    *,
    model: str,
    split: str,
    thresholds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Judge streams against their references, one table a database."""
    result = Evaluation("rhythms", model, split)
    names = [*classes, "af, flutter apart"]
    abstained: list[tuple[Cell, ...]] = []
    labels = [labels_of(stream, classes, thresholds) for _, stream in pairs]
    for database in dict.fromkeys(reference.database for reference, _ in pairs):
        own = [(r, named) for (r, _), named in zip(pairs, labels, strict=True) if r.database == database]
        patients = [r.patient for r, _ in own]
        counts: dict[str, list[Counts]] = {name: [] for name in names}
        silent = scored = 0.0
        for reference, named in own:
            said = centred(named, reference.duration_s)
            for name, count in compare_record(reference, said, classes).items():
                counts[name].append(count)
            judged = scored_spans(reference)
            spoken = spans.intersection(spans.union([(i.start_s, i.end_s) for i in said]), judged)
            silent += spans.length(judged) - spans.length(spoken)
            scored += spans.length(judged)
        result.tables.append(table(f"rhythms on {database}", names, patients, counts))
        abstained.append((database, fixed(scored / 3600, 1), silent / scored if scored else float("nan")))
    result.tables.append(
        Table("abstention", ("database", "hours scored", "share without a rhythm"), abstained)
    )
    _details(result, pairs, classes, labels)
    return result


def _details(
    result: Evaluation,
    pairs: Sequence[tuple[Reference, Stream]],
    classes: Sequence[str],
    named: Sequence[Sequence[str | None]],
) -> None:
    """Confusion, calibration (of what the greatest probability named), predictions and worst records, by second; `named`: what each
    stream's findings name.
    """
    result.predictions = later = Later()
    truths, saids, shares = [], [], []
    wrong: list[tuple[float, Worst]] = []
    for (reference, stream), labels in zip(pairs, named, strict=True):
        n = len(stream.rhythm)
        if n == 0:
            continue
        judged_by = np.minimum(np.arange(n) + CENTRE_S, n - 1)
        middle = np.arange(n, dtype=np.float64) + 0.5
        scored = [(a, b) for a, b in scored_spans(reference)]
        inside = np.array([any(a <= t < b for a, b in scored) for t in middle])
        truth_names = spans.label_at(renamed(reference.rhythms, RHYTHM_OF), middle)
        position = {name: i for i, name in enumerate(classes)}
        truth = np.where(inside, [position.get(str(name), -1) for name in truth_names], -1)
        said = np.array([position.get(str(labels[k]), -1) for k in judged_by])
        both = (truth >= 0) & (said >= 0)
        truths.append(truth[both])
        saids.append(said[both])
        shares.append(stream.rhythm[judged_by][both])
        amiss = both & (truth != said)
        if amiss.any():
            at = int(np.flatnonzero(amiss)[np.argmax(stream.rhythm[judged_by][amiss].max(axis=1))])
            caption = (
                f"{reference.database}/{reference.record} at {at} s: experts {classes[truth[at]]}, called"
                f" {classes[said[at]]}; {amiss.sum() / max(1, both.sum()):.0%} of the record's seconds differ"
            )
            start = max(0.0, at - 15.0)
            wrong.append(
                (
                    amiss.sum() / both.sum(),
                    Worst(reference.database, reference.record, start, start + 30.0, caption),
                )
            )
        later.parts.append(partial(_predictions, reference, stream, classes, labels))
    truth, said = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (truths, saids))
    matrix = statistics.confusion(truth, said, len(classes))
    result.confusions["second"] = Confusion(tuple(classes), matrix, "seconds")
    if len(truth):
        result.reliabilities["second"] = statistics.reliability_of_labels(np.concatenate(shares), said, truth)
    result.worst = [worst for _, worst in sorted(wrong, key=lambda pair: -pair[0])[:8]]


def _predictions(
    reference: Reference, stream: Stream, classes: Sequence[str], labels: Sequence[str | None]
) -> Iterator[Prediction]:
    for k, row in enumerate(stream.rhythm):
        yield Prediction(
            f"{reference.database}/{reference.record}",
            max(0.0, k - 29.0),
            k + 1.0,
            labels[k] or why_none(stream, k),
            dict(zip(classes, row.tolist(), strict=True)),
        )


def run(
    data: Path,
    model: Model,
    split: str,
    done: Callable[[Stream], None],
    databases: Sequence[str],
    unjudged: Collection[str] = (),
) -> tuple[Evaluation, list[tuple[Reference, Stream]]]:
    """Stream the annotated records of a split, and all of `UNTRAINED`, and judge their rhythms, but those called `unjudged`."""
    wanted = {d: chosen(data, d, "all" if d == UNTRAINED else split) for d in databases}
    references = read_references(data, wanted, unjudged)
    for database in wanted:
        if not any(scored_spans(r) for r in references if r.database == database):
            raise unannotated("rhythm", database, data)
    expect(done, len(references))
    pairs = []
    for database in wanted:
        own = [r for r in references if r.database == database]
        pairs += stream_references(data, model, own, done)
    result = evaluate(
        pairs, tuple(model.rhythm_classes), model=model.name, split=split, thresholds=model.thresholds
    )
    return result, pairs
