"""The annotated recordings that a protocol judges: all that can be amiss with them is found before the first of them is streamed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ecgstream.evaluation import BadReference
from ecgstream.evaluation.references import Reference, read_reference
from ecgstream.evaluation.sources import check_source, read_source
from ecgstream.evaluation.streaming import Model, Stream, stream_records, unscored

TOLD = 20


def read_references(
    data: Path, wanted: Mapping[str, Sequence[str]], unjudged: Collection[str] | None = ()
) -> list[Reference]:
    """The annotations of each database's records (`ecgstream.evaluation.references.read_reference`), whose signals can be read, too.

    Raises `BadReference` with a line for each record that can't be judged.
    """
    found, amiss = [], []
    for database, records in wanted.items():
        for record in records:
            try:
                check_source(data, database, record)
                found.append(read_reference(data, database, record, unjudged))
            except BadReference as error:
                amiss.append(str(error))
    if amiss:
        more = [f"and {len(amiss) - TOLD} more"] if len(amiss) > TOLD else []
        n = len(found) + len(amiss)
        count = [f"{len(amiss)} of {n} recordings can't be judged; none was yet"] if n > 1 else []
        raise BadReference("\n".join([*amiss[:TOLD], *more, *count]))
    return found


def stream_references(
    data: Path,
    model: Model,
    references: Sequence[Reference],
    done: Callable[[Stream], None],
    *,
    scored: bool = True,
    keep_signal: bool = False,
) -> list[tuple[Reference, Stream]]:
    """Annotations with what the stream says; without scores, or with the filtered signals, on request."""
    by_name = {(r.database, r.record): r for r in references}
    sources = (read_source(data, r.database, r.record, r.patient) for r in references)
    scorer = None if scored else unscored(model)
    streams = stream_records(model, sources, keep_signal=keep_signal, scorer=scorer, done=done)
    return [(by_name[s.source.database, s.source.record], s) for s in streams]
