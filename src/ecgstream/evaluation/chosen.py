"""Which records an evaluation judges."""

from collections.abc import Sequence
from pathlib import Path

from ecgstream.evaluation import NothingToJudge
from ecgstream.evaluation.references import records_of


def chosen(data: Path, database: str, split: str) -> list[str]:
    """The annotated records of a database that are in a split. Raises `NothingToJudge` where there are none."""
    records = records_of(data, database, split)
    if not records:
        raise none_in((database,), split, data)
    return records


def none_in(databases: Sequence[str], split: str, data: Path) -> NothingToJudge:
    """What to raise where databases have no record in a split."""
    return NothingToJudge(
        f"{data}: no recording of {' or '.join(databases)} there is in the split '{split}': nothing to judge"
    )
