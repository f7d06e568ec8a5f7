"""`ecgstream report`."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def report(
        source: Annotated[
            str,
            typer.Argument(
                help="A recording (a file, or a record's name: mitdb/203), `toy`, or a device's id."
            ),
        ],
        out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
        channel: Annotated[int, typer.Option(min=0, help="Of a recording: which lead.")] = 0,
        fs: Annotated[float | None, typer.Option(help="Sampling rate, for files that don't say it.")] = None,
        hours: Annotated[float, typer.Option(min=0.1, help="Of a device: how far back.")] = 24.0,
        model: Annotated[Path | None, typer.Option(help="Model folder, for a recording.")] = None,
        alarms: Annotated[Path | None, typer.Option(help="Alarm table, for a recording.")] = None,
        bootstrap_servers: Annotated[str | None, typer.Option(help="Brokers, for a device.")] = None,
    ) -> None:
        """Write one HTML page: burdens, heart rate, rhythm, events with their strips on ECG paper.

            ecgstream report mitdb/203 --out 203.html

            ecgstream report chest-7 --hours 12
        """  # fmt: skip
        from ecgstream.cli.destinations import check_file
        from ecgstream.kafka import InvalidSettings
        from ecgstream.model_folder import ModelError
        from ecgstream.recordings import is_recording
        from ecgstream.report import page

        try:
            check_file("--out", out)
            if is_recording(source):
                name, findings, alerts = _of_recording(source, channel, fs, model, alarms)
                if not findings:
                    raise ValueError(f"{source}: expected a second of signal or more")
            elif channel or fs is not None:
                raise ValueError(f"{source}: no such recording; --channel and --fs are for recordings")
            else:
                name, findings, alerts = _of_device(source, hours, bootstrap_servers)
            if not findings:
                raise ValueError(
                    f"{source}: no such file, and no findings of a device of that name in the last {hours:g} h"
                )
            out.write_text(page(name, findings, alerts), encoding="utf-8")
        except ModuleNotFoundError as error:
            _stop(f"report: {error.name} is missing; install ecgstream[sim]")
        except (InvalidSettings, ModelError, ValueError, LookupError, OSError) as error:
            _stop(f"report: {error}")
        typer.echo(f"{out}: {len(findings)} findings, {len({a.alert_id for a in alerts})} events")


def _of_recording(
    source: str, channel: int, fs: float | None, model: Path | None, alarms: Path | None
) -> tuple[str, list[Any], list[Any]]:
    from ecgstream.analysis import Analyzer
    from ecgstream.limits import load_limits
    from ecgstream.model_folder import load_model
    from ecgstream.recordings import read_recording
    from ecgstream.replay import replay
    from ecgstream.shipped import shipped_model
    from ecgstream.watch import over_findings

    recording = read_recording(source, channel, fs)
    analyzer, table = Analyzer(load_model(model or shipped_model()), 1), load_limits(alarms)
    findings = [f for lot in replay(recording, analyzer, "recording", "a") for f in lot]
    return recording.name, findings, list(over_findings(findings, table, answered=True))


def _of_device(
    device_id: str, hours: float, bootstrap_servers: str | None
) -> tuple[str, list[Any], list[Any]]:
    import asyncio
    import logging

    from aiokafka.errors import KafkaError

    from ecgstream.kafka import load_settings
    from ecgstream.stored import of_device

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        findings, alerts = asyncio.run(
            of_device(load_settings(bootstrap_servers=bootstrap_servers), device_id, hours)
        )
    except KafkaError as error:
        raise OSError(f"{error}") from error
    return device_id, findings, alerts


def _stop(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2) from None
