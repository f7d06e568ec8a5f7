"""`ecgstream train`: from PhysioNet-layout folders to a model folder."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from ecgstream import training_settings as settings
from ecgstream.cli.destinations import check_folder
from ecgstream.cli.evaluation_output import make_ready, show, told_plainly


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", epilog=_settings())(train)
    app.command("train-folds")(train_folds)
    app.command("train-stanford")(train_stanford)


def _settings() -> str:
    """The keys of a --config file, for the help."""
    keys = (
        f"- {name} ({list(default) if isinstance(default, tuple) else default}): {meaning}"
        for name, default, meaning in settings.listed()
    )
    return "\n\n".join(["Settings that a --config file may hold, with their defaults:", "", *keys])


Data = Annotated[
    Path,
    typer.Option(
        envvar="ECGSTREAM_DATA",
        help="Folder with cinc2017/, mitdb/, svdb/, vfdb/ and nstdb/ as PhysioNet lays them out.",
    ),
]
Cache = Annotated[Path, typer.Option(help="Where the filtered recordings are kept between runs.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
CACHE = Path("~/.cache/ecgstream/packed")


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Model folder to write, such as models/mine.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of training settings, as listed below; defaults otherwise."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of checkpoints and the log; a stopped run goes on from it. Default: runs/NAME."
        ),
    ] = None,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Train the network and write a model folder: ONNX graphs, safetensors, model.json.

    Reads the recordings once through the serving front end, trains encoder, rhythm and beat heads, then the acute head with
    patient-wise folds and the trees, weighs and calibrates on records kept for it, exports, and checks that the export
    agrees with what was trained. A stopped run goes on where it was. Some 20 minutes on two CPU cores with
    bfloat16 in hardware, 50 without.
    """
    course, chosen = _trainer("course", device)
    out = out.absolute()  # so that "." has a name, which is the model's
    run = run or Path("runs") / out.name
    with told_plainly():
        for option, folder in (("--out", out), ("--run", run), ("--cache", cache.expanduser())):
            check_folder(option, folder)
        metrics = course.train_model(
            data,
            out,
            settings.read_config(config),
            run,
            cache.expanduser(),
            chosen,
        )
    for name, values in metrics.items():
        typer.echo(f"{name}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    typer.echo(f"wrote {out}")


def train_folds(
    data: Data,
    run: Annotated[
        Path, typer.Option(help="Folder of checkpoints and scores; a stopped run goes on from it.")
    ] = Path("runs/folds"),
    fold: Annotated[
        list[int] | None,
        typer.Option(min=0, max=4, help="This fifth alone; may be given again. Two at once suit two cores."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=settings.MAX_SEED, help="Seed of weights, order and augmentation.")
    ] = 1,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Train the rhythm's network and trees five times, each time without a fifth of CinC 2017, and score them on that fifth.

    CinC 2017 alone, 20 epochs a fold: half an hour to an hour a fold on one CPU core. RUN/fold-K/cinc2017-without-K is that
    network as a model folder, for `ecgstream evaluate rhythms --database mitdb --split all --model …`: on recordings of
    which it never saw one like them. Its beats are all N; it doesn't know better.
    """
    folds, chosen = _trainer("folds", device)
    tried = fold or range(folds.N_FOLDS)
    with told_plainly():
        scores = folds.cross_validate(data, run, cache.expanduser(), chosen, tried, seed)
    for k, score in zip(tried, scores, strict=True):
        typer.echo(f"fold {k}: " + ", ".join(f"{name} {value:.3f}" for name, value in score.items()))
    for name, value in folds.summary(scores).items() if len(scores) > 1 else ():
        typer.echo(f"{name}: {value['mean']:.3f}, sd {value['sd']:.3f} over folds")


def train_stanford(
    data: Data,
    run: Annotated[
        Path, typer.Option(help="Folder of the checkpoint; a stopped run goes on from it.")
    ] = Path("runs/stanford"),
    epochs: Annotated[int, typer.Option(min=1, help="How often all records are learnt.")] = 20,
    seed: Annotated[
        int, typer.Option(min=0, max=settings.MAX_SEED, help="Seed of weights, order and dropout.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    predictions: Annotated[Path | None, typer.Option(help="CSV of every prediction.")] = None,
    device: Device = "auto",
) -> None:
    """Train Stanford's 34 layers on CinC 2017 and score them on the fifth that ours is scored on: the yardstick.

    As its authors have it, but for the place where it stops: raw signals at 200 Hz, no augmentation. No model folder is written.
    """
    _, chosen = _trainer("stanford", device)
    with told_plainly():
        make_ready(None, predictions)
        yardstick = importlib.import_module("ecgstream.evaluation.yardstick")
        result = yardstick.measure(data, run, chosen, epochs, seed)
    show(result, data, as_json, None, predictions)


def _trainer(module: str, device: str) -> tuple[Any, Any]:
    """A module of ``ecgstream.training`` and the torch device to run it on."""
    try:
        import torch

        found = importlib.import_module(f"ecgstream.training.{module}")
    except ImportError as error:
        typer.echo(f"train: {error.name} is not installed; install ecgstream[train]", err=True)
        raise typer.Exit(2) from error
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        typer.echo(f"train: --device {device}: expected auto, cpu or cuda", err=True)
        raise typer.Exit(2)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        typer.echo(f"train: --device {device}: no such device here", err=True)
        raise typer.Exit(2)
    return found, chosen
