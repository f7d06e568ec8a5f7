"""`ecgstream plot`: a picture of a recording with what the monitor says of it."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def plot(
        record: Annotated[
            str, typer.Argument(help="A recording's file, a WFDB record, or toy.", show_default=False)
        ],
        from_s: Annotated[float, typer.Option("--from", min=0.0, help="Begin [s].")] = 0.0,
        to_s: Annotated[
            float | None, typer.Option("--to", help="End [s]; by default 30 s after the begin.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Picture to write, .png or .svg; by default RECORD.png here.")
        ] = None,
        channel: Annotated[int, typer.Option(min=0, help="Which lead.")] = 0,
        fs: Annotated[float | None, typer.Option(help="Sampling rate, for files that don't say it.")] = None,
        model: Annotated[
            Path | None, typer.Option(help="Model folder (default: the one that ships).")
        ] = None,
    ) -> None:
        """Draw raw and filtered signal on ECG paper, with beats, quality and rhythm, ten seconds a row.

        All is as the live system would have it: the recording is read from its beginning, causally.

            ecgstream plot toy --from 60 --to 90

            ecgstream plot mitdb/203 --from 600 --to 620 --out 203.svg
        """
        try:
            from ecgstream.cli.destinations import check_file
            from ecgstream.evaluation import annotations, pictures
            from ecgstream.model_folder import ModelError, load_model
            from ecgstream.recordings import RecordingError, read_recording
            from ecgstream.shipped import shipped_model
        except ModuleNotFoundError as error:
            _stop(f"plot: {error.name} is missing; install ecgstream[plot,sim]")
        path = out or Path(f"{Path(record).name.split('.')[0]}.png")
        if path.suffix not in {".png", ".svg"}:
            _stop(f"plot: --out: expected a name that ends with .png or .svg, got {path}")
        try:
            check_file("--out", path)
            loaded = load_model(model or shipped_model())
            stream = annotations.read_whole(read_recording(record, channel, fs), loaded)
            pictures.draw(stream, loaded, from_s, from_s + 30.0 if to_s is None else to_s, path)
        except (RecordingError, ModelError, ValueError, OSError) as error:
            _stop(f"plot: {error}")
        typer.echo(path)


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
