"""`ecgstream simulate`: recordings, synthetic patients and scenarios, streamed as devices would."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ecgstream.simulator.fleet import Pace


class Format(StrEnum):
    """How records are encoded."""

    MSGPACK = "msgpack"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        source: Annotated[
            str,
            typer.Argument(
                help="A recording (WFDB, CinC .mat, EDF, CSV, Apple Health, Polar H10, AliveCor .atc), a record's name "
                "at PhysioNet such as mitdb/208, a scenario (.yaml), or toy: five minutes of MIT-BIH 208."
            ),
        ] = "toy",
        devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many stream it.")] = 1,
        speed: Annotated[str, typer.Option(help="Times real time, or max: as the broker takes it.")] = "1",
        for_s: Annotated[
            float | None,
            typer.Option(
                "--for", min=0.0, help="Stream so many seconds of device time; the recording repeats."
            ),
        ] = None,
        chunk_s: Annotated[float, typer.Option(min=0.01, max=60.0, help="Length of a chunk [s].")] = 1.0,
        encoding: Annotated[Format, typer.Option("--format", help="How records travel.")] = Format.MSGPACK,
        phase_spread: Annotated[
            float | None,
            typer.Option(min=0.0, help="Devices start within so many seconds (default: a chunk)."),
        ] = None,
        channel: Annotated[int, typer.Option(min=0, help="Which lead of the recording.")] = 0,
        fs: Annotated[
            float | None, typer.Option(help="Sampling rate [Hz] of a file that doesn't say it.")
        ] = None,
        device_id: Annotated[
            str | None, typer.Option(help="Id of the device; of several, what their ids begin with.")
        ] = None,
        session: Annotated[str | None, typer.Option(help="Name of the session (default: a new one).")] = None,
        buffer: Annotated[
            Path | None, typer.Option(help="Folder in which chunks wait while the broker is away.")
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                help="Stream nothing: write the signal to this folder as a WFDB record, its truth as annotations."
            ),
        ] = None,
        bootstrap_servers: Annotated[
            str | None,
            typer.Option(help="Brokers, host:port (default: ECGSTREAM_BOOTSTRAP_SERVERS, localhost:9092)."),
        ] = None,
    ) -> None:
        """Stream a recording to Kafka as wearable devices would.

        Shows the rate achieved and the lag: how late the oldest record is that the broker doesn't have yet. If the
        rate asked for is not held, the command says so and ends with code 1.

            ecgstream simulate toy --speed 10

            ecgstream simulate toy --devices 2000 --for 60

            ecgstream simulate simulators/scenarios/asystole.yaml
        """
        import time
        from dataclasses import replace

        from ecgstream.gateway import DeliveryError, OutboxError
        from ecgstream.kafka import InvalidSettings
        from ecgstream.recordings import RecordingError, read_recording
        from ecgstream.simulator.devices import check, deliveries_of, fleet, merged
        from ecgstream.simulator.made import write
        from ecgstream.simulator.scenarios import read_scenario

        try:
            times = _speed(speed)
            scenario = read_scenario(Path(source)) if source.endswith((".yaml", ".yml")) else None
            if scenario and (channel or fs is not None):
                raise ValueError("--channel, --fs: for a recording; a scenario says its own")
            recording = scenario.signal() if scenario else read_recording(source, channel, fs)
            if out is not None:
                typer.echo(f"{write(replace(recording, name=_slug(Path(source).stem)), out)}")
                return
            length_s = recording.duration_s if for_s is None else for_s
            now_us = time.time_ns() // 1000
            ahead_s = length_s * (1 - 1 / times) if times else length_s
            members = fleet(
                recording,
                devices,
                prefix=device_id or f"sim-{_slug(Path(source).stem)}",
                session=session or f"s{now_us // 1000}",
                start_us=now_us - round(max(0.0, ahead_s) * 1e6),
                phase_spread_s=chunk_s if phase_spread is None else phase_spread,
                chunk_s=chunk_s,
                content_type=f"application/{encoding.value}",
                loop=for_s is not None,
            )
            for member in members:
                check(member)
            deliveries = merged(
                [scenario.deliveries_of(member) if scenario else deliveries_of(member) for member in members]
            )
            pace = _run(deliveries, times, for_s, buffer, bootstrap_servers, length_s)
        except ModuleNotFoundError as error:
            typer.echo(f"simulate: {error.name} is missing; install ecgstream[sim]", err=True)
            raise typer.Exit(2) from None
        except (RecordingError, InvalidSettings, OutboxError, DeliveryError, ValueError, OSError) as error:
            typer.echo(f"simulate: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        _conclude(pace, times, devices)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value <= 1e6:
        raise ValueError(f"--speed: expected a positive number or max, got {text!r}")
    return value


def _run(
    deliveries: Any,
    speed: float | None,
    for_s: float | None,
    buffer: Path | None,
    servers: str | None,
    length_s: float,
) -> "Pace":
    """Stream, with a line of progress where a person looks on."""
    import asyncio
    import logging

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ecgstream.gateway import Gateway
    from ecgstream.kafka import load_settings
    from ecgstream.simulator.fleet import play

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the line of progress says what fails
    settings = load_settings(bootstrap_servers=servers)

    async def stream() -> "Pace":
        columns = ("{task.description}", BarColumn(), "{task.percentage:>3.0f}%", TimeRemainingColumn())
        with Progress(
            *(TextColumn(c) if isinstance(c, str) else c for c in columns), console=Console(stderr=True)
        ) as bar:
            task = bar.add_task("connecting", total=length_s)
            async with Gateway(settings, buffer=buffer, close_timeout_s=2.0) as gateway:

                def show(pace: "Pace") -> None:
                    state = gateway.state
                    line = f"{pace.rate:,.0f} records/s, lag {pace.lag_s:.2f} s"
                    if state.waiting and state.last_error:
                        line = f"waiting for the broker ({state.last_error[:60]})"
                    bar.update(task, completed=pace.position_s, description=line)

                return await play(deliveries, gateway, speed, for_s=for_s, show=show)

    return asyncio.run(stream())


def _conclude(pace: "Pace", speed: float | None, devices: int) -> None:
    """Say what was achieved, and no more than that."""
    share = 100 * pace.cpu_s / pace.wall_s if pace.wall_s else 0.0
    typer.echo(
        f"{devices} device{'s' if devices > 1 else ''}: {pace.delivered:,} records, {pace.samples:,} samples in "
        f"{pace.wall_s:.1f} s ({pace.rate:,.0f} records/s, {pace.position_s / pace.wall_s:.2f} times real time), "
        f"worst lag {pace.worst_lag_s:.2f} s, {share:.0f} % of one core"
    )
    if speed is not None and not pace.is_held:
        typer.echo(
            f"simulate: the rate was not held: records came up to {pace.worst_lag_s:.1f} s late at "
            f"{speed:g} times real time",
            err=True,
        )
        raise typer.Exit(1)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)[:40].strip("-") or "recording"
