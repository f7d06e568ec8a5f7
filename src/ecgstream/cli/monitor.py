"""`ecgstream monitor`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ecgstream.kafka import KafkaSettings
    from ecgstream.monitor import MonitorOptions

HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where metrics are served, if at all."""

    host: str
    port: int | None


class CannotServe(RuntimeError):
    """The address for metrics can't be had; the text names it."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def monitor(
        bootstrap_servers: Annotated[
            str | None,
            typer.Option(help="Brokers, host:port, by commas (default: ECGSTREAM_BOOTSTRAP_SERVERS)."),
        ] = None,
        model: Annotated[
            Path | None, typer.Option(help="Model folder (default: the one that ships).")
        ] = None,
        group: Annotated[str, typer.Option(help="Consumer group; all its monitors share the work.")] = (
            "ecgstream-monitor"
        ),
        instance: Annotated[
            str | None, typer.Option(help="Static member id: a quick restart then moves no partition.")
        ] = None,
        workers: Annotated[int, typer.Option(min=1, help="Processes to run, about one a core.")] = 1,
        max_devices: Annotated[int, typer.Option(min=1, help="Live devices a process takes at most.")] = 4096,
        metrics_host: Annotated[
            str, typer.Option(help="Address for /metrics, /healthz, /readyz.")
        ] = "127.0.0.1",
        metrics_port: Annotated[
            int | None,
            typer.Option(
                min=0,
                max=HIGHEST_PORT,
                help="Port for them (none without it); further workers take the next ones.",
            ),
        ] = None,
        log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
        log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON lines.")] = False,
    ) -> None:
        """Read samples, publish findings: the first of the two server processes.

        Start as many as there is work; they share the partitions of `ecg.samples`. SIGTERM or Ctrl-C stops it
        cleanly. After a crash, start it again: it reads the last two minutes of each stream again and goes on.

            ecgstream monitor --bootstrap-servers localhost:9092 --metrics-port 9108
        """
        if log_level not in {"debug", "info", "warning", "error"}:
            _stop(f"--log-level: {log_level!r} is none of debug, info, warning, error")
        if metrics_port is not None and metrics_port + workers - 1 > HIGHEST_PORT:
            _stop(f"--metrics-port: {metrics_port}: leaves no ports for {workers} workers")
        from ecgstream.kafka import InvalidSettings, client_options, load_settings
        from ecgstream.logs import configure_logs
        from ecgstream.model_folder import ModelError, load_model
        from ecgstream.monitor import MonitorOptions
        from ecgstream.shipped import shipped_model

        configure_logs(log_level, as_json=log_json)
        options = MonitorOptions(
            group_id=group,
            instance_id=instance,
        )
        try:
            settings = load_settings(bootstrap_servers=bootstrap_servers)
            client_options(settings)
            if workers > 1:
                raise typer.Exit(_many(workers, instance, metrics_port))
            folder = model or shipped_model()
            load_model(folder)
        except (InvalidSettings, ModelError, FileNotFoundError) as error:
            _stop(f"monitor: {error}")
        address = Address(metrics_host, metrics_port)
        raise typer.Exit(_one(settings, folder, max_devices, options, address))


def _one(
    settings: "KafkaSettings", folder: Path, max_devices: int, options: "MonitorOptions", metrics: Address
) -> int:
    """Run one monitor until a signal; gives the exit code."""
    import asyncio
    import signal
    from contextlib import AsyncExitStack

    import structlog

    from ecgstream.analysis import Analyzer
    from ecgstream.fencing import Fenced
    from ecgstream.kafka import client_options
    from ecgstream.model_folder import load_model
    from ecgstream.monitor import Monitor
    from ecgstream.observability import served
    from ecgstream.outages import is_kafkas
    from ecgstream.topics import Topics

    log = structlog.get_logger("monitor")

    async def run() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        topics = Topics(settings.topic_prefix, settings.gateway_names)
        analyzer = Analyzer(load_model(folder), max_devices)
        monitor = Monitor(client_options(settings), topics, analyzer, options)
        async with AsyncExitStack() as serving:
            try:
                page = served(monitor.progress, metrics.host, metrics.port)
                port = await serving.enter_async_context(page)
            except OSError as error:
                raise CannotServe(
                    f"--metrics-host, --metrics-port: {metrics.host}:{metrics.port}: {error}"
                ) from error
            log.info("serves metrics", port=port)
            await monitor.run(stop)

    try:
        asyncio.run(run())
    except (Fenced, CannotServe) as error:
        typer.echo(f"monitor: {error}", err=True)
        return 2  # started again, a fenced one would throw the other one out
    except Exception as error:
        if is_kafkas(error):
            typer.echo(f"monitor: {settings.bootstrap_servers}: {error}", err=True)
            return 3  # not 2, the settings' fault: a supervisor is to try again
        # The process's last line: whatever this is, it is our fault, and nothing was committed.
        log.exception("stopped by a fault of its own; nothing is committed past it")
        return 1
    return 0


def _many(workers: int, instance: str | None, metrics_port: int | None) -> int:
    """Run this command once for each worker until a signal; gives the exit code."""
    import signal
    import threading

    from ecgstream.workers import supervise

    def command(k: int) -> list[str]:
        own = [sys.executable, "-m", "ecgstream", *sys.argv[1:], "--workers", "1"]
        own += ["--instance", f"{instance}-{k}"] if instance else []
        return own + (["--metrics-port", str(metrics_port + k)] if metrics_port else [])

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return supervise([command(k) for k in range(workers)], stop)


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
