"""How Faust is set up here, and the traps that it is kept out of.

Events are acknowledged by hand, when their results are on the broker. No web server (its table view would show
patients' data), no windowed tables, no pickling; keys and values are bytes throughout. A record on which an agent
raises would be skipped, committed past, and waited for at shutdown for ever: so agents never raise, and
`stream_wait_empty` is off. Tables choose partitions by key (`use_partitioner`), since a timer also sets them.
Events that have reached an agent's queue stay there (`_Flow`). A record that can't be unpacked would end the consumer, and nobody
would know: `ecgstream.faust_consumer` leads it around, and `run` ends when Faust gives up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from mode.utils.queues import FlowControlEvent

from ecgstream import letters
from ecgstream.codec import InvalidRecord
from ecgstream.faust_consumer import Consumer, Tell
from ecgstream.kafka import KafkaSettings, client_options
from ecgstream.limits import LimitsError
from ecgstream.listening import Place

Act = Callable[[Any], Awaitable[None]]
RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}
RAW_TABLE: dict[str, Any] = {"key_type": bytes, "value_type": bytes}


class Raised(Exception):
    """Our own code raised on a record, before anything was published or stored."""


@contextmanager
def our_own_code() -> Iterator[None]:
    """What raises in this block is `Raised`, but for a sender's fault and memory that ran out."""
    try:
        yield
    except (InvalidRecord, LimitsError, MemoryError):
        raise
    except Exception as error:  # whatever it is
        raise Raised(type(error).__name__) from error


class _Flow(FlowControlEvent):
    """Faust's valve between the fetcher and the agents, without its leak.

    Opening it empties all queues, in which events of before a rebalance may stand. But Faust opens it twice: before it
    rebuilds the tables, and when it has gone back to the committed offsets. By then the fetcher runs and has put new
    events into the queues; emptied, they would never come again.
    """

    def resume(self) -> None:
        """Open the valve; empties the queues only if it was shut."""
        if not self.is_active():
            super().resume()


class _App(faust.App):
    tell: Tell  # whom `Consumer` tells of the records that it leaves out

    @cached_property
    def flow_control(self) -> FlowControlEvent:
        return _Flow(loop=self.loop)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer = Consumer  # type: ignore[misc]
        return transport


def application(settings: KafkaSettings, partitions: int, folder: str) -> faust.App:
    """The Faust application of alerting; `partitions` is what the ecg topics have, `folder` a place for empty folders of Faust's."""
    servers = ";".join(f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(","))
    return _App(
        f"{settings.topic_prefix}alerting",
        broker=servers,
        broker_credentials=_credentials(client_options(settings)),
        store="memory://",
        datadir=folder,
        topic_partitions=partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,  # `ecgstream topics create` makes them all
        web_enabled=False,
        stream_wait_empty=False,
        broker_commit_interval=1.0,
        broker_session_timeout=10.0,
        broker_rebalance_timeout=15.0,
        broker_heartbeat_interval=3.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        autodiscover=False,
    )


class Ended(RuntimeError):
    """The application can't go on; what it is due to is the cause."""


async def run(app: faust.App, stop: asyncio.Event, failed: asyncio.Future[None]) -> None:
    """Run until `stop` is set. Raises what `failed` is given, and `Ended` when Faust gave up: left alone it would stand there idle."""
    await app.start()
    stopping, crashed = asyncio.create_task(stop.wait()), asyncio.create_task(app.wait_until_stopped())
    try:
        waiting: list[asyncio.Future[Any]] = [stopping, failed, crashed]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        if not stopping.done():
            raise Ended("Faust gave up") from app.crash_reason
    finally:
        stopping.cancel()
        crashed.cancel()
        await app.stop()


async def place_in(app: faust.App, tp: Any) -> Place | None:
    """How far the records of a partition that this process reads have been taken; None where the consumer doesn't know (yet)."""
    consumer: Any = app.consumer
    try:
        end, fetched = consumer.highwater(tp), await consumer.position(tp)
    except (AssertionError, IllegalStateError):  # it isn't this process's any more
        return None
    if end is None or fetched is None:
        return None
    waiting = (m.offset for m in list(consumer.unacked) if m.tp == tp and not m.acked)
    return Place(end, min(waiting, default=fetched))


async def changelogs_known(app: faust.App) -> None:
    """Wait until the producer knows the partitions of all tables' changelogs; to be called right before a table changes.

    Faust asks the producer for them without waiting, and aiokafka forgets the partitions of a topic that it
    isn't told to follow as soon as it sends to another one.
    """
    producer = app.producer._ensure_producer()  # type: ignore[attr-defined]
    for table in app.tables.values():
        name = table.changelog_topic.get_topic_name()
        await producer.client.add_topic(name)
        await producer.partitions_for(name)


async def delivered(
    topic: Any, key: bytes | None, value: bytes | None, headers: Any, partition: int | None = None
) -> None:
    """Send a record and wait until the broker has it."""
    await (await topic.send(key=key, value=value, headers=headers, partition=partition, force=True))


def content_type(event: Any) -> str | None:
    """What the record's header says of its encoding, None without one."""
    headers = event.message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = [value for name, value in pairs if name == "content-type" and value is not None]
    return found[-1].decode(errors="replace") if found else None


def place(event: Any) -> str:
    """Where the record stands in the log."""
    return letters.place(event.message)


def agent(take: Callable[[Any, Act], Awaitable[None]], act: Act) -> Callable[[Any], Awaitable[None]]:
    """An agent that hands its stream to `take`, under the name of `act`: Faust knows agents by their name."""

    async def agent(stream: Any) -> None:
        await take(stream, act)

    agent.__name__ = agent.__qualname__ = getattr(act, "__name__", "act")
    return agent


def _credentials(options: Mapping[str, Any]) -> Any:
    """Faust's name for aiokafka's client options."""
    context = options.get("ssl_context")
    if options["security_protocol"].startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
