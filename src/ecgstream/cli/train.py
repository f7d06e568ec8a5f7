"""`ecgstream train`: from PhysioNet-layout folders to a model folder."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    data: Annotated[
        Path,
        typer.Option(
            envvar="ECGSTREAM_DATA",
            help="Folder with cinc2017/, mitdb/, svdb/, vfdb/ and nstdb/ as PhysioNet lays them out.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write, such as models/mine.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of training settings (seed, epochs, levels, …); defaults otherwise."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of checkpoints and the log; a stopped run goes on from it. Default: runs/NAME."
        ),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Where the filtered recordings are kept between runs.")] = Path(
        "~/.cache/ecgstream/packed"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train the network and write a model folder: ONNX graphs, safetensors, model.json.

    Reads the recordings once through the serving front end, trains encoder, rhythm and beat heads, then the acute head with
    patient-wise folds, calibrates on records kept for it, exports, and checks that the export agrees with torch. A stopped run goes on
    where it was. About an hour on two CPU cores.
    """
    try:
        import torch

        from ecgstream.training import course
    except ImportError as error:
        typer.echo(f"train: {error.name} is not installed; install ecgstream[train]", err=True)
        raise typer.Exit(2) from error
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        metrics = course.train_model(
            data,
            out,
            course.read_config(config),
            run or Path("runs") / out.name,
            cache.expanduser(),
            torch.device(chosen),
        )
    except (FileNotFoundError, course.ConfigError) as error:
        typer.echo(f"train: {error}", err=True)
        raise typer.Exit(2) from error
    for name, values in metrics.items():
        typer.echo(f"{name}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    typer.echo(f"wrote {out}")
