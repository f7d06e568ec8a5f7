"""`ecgstream replay`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ecgstream.messages import Alert, Finding
    from ecgstream.recordings import Recording


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def replay(
        record: Annotated[str, typer.Argument(help="A recording's file, a WFDB record, or `toy`.")],
        channel: Annotated[int, typer.Option(min=0, help="Which lead of it.")] = 0,
        fs: Annotated[float | None, typer.Option(help="Sampling rate, for files that don't say it.")] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="One line of JSON a record, for programs.")
        ] = False,
        model: Annotated[
            Path | None, typer.Option(help="Model folder (default: the one that ships).")
        ] = None,
        alarms: Annotated[
            Path | None,
            typer.Option("--alarms", "--limits", help="Alarm table (default: the one that ships)."),
        ] = None,
    ) -> None:
        """Analyse a recording without Kafka: the findings and alerts that the live system would give.

        `toy` is five minutes of MIT-BIH record 208. Other formats: see docs/recordings.md.

            ecgstream replay toy

            ecgstream replay mitdb/208 --json | jq 'select(.alert_id)'
        """
        from ecgstream.analysis import Analyzer
        from ecgstream.limits import LimitsError, load_limits
        from ecgstream.model_folder import ModelError, load_model
        from ecgstream.shipped import shipped_model

        try:
            from ecgstream.recordings import RecordingError, read_recording

            recording = read_recording(record, channel, fs)
            analyzer = Analyzer(load_model(model or shipped_model()), 1)
            table = load_limits(alarms)
        except ModuleNotFoundError as error:
            _stop(f"replay: {error.name} is missing; install ecgstream[sim]")
        except (RecordingError, ModelError, LimitsError, OSError) as error:
            _stop(f"replay: {error}")
        try:
            _show(recording, analyzer, table, as_json)
        except ValueError as error:
            _stop(f"replay: {error}")


def _show(recording: "Recording", analyzer: Any, table: Any, as_json: bool) -> None:
    """Replay with a progress bar on stderr; findings and alerts on stdout."""
    from rich.console import Console
    from rich.progress import Progress

    from ecgstream.codec import JSON, encode
    from ecgstream.messages import Alert
    from ecgstream.replay import START_US, replay
    from ecgstream.watch import over_findings

    errors, out = Console(stderr=True), Console(highlight=False, soft_wrap=True)
    bar = Progress(console=errors, transient=True, disable=not errors.is_terminal)
    seen: list[Finding] = []

    begin_us = START_US if recording.start_us is None else recording.start_us

    def at_s(finding: "Finding") -> int:
        """The end of its window, of the recording's time."""
        return round((finding.end_us - begin_us) / 1e6)

    def findings() -> Iterator["Finding"]:
        task = bar.add_task(recording.name, total=recording.duration_s)
        for found in replay(recording, analyzer, device_id="replay", session=_session(recording.name)):
            bar.update(task, completed=float(at_s(found[-1])) if found else None)
            for finding in found:
                seen.append(finding)
                _say(finding)
                yield finding

    def _say(record: "Finding | Alert") -> None:
        if as_json:
            typer.echo(encode(record, JSON).decode())
        elif isinstance(record, Alert):
            out.print(_alert_line(record), style="bold")
        else:
            out.print(_finding_line(record, at_s(record)))

    with bar:
        n_alerts = 0
        for alert in over_findings(findings(), table):
            n_alerts += 1
            _say(alert)
    if not as_json:
        out.print(
            f"{recording.name}: {recording.duration_s:.0f} s, {len(seen)} findings, {n_alerts} alert revisions"
        )


def _session(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)[:63]
    return kept if kept[:1].isalnum() else f"r{kept}"


def _finding_line(finding: "Finding", end_s: int) -> str:
    rate = "   -" if finding.heart_rate_bpm is None else f"{finding.heart_rate_bpm:4.0f}"
    rhythm = finding.rhythm or "-"
    by_waves = finding.rhythm_probabilities
    is_likeliest = rhythm == max(by_waves, key=by_waves.__getitem__, default=None)
    sure = f" {by_waves[rhythm]:.2f}" if is_likeliest else ""
    why = f" ({', '.join(finding.reasons)})" if finding.reasons else ""
    ventricular = sum(beat.kind == "V" for beat in finding.beats)
    return (
        f"{end_s // 60:3d}:{end_s % 60:02d}  {rate}/min  {rhythm}{sure}  acute {finding.acute or '-'}"
        f"  beats {len(finding.beats)} (V {ventricular})  {finding.quality}{why}"
    )


def _alert_line(alert: "Alert") -> str:
    return f"        {alert.priority.upper()} {alert.kind} {alert.state}, revision {alert.revision}: {alert.message}"


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
