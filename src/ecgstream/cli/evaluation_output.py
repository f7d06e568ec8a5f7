"""How `ecgstream evaluate` speaks: progress and mistakes on stderr, tables or JSON on stdout, a report
where asked for.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ecgstream.evaluation.results import Evaluation, Worst
    from ecgstream.evaluation.streaming import Stream


@contextmanager
def told_plainly() -> Iterator[None]:
    """A user's mistake becomes one line on stderr and exit code 2."""
    from ecgstream.evaluation import BadReference
    from ecgstream.model_folder import ModelError

    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ecgstream"):
            raise
        typer.echo(f"{error.name} is needed to evaluate: pip install 'ecgstream[train]'", err=True)
        raise typer.Exit(2) from error
    except (FileNotFoundError, ModelError, BadReference) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def progress() -> Iterator["Callable[[Stream], None]"]:
    """A bar on stderr that counts recordings as they end; silent when stderr isn't a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("reading", total=None)
        count, hours = 0, 0.0

        def done(stream: "Stream") -> None:
            nonlocal count, hours
            count += 1
            hours += stream.source.duration_s / 3600
            name = f"{stream.source.database}/{stream.source.record}"
            bar.update(task, description=f"{count} recordings, {hours:.1f} h of ECG, {name}")

        yield done


def show(
    result: "Evaluation", data: Path, as_json: bool, report: Path | None, predictions: Path | None
) -> None:
    """Print an evaluation; write its predictions and its report where asked for."""
    from ecgstream.evaluation import results

    if predictions is not None:
        results.write_predictions(predictions, result.predictions)
    if report is not None:
        from ecgstream.evaluation import report_pages

        page = report_pages.write_report(report, result, lambda worst: _excerpt(data, worst))
        typer.echo(f"report: {page}", err=True)
    if as_json:
        typer.echo(json.dumps(results.as_json(result), indent=2))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

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
