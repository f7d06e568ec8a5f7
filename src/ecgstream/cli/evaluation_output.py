"""How `ecgstream evaluate` speaks: progress and mistakes on stderr, tables or JSON on stdout, a report
where asked for.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from ecgstream.evaluation.results import Evaluation, Worst


@contextmanager
def told_plainly() -> Iterator[None]:
    """A user's mistake is told on stderr, in a line or in one for each recording, with exit code 2."""
    from ecgstream.evaluation import BadReference, NothingToJudge
    from ecgstream.model_folder import ModelError
    from ecgstream.training_settings import ConfigError

    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ecgstream"):
            raise
        typer.echo(f"{error.name} is needed to evaluate: pip install 'ecgstream[train]'", err=True)
        raise typer.Exit(2) from error
    except BrokenPipeError:
        raise
    except (OSError, ModelError, BadReference, NothingToJudge, ConfigError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


class Done:
    """Told of each recording as it ends: moves a bar, which knows its length once told how many to expect."""

    def __init__(self, bar: "Progress") -> None:
        self.bar, self.task = bar, bar.add_task("reading", total=None)
        self.count, self.total, self.hours = 0, 0, 0.0

    def expect(self, n: int) -> None:
        """There are `n` more recordings to come."""
        self.total += n
        self.bar.update(self.task, total=self.total)

    def __call__(self, recording: Any) -> None:
        """One more is done."""
        self.count += 1
        source = recording.source
        self.hours += source.duration_s / 3600
        description = f"{self.hours:.1f} h of ECG, {source.database}/{source.record}"
        self.bar.update(self.task, completed=self.count, description=description)


@contextmanager
def progress() -> Iterator[Done]:
    """A bar on stderr, of recordings done of all; silent when stderr isn't a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("recordings, {task.description}"), TimeElapsedColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield Done(bar)


def tell(
    judge: Callable[[Done], "Evaluation"],
    data: Path,
    as_json: bool,
    report: Path | None,
    predictions: Path | None,
) -> None:
    """Judge, once it is sure that the outcome can be written where it is wanted, and show it."""
    with told_plainly():
        make_ready(report, predictions)
        with progress() as done:
            result = judge(done)
        show(result, data, as_json, report, predictions)


def make_ready(report: Path | None, predictions: Path | None) -> None:
    """Make the folders that are to be written into. Raises `OSError`, naming option and path, where that can't be done."""
    if report is not None:
        _make_folder("--report", report, report)
    if predictions is not None:
        if predictions.is_dir():
            raise OSError(f"--predictions {predictions}: a folder; expected a file to write")
        _make_folder("--predictions", predictions, predictions.parent)
        if predictions.exists() and not os.access(predictions, os.W_OK):
            raise OSError(f"--predictions {predictions}: can't be written")


def _make_folder(option: str, path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        at = next(p for p in (folder, *folder.parents) if p.exists())
        raise OSError(f"{option} {path}: {at} is a file; expected a folder") from error
    except OSError as error:
        raise OSError(f"{option} {path}: can't be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"{option} {path}: {folder} can't be written into")


def show(
    result: "Evaluation", data: Path, as_json: bool, report: Path | None, predictions: Path | None
) -> None:
    """Print an evaluation; write its predictions and its report where asked for."""
    from ecgstream.evaluation import results

    if as_json:
        typer.echo(json.dumps(results.as_json(result), indent=2))
    else:
        _print_tables(result)
    if predictions is not None:
        results.write_predictions(predictions, result.predictions)
    if report is not None:
        from ecgstream.evaluation import report_pages

        page = report_pages.write_report(report, result, lambda worst: _excerpt(data, worst))
        typer.echo(f"report: {page}", err=True)


def _print_tables(result: "Evaluation") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from ecgstream.evaluation import results

    console = Console() if sys.stdout.isatty() else Console(width=180)
    console.print(f"[bold]{result.kind}[/bold]  model {result.model}, split {result.split}; figures in %")
    for table in result.tables:
        grid = Table(
            title=f"\n{table.title}", caption=table.note or None, box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for column in table.columns:
            grid.add_column(column, overflow="fold")
        for row in table.rows:
            grid.add_row(*(results.text(cell) for cell in row))
        console.print(grid)


def _excerpt(data: Path, worst: "Worst") -> tuple[Any, float]:
    import numpy as np

    from ecgstream.evaluation import cardiologists as test_set
    from ecgstream.evaluation.sources import read_source

    if worst.database == "cardiologists":
        path = next(data.rglob(f"{worst.record}.ecg"))
        samples = np.fromfile(path, dtype="<i2")
        source = test_set.source_of(worst.record, samples)
    else:
        source = read_source(data, worst.database, worst.record, worst.record)
    first, last = (round(t * source.fs_hz) for t in (worst.start_s, worst.end_s))
    part = source.samples[first:last].astype(np.float32) * np.float32(source.uv_per_lsb)
    return part - np.median(part), source.fs_hz
