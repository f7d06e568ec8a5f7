"""`ecgstream alerts`, `ecgstream ack`, `ecgstream snooze`: what staff see and say in a terminal."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from ecgstream.messages import Priority

Servers = Annotated[
    str | None,
    typer.Option(help="Brokers, host:port (default: ECGSTREAM_BOOTSTRAP_SERVERS, localhost:9092)."),
]
By = Annotated[str | None, typer.Option(help="Who answers (default: your user name).")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def alerts(
        bootstrap_servers: Servers = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="One line of JSON for each revision, instead of a table.")
        ] = False,
        as_fhir: Annotated[
            bool, typer.Option("--fhir", help="One FHIR R4 bundle (DetectedIssue, Observation) a line.")
        ] = False,
        follow: Annotated[
            bool, typer.Option(help="Go on; --no-follow shows what is there and stops.")
        ] = True,
        strips: Annotated[int, typer.Option(min=0, max=20, help="How many alerts show their strip.")] = 3,
        hours: Annotated[float, typer.Option(min=0.0, max=8784.0, help="Read back so far.")] = 24.0,
    ) -> None:
        """Show open alerts, the most urgent first, with their strips, live.

        Answer one with `ecgstream ack`. For other programs:

            ecgstream alerts --json | jq 'select(.priority == "high")'
        """
        from ecgstream import alerts_live

        form = alerts_live.Form.FHIR if as_fhir else alerts_live.Form.JSON if as_json else None
        _run("alerts", bootstrap_servers, lambda s: alerts_live.show(s, form, follow, strips, hours))

    @app.command()
    def ack(
        alert_id: Annotated[str, typer.Argument(help="The alert's id, or as much of it as tells it apart.")],
        note: Annotated[str, typer.Option(help="What you saw or did.")] = "",
        by: By = None,
        bootstrap_servers: Servers = None,
    ) -> None:
        """Acknowledge an alert: it stops escalating, and a latched one ends.

            ecgstream ack vt-2d2ae2891222aa09 --note "seen, patient awake, artefact"
        """  # fmt: skip
        from ecgstream import alerts_live

        _run("ack", bootstrap_servers, lambda s: alerts_live.acknowledge(s, alert_id, _person(by), note))

    @app.command()
    def snooze(
        device_id: Annotated[str, typer.Argument(help="The device.")],
        kind: Annotated[str, typer.Argument(help="The kind of alert, as `ecgstream alerts` shows it.")],
        minutes: Annotated[
            float, typer.Option(min=0.0, max=10_080.0, help="For how long; 0 ends a snooze.")
        ] = 30.0,
        note: Annotated[str, typer.Option(help="Why.")] = "",
        by: By = None,
        bootstrap_servers: Servers = None,
    ) -> None:
        """Hold back one kind of alert of one device for a while.

        An alert of kind "snoozed" stands meanwhile and counts what was held back. The alarm table bounds the time.

            ecgstream snooze chest-7 lead-off --minutes 20 --note "in the shower"
        """
        from ecgstream import alerts_live

        _run(
            "snooze",
            bootstrap_servers,
            lambda s: alerts_live.snooze(s, device_id, kind, minutes, _person(by), note),
        )

    @app.command()
    def notify(
        config: Annotated[
            Path,
            typer.Option(exists=True, dir_okay=False, help="Apprise configuration: one service URL a line."),
        ],
        least: Annotated[
            Priority, typer.Option("--priority", help="Least priority that is sent.")
        ] = Priority.HIGH,
        bootstrap_servers: Servers = None,
    ) -> None:
        """Send alerts to pagers, chats or webhooks when they are raised and when they escalate.

        What can't be delivered after retries becomes a technical alert. URLs hold secrets, so they come from a
        file: see https://github.com/caronc/apprise for the services and how their URLs look.

            echo 'jsons://pager.example.org/ecg' > services
            ecgstream notify --config services
        """
        try:
            from ecgstream import notify as notifying

            services = notifying.apprise_senders(config)
        except ModuleNotFoundError as error:
            typer.echo(f"notify: {error.name} is missing; install ecgstream[notify]", err=True)
            raise typer.Exit(2) from None
        except LookupError as error:
            typer.echo(f"notify: {error}", err=True)
            raise typer.Exit(2) from None

        async def until_stopped(settings: Any) -> None:
            stop = asyncio.Event()
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, stop.set)
            await notifying.run(settings, services, least, stop)

        _run("notify", bootstrap_servers, until_stopped, unreachable=3)  # as of all that a supervisor starts


def _person(by: str | None) -> str:
    import getpass

    return by or getpass.getuser()


def _run(command: str, bootstrap_servers: str | None, act: Any, unreachable: int = 2) -> None:
    import logging

    from aiokafka.errors import KafkaError

    from ecgstream.codec import InvalidRecord
    from ecgstream.kafka import InvalidSettings, load_settings

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors come as exceptions, too
    try:
        asyncio.run(act(load_settings(bootstrap_servers=bootstrap_servers)))
    except (InvalidSettings, InvalidRecord, KafkaError, LookupError, OSError) as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(unreachable if isinstance(error, KafkaError) else 2) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
