"""`ecgstream evaluate`: each claim measured by its field's protocol."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ecgstream.evaluation.results import Evaluation, Worst
    from ecgstream.evaluation.streaming import Stream

evaluate = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Measure a model on annotated recordings, by its field's protocol.\n\n"
    "`--data` is a folder with PhysioNet's databases as they are published (`cinc2017`, `mitdb`, `vfdb`, "
    "`svdb`, `nstdb`). Figures come from the `dev` split, which nothing was trained or tuned on, "
    "unless you ask otherwise. "
    "Intervals are 95 % by bootstrap over patients.",
)


class Split(StrEnum):
    """Which records are judged."""

    dev = "dev"
    tune = "tune"
    train = "train"
    all = "all"


Data = Annotated[
    Path,
    typer.Option("--data", envvar="ECGSTREAM_DATA", help="Folder with the databases.", show_default=False),
]
ModelFolder = Annotated[Path, typer.Option("--model", help="Model folder.", show_default=False)]
Which = Annotated[
    Split,
    typer.Option("--split", help="Patients to judge; `train` is only for seeing how far a model overfits."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Folder for a page with confusion matrices, reliability and worst records."
    ),
]
Predictions = Annotated[
    Path | None, typer.Option("--predictions", help="CSV of every prediction, to score with your own tools.")
]
Baseline = Annotated[
    bool, typer.Option("--baseline/--no-baseline", help="Judge RR-interval AF detection, too.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(evaluate)


@evaluate.command()
def cinc2017(
    *,
    data: Data,
    model: ModelFolder,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
    baseline: Baseline = True,
) -> None:
    """**Short wearable recordings**: F1 of normal, AF and other rhythm, and their mean; noise apart.

    PhysioNet/CinC Challenge 2017, REFERENCE-v3. The winners of the challenge reached 0.83 on its hidden
    test set, a vote of 45 algorithms 0.87.
    """
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import cinc2017 as protocol  # noqa: PLC0415
        from ecgstream.evaluation import rr_baseline  # noqa: PLC0415
        from ecgstream.evaluation.references import read_cinc_labels  # noqa: PLC0415

        loaded, score = _model_and_scorer(model)
        result, streams = protocol.run(data, loaded, score, split.value, done)
        if baseline:
            labels, fitting = (
                read_cinc_labels(data, "all"),
                protocol.front_end_only(data, loaded, "train", done),
            )
            said = {p.record: p.label for p in result.predictions}
            judged = [(labels[s.source.record], s) for s in streams]
            train = [(labels[s.source.record], s) for s in fitting]
            ours = [said[s.source.record] for s in streams]
            result.tables.append(rr_baseline.cinc_table(train, judged, ours))
    _show(result, data, as_json, report, predictions)


@evaluate.command()
def rhythms(
    *,
    data: Data,
    model: ModelFolder,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
    baseline: Baseline = True,
) -> None:
    """**Rhythms in long recordings**: sensitivity and +P by duration and by episode, as EC57 and `epicmp`
    count.

    On mitdb, and on vfdb, whose rhythms the long horizon is not trained on.
    """
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import rhythms as protocol  # noqa: PLC0415
        from ecgstream.evaluation import rr_baseline  # noqa: PLC0415

        loaded, _ = _model_and_scorer(model)
        result, pairs = protocol.run(data, loaded, split.value, done)
        if baseline:
            train = protocol.stream_references(data, loaded, "train", done, ("mitdb",), scored=False)
            result.tables += rr_baseline.rhythm_tables(train, pairs)
    _show(result, data, as_json, report, predictions)


@evaluate.command("beats-classes")
def beats_classes(
    *,
    data: Data,
    model: ModelFolder,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
) -> None:
    """**Beat types between patients**: sensitivity and +P of ventricular and supraventricular ectopic beats
    (AAMI EC57).

    On mitdb and svdb, from 5:00, matched within 150 ms, records with paced beats left out.
    """
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import beat_classes as protocol  # noqa: PLC0415
        from ecgstream.evaluation.rhythms import stream_references  # noqa: PLC0415

        loaded, _ = _model_and_scorer(model)
        pairs = stream_references(data, loaded, split.value, done, protocol.DATABASES)
        result = protocol.evaluate(pairs, loaded.beat_classes, model=loaded.name, split=split.value)
    _show(result, data, as_json, report, predictions)


@evaluate.command()
def acute(
    *,
    data: Data,
    model: ModelFolder,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
) -> None:
    """**Shockable rhythm**: VF and rapid VT against the AHA's goals, with one-sided 90 % lower bounds.

    In segments of 10 s on vfdb and mitdb.
    """
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import acute as protocol  # noqa: PLC0415

        loaded, _ = _model_and_scorer(model)
        result = protocol.run(data, loaded, split.value, done)
    _show(result, data, as_json, report, predictions)


@evaluate.command()
def cardiologists(
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of the test set.", show_default=False)],
    model: ModelFolder,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
) -> None:
    """**The public cardiologist test set** (Hannun 2019): sequence and set F1, beside six cardiologists' own.

    `--data` holds `<id>.ecg` (int16, 200 Hz), `<id>_grpN.episodes.json` (committee) and
    `<id>_revN.episodes.json`.
    """
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import cardiologists as protocol  # noqa: PLC0415

        loaded, _ = _model_and_scorer(model)
        result = protocol.run(data, loaded, done)
    _show(result, data, as_json, report, predictions)


def _model_and_scorer(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
    from ecgstream import classifier  # noqa: PLC0415

    model = classifier.load_model(folder)
    return model, lambda signal_uv: classifier.score_record(model, signal_uv).rhythm


@contextmanager
def told_plainly() -> Iterator[None]:
    """A user's mistake becomes one line on stderr and exit code 2."""
    from ecgstream.classifier import ModelError  # noqa: PLC0415

    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ecgstream"):
            raise
        typer.echo(f"{error.name} is needed to evaluate: pip install 'ecgstream[train]'", err=True)
        raise typer.Exit(2) from error
    except (FileNotFoundError, ModelError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def progress() -> Iterator["Callable[[Stream], None]"]:
    """A bar on stderr that counts recordings as they end; silent when stderr isn't a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

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


def _show(
    result: "Evaluation", data: Path, as_json: bool, report: Path | None, predictions: Path | None
) -> None:
    from ecgstream.evaluation import results  # noqa: PLC0415

    if predictions is not None:
        results.write_predictions(predictions, result.predictions)
    if report is not None:
        from ecgstream.evaluation import report_pages  # noqa: PLC0415

        page = report_pages.write_report(report, result, lambda worst: _excerpt(data, worst))
        typer.echo(f"report: {page}", err=True)
    if as_json:
        typer.echo(json.dumps(results.as_json(result), indent=2))
        return
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

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
    import numpy as np  # noqa: PLC0415

    from ecgstream.evaluation import cardiologists as test_set  # noqa: PLC0415
    from ecgstream.evaluation import streaming  # noqa: PLC0415

    if worst.database == "cardiologists":
        path = next(data.rglob(f"{worst.record}.ecg"))
        samples = np.fromfile(path, dtype="<i2")
        source = test_set.source_of(worst.record, samples)
    else:
        source = streaming.read_source(data, worst.database, worst.record, worst.record)
    first, last = (round(t * source.fs_hz) for t in (worst.start_s, worst.end_s))
    part = source.samples[first:last].astype(np.float32) * np.float32(source.uv_per_lsb)
    return part - np.median(part), source.fs_hz


def _elsewhere(module: str) -> Any:
    """A module of `ecgstream.evaluation`, imported when it is needed."""
    return importlib.import_module(f"ecgstream.evaluation.{module}")
