"""Whether the topics have the partitions that alerting's tables were written for.

A device's findings, answers, settings and state meet in one process because all these topics have the same number of
partitions. Kafka lets an administrator raise that number at any time: then keys move, findings come where nobody knows their
device, and a moved state is written beside its old one, which comes back at some later start. So alerting ends as soon as it sees it,
and begins on no tables that were written for another number.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from ecgstream.kafka import KafkaSettings, administration, client_options
from ecgstream.topics import Topics, TopicsMismatch

Fail = Callable[[Exception], None]
EVERY_S = 15.0
WAY_BACK = "see `When partitions were raised` in docs/operations.md"


async def partitions_of(settings: KafkaSettings) -> int:
    """How many partitions the ecg topics have; raises `TopicsMismatch` when they aren't there or differ."""
    topics = Topics(settings.topic_prefix)
    async with administration(client_options(settings)) as admin:
        others = (topics.acks, topics.device_settings, topics.alerts, topics.dead_letters)
        names = [topics.rhythm, *others, *topics.changelogs]
        there = await admin.describe_topics()  # of all topics: asked for one by name, a broker may make it
        found = {t["topic"]: len(t["partitions"]) for t in there if t["topic"] in names}
    if missing := [name for name in names if not found.get(name)]:
        raise TopicsMismatch(f"{missing[0]}: no such topic; `ecgstream topics create` makes them")
    if len(set(found.values())) != 1:
        raise TopicsMismatch(f"partitions: {found}, but these topics must all have the same number")
    return found[topics.rhythm]


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """The partition of a key, as Kafka's own clients choose it."""
    return lambda key: int((murmur2(key) & 0x7FFFFFFF) % partitions)


def unchanged(settings: KafkaSettings, partitions: int, fail: Fail) -> Callable[[], Awaitable[None]]:
    """A look, to be taken every `EVERY_S`: gives `fail` a `TopicsMismatch` where twice in a row the topics don't have `partitions`."""
    before = ""

    async def look() -> None:
        nonlocal before
        try:
            now = await partitions_of(settings)
            doubt = "" if now == partitions else f"partitions: {now}, but {partitions} when alerting began"
        except TopicsMismatch as error:
            doubt = str(error)
        except (KafkaError, OSError):
            return  # the broker is away
        if doubt and doubt == before:
            fail(TopicsMismatch(f"{doubt}; {WAY_BACK}"))
        before = doubt

    return look


def in_place(partition_of: Callable[[bytes], int], fail: Fail) -> Callable[[Any], Awaitable[None]]:
    """A table's `on_changelog_event`: gives `fail` a `TopicsMismatch` where a key stands in a partition that isn't its own."""

    async def on_changelog_event(event: Any) -> None:
        message = event.message
        expected = partition_of(message.key)
        if message.partition != expected:
            fail(
                TopicsMismatch(
                    f"{message.topic}[{message.partition}]@{message.offset}: state of a device that belongs into partition "
                    f"{expected}: written for another number of partitions; {WAY_BACK}"
                )
            )

    return on_changelog_event
