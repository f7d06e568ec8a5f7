"""Which records an evaluation judges."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from ecgstream.evaluation import NothingToJudge
from ecgstream.evaluation.references import records_of


def named(databases: Sequence[str]) -> list[str]:
    """The names of databases as a user gives them, each once. Raises `FileNotFoundError` for a path: by its folder's name alone it is
    known who of a database was learnt from.
    """
    names = [PurePath(given).name for given in databases]
    for given, name in zip(databases, names, strict=True):
        if PurePath(given).parts != (name,) or name == "..":
            raise FileNotFoundError(
                f"--database {given or repr(given)}: expected the name of a folder in --data, such as mitdb: it says which recordings were"
                " learnt from"
            )
    return list(dict.fromkeys(names))


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


def unannotated(what: str, database: str, data: Path) -> NothingToJudge:
    """What to raise where a database's annotations hold nothing of a kind in the time that is judged."""
    return NothingToJudge(f"{data}: no {what} of {database} is annotated after 5:00: nothing to judge")
