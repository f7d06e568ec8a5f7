"""Alerts to pagers, chats and webhooks, through Apprise; what can't be delivered is raised as an alert itself.

Told are alerts when they are raised or escalated, from a least priority on. Each service is tried
`TRIES` times with growing pauses, those that took it not again; when one of them still hasn't taken it, the revision goes to the
dead letters, and alerting raises a technical alert of kind ``delivery-failed`` of the same device: a monitor that can't reach
anybody must say so where it still can. A record's offset is committed after that, so a restart tells again rather than not at all.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import ConsumerRecord, TopicPartition

from ecgstream.codec import InvalidRecord, decode, encode
from ecgstream.kafka import KafkaSettings, client_options, started
from ecgstream.letters import dead_letter, field_at_fault, place
from ecgstream.messages import Alert, AlertState, Priority
from ecgstream.topics import Topics
from ecgstream.wall_clock import now_us

TRIES = 4
FIRST_PAUSE_S = 1.0
TOO_OLD_S = 900.0  # after a long stop nobody is paged for what is over
MAX_RECORDS = 20
LONGEST_BATCH_S = 3600.0  # a service that lets each try wait for long is no reason to leave the group
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


async def deliver(alert: Alert, services: Sequence[Send], first_pause_s: float = FIRST_PAUSE_S) -> bool:
    """Send to all services, with retries where it wasn't taken; False when one of them never took it."""
    title, text = words(alert)
    waiting = list(services)
    for attempt in range(TRIES):
        taken = await asyncio.gather(*(send(title, text, alert.priority) for send in waiting))
        waiting = [send for send, is_taken in zip(waiting, taken, strict=True) if not is_taken]
        if not waiting:
            return True
        log.warning(
            "%s: not delivered to %d of %d, try %d of %d",
            alert.alert_id, len(waiting), len(services), attempt + 1, TRIES,
        )  # fmt: skip
        if attempt + 1 < TRIES:
            await asyncio.sleep(first_pause_s * 2**attempt)
    return False


def apprise_senders(configuration: Path) -> list[Send]:
    """The services of an Apprise configuration file. Raises `LookupError` when it names none, or one that can't be."""
    import apprise

    config, found = apprise.AppriseConfig(), apprise.Apprise()
    config.add(str(configuration))
    found.add(config)
    # Of what Apprise says of an address only that it does: its words may hold the secret.
    with apprise.LogCapture(level=logging.ERROR, fmt="%(levelname)s") as said:  # type: ignore[no-untyped-call]
        services = list(found)
        n_refused = said.getvalue().count("ERROR")
    if n_refused or not services:
        what = f"{n_refused} of its addresses are" if n_refused else "names"
        raise LookupError(f"{configuration}: {what} no service that Apprise knows")
    return [_through(service) for service in services]


def _through(service: Any) -> Send:
    import apprise

    alone = apprise.Apprise()
    alone.add(service)
    kinds = {
        Priority.HIGH: apprise.NotifyType.FAILURE,
        Priority.MEDIUM: apprise.NotifyType.WARNING,
        Priority.LOW: apprise.NotifyType.INFO,
    }

    async def send(title: str, text: str, priority: Priority) -> bool:
        return bool(await alone.async_notify(title=title, body=text, notify_type=kinds[priority]))

    return send


async def run(
    settings: KafkaSettings, services: Sequence[Send], least: Priority, stop: asyncio.Event
) -> None:
    """Deliver until `stop` is set."""
    topics, options = Topics(settings.topic_prefix), client_options(settings)
    reading = {
        **options,
        "group_id": f"{settings.topic_prefix}notify",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_poll_interval_ms": round(LONGEST_BATCH_S * 1e3),
    }
    async with (
        started(AIOKafkaConsumer, topics.alerts, **reading) as consumer,
        started(AIOKafkaProducer, **options, acks="all") as producer,
    ):
        read_out_s: dict[TopicPartition, float] = {}
        while not stop.is_set():
            got = await consumer.getmany(timeout_ms=500, max_records=MAX_RECORDS)
            await _note_read_out(consumer, got.keys(), read_out_s)
            for partition, records in got.items():
                for record in records:
                    if stop.is_set():
                        return  # what wasn't taken isn't committed
                    age_s = _age_s(record, read_out_s.get(partition))
                    was_told = await _take(record, services, least, producer, topics, age_s)
                    if (was_told or record is records[-1]) and not await _commit(consumer, partition, record):
                        break


async def _note_read_out(
    consumer: AIOKafkaConsumer, given: Set[TopicPartition], read_out_s: dict[TopicPartition, float]
) -> None:
    """Note by the monotonic clock when each partition was read to its end: what it gives later has come since."""
    for partition in consumer.assignment() - given:
        try:
            if await consumer.position(partition) == consumer.highwater(partition):
                read_out_s[partition] = time.monotonic()
        except IllegalStateError:
            continue  # somebody else's by now


def _age_s(record: ConsumerRecord[Any, Any], read_out_s: float | None) -> float:
    """How old a record is at most: by its time stamp, whose clock may be set wrong, or by when there was none yet."""
    by_stamp_s: float = now_us() / 1e6 - record.timestamp / 1e3
    return by_stamp_s if read_out_s is None else min(by_stamp_s, time.monotonic() - read_out_s)


async def _commit(
    consumer: AIOKafkaConsumer, partition: TopicPartition, record: ConsumerRecord[Any, Any]
) -> bool:
    """Commit what was taken, and no more: what was fetched beside it isn't told yet. False when it is somebody else's by now."""
    try:
        await consumer.commit({partition: record.offset + 1})
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("commit refused: partitions have changed hands: %s", error)
        return False
    return True


async def _take(
    record: ConsumerRecord[Any, Any],
    services: Sequence[Send],
    least: Priority,
    producer: AIOKafkaProducer,
    topics: Topics,
    age_s: float,
) -> bool:
    """Tell of an alert that is to be told; gives whether it was, or its failure."""
    try:
        alert = decode(Alert, record.value)
    except InvalidRecord as error:
        log.warning("%s: %s", place(record), field_at_fault(str(error), Alert))
        return False
    if not is_told(alert, least):
        return False
    if age_s > TOO_OLD_S:
        log.warning("%s: not sent, published %.0f s ago", alert.alert_id, age_s)
        return False
    if not await deliver(alert, services):
        letter = dead_letter(record, f"{alert.alert_id}: {alert.message}", parked=True)
        await producer.send_and_wait(topics.dead_letters, encode(letter), key=record.key)
    return True
