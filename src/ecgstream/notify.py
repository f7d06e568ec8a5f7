"""Alerts to pagers, chats and webhooks, through Apprise; what can't be delivered is raised as an alert itself.

Told are alerts when they are raised or escalated, from a least priority on. Each service is tried
`TRIES` times with growing pauses; when one of them still hasn't taken it, the revision goes to the dead letters, and alerting
raises a technical alert of kind ``delivery-failed`` of the same device: a monitor that can't reach anybody
must say so where it still can. Offsets are committed after that, so a restart tells again rather than not at all.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from ecgstream.codec import InvalidRecord, decode, encode
from ecgstream.kafka import KafkaSettings, client_options, started
from ecgstream.letters import dead_letter, field_at_fault, place
from ecgstream.messages import Alert, AlertState, Priority
from ecgstream.topics import Topics
from ecgstream.wall_clock import now_us

TRIES = 4
FIRST_PAUSE_S = 1.0
TOO_OLD_S = 900.0  # after a long stop nobody is paged for what is over
RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
FAILED = "delivery-failed"
Send = Callable[[str, str, Priority], Awaitable[bool]]
log = logging.getLogger(__name__)


def is_told(alert: Alert, least: Priority) -> bool:
    """Whether a revision goes out: it calls for somebody, and isn't about a failed delivery."""
    calls = alert.state in (AlertState.RAISED, AlertState.ESCALATED)
    return calls and alert.kind != FAILED and RANK[alert.priority] >= RANK[least]


def words(alert: Alert) -> tuple[str, str]:
    """Title and text of the message."""
    again = f", not answered ({alert.escalations}x escalated)" if alert.state is AlertState.ESCALATED else ""
    title = f"{alert.priority.upper()} {alert.device_id}: {alert.message}{again}"
    onset = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(alert.onset_us / 1e6))
    return title, f"Onset {onset}. Answer: ecgstream ack {alert.alert_id}"


async def deliver(alert: Alert, send: Send, first_pause_s: float = FIRST_PAUSE_S) -> bool:
    """Send, with retries; False when it was not delivered."""
    title, text = words(alert)
    for attempt in range(TRIES):
        if await send(title, text, alert.priority):
            return True
        log.warning("%s: not delivered, try %d of %d", alert.alert_id, attempt + 1, TRIES)
        if attempt + 1 < TRIES:
            await asyncio.sleep(first_pause_s * 2**attempt)
    return False


def apprise_sender(configuration: Path) -> Send:
    """Send through the services of an Apprise configuration file. Raises `LookupError` when it names none."""
    import apprise

    config = apprise.AppriseConfig()
    config.add(str(configuration))
    services = apprise.Apprise()
    services.add(config)
    if not len(services):
        raise LookupError(f"{configuration}: names no service that Apprise knows")
    kinds = {
        Priority.HIGH: apprise.NotifyType.FAILURE,
        Priority.MEDIUM: apprise.NotifyType.WARNING,
        Priority.LOW: apprise.NotifyType.INFO,
    }

    async def send(title: str, text: str, priority: Priority) -> bool:
        return bool(await services.async_notify(title=title, body=text, notify_type=kinds[priority]))

    return send


async def run(settings: KafkaSettings, send: Send, least: Priority, stop: asyncio.Event) -> None:
    """Deliver until `stop` is set."""
    topics, options = Topics(settings.topic_prefix), client_options(settings)
    group = f"{settings.topic_prefix}notify"
    reading = {**options, "group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with (
        started(AIOKafkaConsumer, topics.alerts, **reading) as consumer,
        started(AIOKafkaProducer, **options, acks="all") as producer,
    ):
        while not stop.is_set():
            for records in (await consumer.getmany(timeout_ms=500, max_records=20)).values():
                for record in records:
                    await _take(record, send, least, producer, topics)
                await consumer.commit()


async def _take(
    record: ConsumerRecord[Any, Any], send: Send, least: Priority, producer: AIOKafkaProducer, topics: Topics
) -> None:
    try:
        alert = decode(Alert, record.value)
    except InvalidRecord as error:
        log.warning("%s: %s", place(record), field_at_fault(str(error), Alert))
        return
    if not is_told(alert, least) or now_us() / 1e6 - record.timestamp / 1e3 > TOO_OLD_S:
        return
    if not await deliver(alert, send):
        letter = dead_letter(record, f"{alert.alert_id}: {alert.message}", parked=True)
        await producer.send_and_wait(topics.dead_letters, encode(letter), key=record.key)
