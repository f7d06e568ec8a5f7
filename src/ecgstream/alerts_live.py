"""The terminal's view of ``ecg.alerts`` and its answers on ``ecg.acks``."""

import sys
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ecgstream.codec import JSON, InvalidRecord, decode, encode
from ecgstream.fhir import bundle
from ecgstream.kafka import KafkaSettings, client_options, reading, started
from ecgstream.messages import Ack, Alert, AlertState, Priority, Snooze
from ecgstream.strip_text import around_onset
from ecgstream.topics import Topics
from ecgstream.wall_clock import now_us

QUIET_S = 1.5  # nothing more came for so long: what was there has been read
MOST_ALERTS = 5000  # kept; the oldest ended ones go first
ANSWERED_WITHIN_DAYS = 14  # older alerts aren't looked for
STYLE = {Priority.HIGH: "bold white on red", Priority.MEDIUM: "black on yellow", Priority.LOW: "cyan"}
ORDER = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}


class Form(Enum):
    """How a revision is written for other programs."""

    JSON = auto()
    FHIR = auto()


class Board:
    """The last revision of each alert."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.refused = 0

    def put(self, alert: Alert) -> bool:
        """Take a revision; False when it is known already."""
        known = self.alerts.get(alert.alert_id)
        if known is not None and known.revision >= alert.revision:
            return False
        self.alerts[alert.alert_id] = alert
        if len(self.alerts) > MOST_ALERTS:
            ended = [a for a in self.alerts.values() if a.state is AlertState.ENDED] or [
                *self.alerts.values()
            ]
            del self.alerts[min(ended, key=lambda a: a.detected_us).alert_id]
        return True

    def open(self) -> list[Alert]:
        """Alerts that haven't ended: unanswered before answered, urgent first, new first."""
        waiting = [a for a in self.alerts.values() if a.state is not AlertState.ENDED]
        return sorted(
            waiting, key=lambda a: (a.acknowledgement is not None, ORDER[a.priority], -a.detected_us)
        )


def table(board: Board, now_us: int, n_strips: int, width: int) -> RenderableType:
    """The open alerts as a table, with the strips of the first ones."""
    grid = Table(expand=True, title="Open alerts", title_justify="left")
    for name in ("priority", "device", "alert", "onset", "rate", "state", "id"):
        grid.add_column(name, no_wrap=name != "alert")
    parts: list[RenderableType] = [grid]
    for i, alert in enumerate(board.open()):
        grid.add_row(*_row(alert))
        if i < n_strips and alert.strip is not None:
            lines = around_onset(alert.strip, alert.onset_us, max(20, width - 6))
            title = f"{alert.device_id}  {alert.message}  {alert.alert_id}"
            parts.append(Panel(Text("\n".join(lines)), title=title, title_align="left"))
    ended = sum(a.state is AlertState.ENDED for a in board.alerts.values())
    clock = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%H:%M:%S")
    parts.append(Text(f"{clock} UTC, {ended} ended, {board.refused} unreadable records", style="dim"))
    return Group(*parts)


def _row(alert: Alert) -> tuple[Text | str, ...]:
    onset = datetime.fromtimestamp(alert.onset_us / 1e6, UTC).strftime("%m-%d %H:%M:%S")
    state = str(alert.state)
    if alert.acknowledgement is not None:
        state = f"answered by {alert.acknowledgement.by}"
    elif alert.evidence.get("latched"):
        state = "over, not answered"
    if alert.escalations and alert.acknowledgement is None:
        state += f" (escalated {alert.escalations}x)"
    held = alert.evidence.get("held_back") or {}
    also = f" (+ {', '.join(f'{k} {n}x' for k, n in held.items())})" if held else ""
    rate = "" if alert.heart_rate_bpm is None else f"{alert.heart_rate_bpm:.0f}"
    priority = Text(f" {alert.priority} ", style=STYLE[alert.priority])
    return priority, alert.device_id, alert.message + also, onset, rate, state, alert.alert_id


async def show(settings: KafkaSettings, form: Form | None, follow: bool, n_strips: int, hours: float) -> None:
    """Print revisions as lines of a `form`, or keep a live table; without `follow` only what is there."""
    board, console = Board(), Console()
    since_us = now_us() - round(hours * 3600e6)
    if form is not None:
        async for alerts in _revisions(settings, board, since_us, follow):
            for alert in alerts:
                line = encode(alert, JSON) if form is Form.JSON else msgspec.json.encode(bundle(alert))
                sys.stdout.buffer.write(line + b"\n")
            sys.stdout.flush()
        return
    if not follow:
        async for _ in _revisions(settings, board, since_us, follow):
            pass
        console.print(table(board, now_us(), n_strips, console.width))
        return
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        async for _ in _revisions(settings, board, since_us, follow):
            live.update(table(board, now_us(), n_strips, console.width), refresh=True)


async def acknowledge(settings: KafkaSettings, alert_id: str, by: str, note: str) -> None:
    """Find the alert, send the answer; raises `LookupError` when there is none or the id isn't enough."""
    board = Board()
    since_us = now_us() - round(ANSWERED_WITHIN_DAYS * 86400e6)
    async for _ in _revisions(settings, board, since_us, follow=False):
        pass
    found = [a for key, a in board.alerts.items() if key.startswith(alert_id)]
    exact = [a for a in found if a.alert_id == alert_id]
    if len(exact or found) != 1:
        known = (
            ", ".join(sorted(a.alert_id for a in found)[:5])
            or f"no alert of the last {ANSWERED_WITHIN_DAYS} days begins so"
        )
        raise LookupError(f"{alert_id}: {known}")
    alert = (exact or found)[0]
    ack = Ack(alert_id=alert.alert_id, device_id=alert.device_id, by=by, at_us=now_us(), note=note)
    await _answer(settings, alert.device_id, ack)
    print(f"{alert.alert_id}: answered by {by}")


async def snooze(
    settings: KafkaSettings, device_id: str, kind: str, minutes: float, by: str, note: str
) -> None:
    """Send a snooze; raises `LookupError` when there is no such kind."""
    from ecgstream.limits import KINDS

    if kind not in KINDS:
        raise LookupError(f"{kind}: no such kind; there are {', '.join(sorted(KINDS))}")
    now = now_us()
    until_us = now + round(minutes * 60e6)
    order = Snooze(device_id=device_id, kind=kind, until_us=until_us, by=by, at_us=now, note=note)
    await _answer(settings, device_id, order)
    print(f"{device_id}: {kind} " + (f"snoozed for {minutes:g} min" if minutes else "not snoozed any more"))


async def _answer(settings: KafkaSettings, device_id: str, record: Ack | Snooze) -> None:
    checked: Any = decode(type(record), encode(record, JSON), JSON)  # as the reader will check it
    async with started(AIOKafkaProducer, **client_options(settings), acks="all") as producer:
        headers = [("content-type", JSON.encode())]
        topic = Topics(settings.topic_prefix).acks
        await producer.send_and_wait(topic, encode(checked, JSON), key=device_id.encode(), headers=headers)


async def _revisions(
    settings: KafkaSettings, board: Board, since_us: int, follow: bool
) -> AsyncIterator[list[Alert]]:
    """New revisions in lots, also put on the board; an empty lot now and then. Ends without `follow` when it is quiet."""
    async with reading(settings, Topics(settings.topic_prefix).alerts, since_us=since_us) as consumer:
        last = time.monotonic()
        while follow or time.monotonic() - last < QUIET_S:
            records = await consumer.getmany(timeout_ms=500)
            alerts = list(_taken(board, (r for lot in records.values() for r in lot)))
            if records:
                last = time.monotonic()
            yield alerts


def _taken(board: Board, records: Iterable[Any]) -> Iterable[Alert]:
    for record in records:
        try:
            alert = decode(Alert, record.value)
        except InvalidRecord:
            board.refused += 1
            continue
        if board.put(alert):
            yield alert
