"""Each protocol whole: what it reads, how it judges, and the baseline beside it."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ecgstream.evaluation import NothingToJudge, rr_baseline
from ecgstream.evaluation import acute as acute_protocol
from ecgstream.evaluation import beat_classes as beat_protocol
from ecgstream.evaluation import cinc2017 as cinc_protocol
from ecgstream.evaluation import rhythms as rhythm_protocol
from ecgstream.evaluation.annotated import read_references, stream_references
from ecgstream.evaluation.chosen import chosen, named, unannotated
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import LEARNING_S, read_cinc_labels, records_of
from ecgstream.evaluation.results import Evaluation
from ecgstream.model_folder import Model
from ecgstream.training.splits import MITDB, MITDB_PACED
from ecgstream.whole_record import score_record

Done = Callable[[Any], None]  # told of each recording that is done
RHYTHMS_OF = ("mitdb", "vfdb")
BEATS_OF = ("mitdb", "svdb")


def cinc2017(data: Path, model: Model, split: str, done: Done, *, baseline: bool = True) -> Evaluation:
    """Short wearable recordings; with `baseline` beside AF from RR intervals, where there is a training split."""
    if baseline:
        expect(done, len(read_cinc_labels(data, "train")))
    result, streams = cinc_protocol.run(data, model, partial(score_record, model), split, done)
    if baseline:
        labels = read_cinc_labels(data, "all")
        fitting = cinc_protocol.front_end_only(data, model, "train", done)
        said = {p.record: p.label for p in result.predictions}
        judged = [(labels[s.source.record], s) for s in streams]
        train = [(labels[s.source.record], s) for s in fitting]
        ours = [said[s.source.record] for s in streams]
        try:
            result.tables.append(rr_baseline.cinc_table(train, judged, ours))
        except rr_baseline.NoThreshold:
            result.tables.append(rr_baseline.left_out(cinc_protocol.DATABASE, data))
    return result


def rhythms(
    data: Path,
    model: Model,
    split: str,
    done: Done,
    *,
    baseline: bool = True,
    databases: Sequence[str] = RHYTHMS_OF,
    unjudged: Collection[str] = (),
) -> Evaluation:
    """Rhythms in long recordings, but those that the experts call one of `unjudged`; with `baseline` beside AF from RR intervals,
    where mitdb is there to choose its threshold on.
    """
    databases = named(databases)
    fitting = records_of(data, MITDB, "train") if baseline and any((data / MITDB).glob("*.atr")) else []
    expect(done, len(fitting))
    to_fit = read_references(data, {MITDB: fitting})
    result, pairs = rhythm_protocol.run(data, model, split, done, databases, unjudged)
    if baseline:
        train = stream_references(data, model, to_fit, done, scored=False)
        try:
            result.tables += rr_baseline.rhythm_tables(train, pairs)
        except rr_baseline.NoThreshold:
            result.tables.append(rr_baseline.left_out(MITDB, data))
    return result


def beats_classes(
    data: Path, model: Model, split: str, done: Done, *, databases: Sequence[str] = BEATS_OF
) -> Evaluation:
    """Beat types between patients."""
    wanted = {database: chosen(data, database, split) for database in named(databases)}
    if MITDB in wanted and set(wanted[MITDB]) <= MITDB_PACED:
        raise NothingToJudge(
            f"{data}: all recordings of mitdb there in the split '{split}' are paced: nothing to judge"
        )
    references = read_references(data, wanted, None)
    for database in wanted:
        if not any((r.beats_s >= LEARNING_S).any() for r in references if r.database == database):
            raise unannotated("beat", database, data)
    expect(done, len(references))
    pairs = stream_references(data, model, references, done)
    return beat_protocol.evaluate(pairs, model, split)


def of_the_network(data: Path, model: Model, done: Done) -> list[Evaluation]:
    """All that is told of a network, on what it never learnt from."""
    return [
        cinc2017(data, model, "dev", done),
        beats_classes(data, model, "dev", done),
        rhythms(data, model, "dev", done),
        acute_protocol.run(data, model, "dev", done),
    ]
