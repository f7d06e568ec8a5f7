"""What an evaluation gives, whatever it evaluated: tables, predictions, and what the pictures show."""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.statistics import Estimate, Reliability


@dataclass(frozen=True)
class Shown:
    """A number that isn't a share: its value, NaN where it is unknown, and how a table prints it."""

    value: float
    text: str


Cell = str | int | float | Estimate | Shown | None


def fixed(value: float, digits: int) -> Shown:
    """A number with so many digits after the point.

    >>> fixed(2.25, 1).text
    '2.2'
    """
    return Shown(value, "–" if math.isnan(value) else f"{value:.{digits}f}")


@dataclass(frozen=True)
class Table:
    """A titled table; `note` says by which protocol the figures were counted."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    note: str = ""


@dataclass(frozen=True)
class Prediction:
    """One prediction about one stretch of one record, seconds from the record's start; `more`: what else is known of it, by column."""

    record: str
    start_s: float
    end_s: float
    label: str
    probabilities: dict[str, float]
    more: dict[str, str] = field(default_factory=dict)


class Later:
    """Predictions that are made when they are asked for: those of a day are a hundred thousand, and few want them."""

    def __init__(self) -> None:
        self.parts: list[Callable[[], Iterable[Prediction]]] = []

    def __iter__(self) -> Iterator[Prediction]:
        for part in self.parts:
            yield from part()


@dataclass(frozen=True)
class Confusion:
    """Rows are the reference, columns the prediction: int64 (n, n), counted in `unit`."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str


@dataclass(frozen=True)
class Worst:
    """A record that came out badly: where to look, and what was said against what was so."""

    database: str
    record: str
    start_s: float
    end_s: float
    caption: str


@dataclass
class Evaluation:
    """One evaluation of one model on one split."""

    kind: str
    model: str
    split: str
    tables: list[Table] = field(default_factory=list)
    predictions: list[Prediction] | Later = field(default_factory=list)
    confusions: dict[str, Confusion] = field(default_factory=dict)
    reliabilities: dict[str, Reliability] = field(default_factory=dict)
    worst: list[Worst] = field(default_factory=list)

    def table(self, title: str) -> Table:
        """The table of that title; raises `KeyError` with what there is."""
        for table in self.tables:
            if table.title == title:
                return table
        raise KeyError(f"{title}: no such table among {[t.title for t in self.tables]}")


def plain(cell: Cell) -> Any:
    """A cell as JSON holds it: an interval as an object, NaN as null."""
    if isinstance(cell, Estimate):
        return {"value": plain(cell.value), "low": plain(cell.low), "high": plain(cell.high)}
    if isinstance(cell, Shown):
        return plain(cell.value)
    if isinstance(cell, float):
        return round(cell, 6) if math.isfinite(cell) else None
    return cell


def text(cell: Cell) -> str:
    """A cell as a person reads it; fractions in per cent."""
    if isinstance(cell, Estimate):
        if math.isnan(cell.value):
            return "–"
        if math.isnan(cell.low):
            return f"{100 * cell.value:.1f}"
        return f"{100 * cell.value:.1f} ({100 * cell.low:.1f}–{100 * cell.high:.1f})"
    if isinstance(cell, Shown):
        return cell.text
    if isinstance(cell, float):
        return "–" if math.isnan(cell) else f"{100 * cell:.1f}"
    return "–" if cell is None else str(cell)


def markdown(table: Table, heading: str = "##") -> list[str]:
    """A table as lines of Markdown."""
    lines = [
        f"{heading} {table.title}",
        "",
        f"| {' | '.join(table.columns)} |",
        f"|{'---|' * len(table.columns)}",
    ]
    lines += [f"| {' | '.join(text(cell).replace('|', '/') for cell in row)} |" for row in table.rows]
    return [*lines, "", *([table.note, ""] if table.note else [])]


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as plain values: tables as lists of objects, confusion matrices, calibration errors."""
    return {
        "evaluation": evaluation.kind,
        "model": evaluation.model,
        "split": evaluation.split,
        "tables": {
            t.title: {
                "note": t.note,
                "rows": [dict(zip(t.columns, map(plain, row), strict=True)) for row in t.rows],
            }
            for t in evaluation.tables
        },
        "confusions": {
            name: {"classes": list(c.classes), "unit": c.unit, "counts": c.counts.tolist()}
            for name, c in evaluation.confusions.items()
        },
        "calibration_error": {name: plain(r.ece) for name, r in evaluation.reliabilities.items()},
        "calibration_left_out": {name: plain(r.left_out) for name, r in evaluation.reliabilities.items()},
        "worst": [
            {"record": f"{w.database}/{w.record}", "start_s": w.start_s, "caption": w.caption}
            for w in evaluation.worst
        ],
    }


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Write every prediction as CSV (record, start_s, end_s, label, what else is known, then a column a
    class); returns how many. `predictions` are gone through twice.

    The label needn't be the likeliest class: rules from the order of beats and operating points name some.
    """
    columns: dict[str, None] = {}
    others: dict[str, None] = {}
    n = 0
    for row in predictions:
        columns.update(dict.fromkeys(row.probabilities))
        others.update(dict.fromkeys(row.more))
        n += 1
    classes, more = list(columns), list(others)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["record", "start_s", "end_s", "label", *more, *classes])
        for row in predictions:
            shares = (row.probabilities.get(name) for name in classes)
            cells = ["" if p is None or math.isnan(p) else f"{p:.5f}" for p in shares]
            known = (row.more.get(name, "") for name in more)
            writer.writerow(
                [
                    row.record,
                    *(f"{round(t, 3):.10g}" for t in (row.start_s, row.end_s)),
                    row.label,
                    *known,
                    *cells,
                ]
            )
    return n
