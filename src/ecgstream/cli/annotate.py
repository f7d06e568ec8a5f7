"""`ecgstream annotate`: what the monitor says of recordings, as WFDB annotation files."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def annotate(
        records: Annotated[
            list[str], typer.Argument(help="Recordings: WFDB records, CinC .mat files, …, or toy.")
        ],
        out: Annotated[Path, typer.Option(help="Folder for the annotation files.", show_default=False)],
        ext: Annotated[
            str, typer.Option(help="Annotator name: the files' extension, letters only.")
        ] = "ecgs",
        channel: Annotated[int, typer.Option(min=0, help="Which lead.")] = 0,
        fs: Annotated[float | None, typer.Option(help="Sampling rate, for files that don't say it.")] = None,
        model: Annotated[
            Path | None, typer.Option(help="Model folder (default: the one that ships).")
        ] = None,
    ) -> None:
        """Write WFDB annotation files, so that `bxb`, `rxr` and `epicmp` can judge the monitor.

        Beats stand at their R peaks (N, V, S, Q), rhythm changes as + with MIT-BIH's names, ventricular fibrillation
        between [ and ], unreadable stretches as ~ (EC57's shutdown). Times are samples of the record's own rate.

            ecgstream annotate mitdb/203 mitdb/208 --out notes

            cd mitdb && bxb -r 203 -a atr ../notes/203.ecgs
        """
        try:
            from ecgstream.cli.destinations import check_folder
            from ecgstream.evaluation import annotations
            from ecgstream.model_folder import ModelError, load_model
            from ecgstream.recordings import RecordingError, read_recording
            from ecgstream.shipped import shipped_model
        except ModuleNotFoundError as error:
            _stop(f"annotate: {error.name} is missing; install ecgstream[sim]")
        if not ext.isalpha():
            _stop(f"annotate: --ext: expected letters only, got {ext!r}")
        try:
            check_folder("--out", out)
            loaded = load_model(model or shipped_model())
            for record in records:
                stream = annotations.read_whole(read_recording(record, channel, fs), loaded)
                notes = annotations.notes_of(stream, loaded)
                name = _name(record)
                path = annotations.write(notes, name, stream.source.fs_hz, out, ext)
                beats = sum(note.symbol in "NVSQ" for note in notes)
                typer.echo(f"{path}: {beats} beats, {len(notes) - beats} others")
        except (RecordingError, ModelError, ValueError, OSError) as error:
            _stop(f"annotate: {error}")


def _name(record: str) -> str:
    """A recording's name as an annotation file may have it: without the endings of WFDB's files."""
    path = Path(record)
    return (path.stem if path.suffix in {".mat", ".hea", ".dat"} else path.name).replace(".", "_")


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
