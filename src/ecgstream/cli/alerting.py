"""`ecgstream alerting`."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def alerting(
        bootstrap_servers: Annotated[
            str | None,
            typer.Option(help="Brokers, host:port (default: ECGSTREAM_BOOTSTRAP_SERVERS, localhost:9092)."),
        ] = None,
        alarms: Annotated[
            Path | None,
            typer.Option(help="Alarm table: limits, priorities, kinds (default: the packaged one)."),
        ] = None,
        metrics_host: Annotated[str, typer.Option(help="Address for /metrics.")] = "127.0.0.1",
        metrics_port: Annotated[
            int | None, typer.Option(min=0, max=65_535, help="Port for Prometheus metrics (none without it).")
        ] = None,
        print_table: Annotated[
            bool,
            typer.Option("--print-table", help="Print the alarm table as a start for your own, and stop."),
        ] = False,
    ) -> None:
        """Turn findings into alerts: episodes, priorities, escalation, answers.

        Reads `ecg.rhythm`, `ecg.acks` and `ecg.device-settings`; writes `ecg.alerts`. Several processes share the
        devices. What counts as an event, how urgent it is and when it escalates stands in the alarm table:

            ecgstream alerting --print-table > alarms.yaml
            ecgstream alerting --alarms alarms.yaml
        """
        from importlib import resources

        from ecgstream.kafka import InvalidSettings, client_options, load_settings
        from ecgstream.limits import LimitsError, load_limits

        if print_table:
            typer.echo(resources.files("ecgstream").joinpath("alarms.yaml").read_text(), nl=False)
            return
        try:
            limits = load_limits(alarms)
            settings = load_settings(bootstrap_servers=bootstrap_servers)
            client_options(settings)
        except (LimitsError, InvalidSettings, OSError) as error:
            typer.echo(f"alerting: {error}", err=True)
            raise typer.Exit(2) from None
        raise typer.Exit(_run(settings, limits, metrics_host, metrics_port))


def _run(settings: object, limits: object, metrics_host: str, metrics_port: int | None) -> int:
    import asyncio
    import logging
    import signal

    from aiokafka.errors import KafkaError
    from prometheus_client import start_http_server

    from ecgstream.alerting import run
    from ecgstream.kafka import KafkaSettings
    from ecgstream.limits import Limits
    from ecgstream.logs import configure_logs
    from ecgstream.outages import is_kafkas
    from ecgstream.topics import TopicsMismatch

    assert isinstance(settings, KafkaSettings)
    assert isinstance(limits, Limits)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
        await run(settings, limits, stop)

    configure_logs()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        if metrics_port is not None:
            start_http_server(metrics_port, addr=metrics_host)
    except OSError as error:
        typer.echo(
            f"alerting: --metrics-host, --metrics-port: {metrics_host}:{metrics_port}: {error}", err=True
        )
        return 2
    try:
        asyncio.run(until_stopped())
    except KafkaError as error:
        if not is_kafkas(error):
            raise
        typer.echo(f"alerting: {settings.bootstrap_servers}: {error}", err=True)
        return 3  # not 2, the settings' fault: a supervisor is to try again
    except TopicsMismatch as error:
        typer.echo(f"alerting: {error}", err=True)
        return 2
    return 0
