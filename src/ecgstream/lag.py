"""How far a monitor is behind, asked of the broker beside the work: a fetch that is stuck can't tell."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ecgstream.observability import LAG_RECORDS, Progress

EVERY_S = 5.0
log = structlog.get_logger("monitor")


async def watch(consumer: AIOKafkaConsumer, progress: Progress) -> None:
    """Note every `EVERY_S` what waits in each partition that `consumer` has, until cancelled; log when topics are given more of them."""
    known: dict[str, int] = {}
    while True:
        await asyncio.sleep(EVERY_S)
        _tell_raised(consumer, known)
        try:
            async with asyncio.timeout(EVERY_S):
                partitions = sorted(consumer.assignment())
                ends = await consumer.end_offsets(partitions) if partitions else {}
                behind = {tp: ends[tp] - await consumer.position(tp) for tp in partitions}
        except (TimeoutError, KafkaError):
            continue  # the broker is away or partitions change hands; what was known last stands
        LAG_RECORDS.clear()
        for tp, n_records in behind.items():
            LAG_RECORDS.labels(tp.topic, str(tp.partition)).set(max(0, n_records))
        progress.waiting(behind)


def _tell_raised(consumer: AIOKafkaConsumer, known: dict[str, int]) -> None:
    """Log which topics have more partitions than `known`, where that is noted."""
    for topic in sorted(consumer.subscription()):
        now = len(consumer.partitions_for_topic(topic) or ())
        if now > known.setdefault(topic, now) > 0:
            what = "devices whose key moved are blind for two minutes; all topics must have the same number"
            log.error("partitions raised", topic=topic, before=known[topic], now=now, so=what)
        known[topic] = now or known[topic]


async def tell_place(
    consumer: AIOKafkaConsumer, assigned: Iterable[TopicPartition], committed: Mapping[TopicPartition, int]
) -> None:
    """Log where reading begins elsewhere than where it ended: the client would go on without a word.

    Records were deleted unread, since nobody ran for longer than the topic retains; or nothing is committed, since the group is new, or was
    deleted, or idle for longer than the broker keeps its offsets: then all that the topic holds is read.
    """
    partitions = list(assigned)
    try:
        begin = await consumer.beginning_offsets(partitions) if partitions else {}
        end = await consumer.end_offsets(partitions) if partitions else {}
    except KafkaError as error:  # no reason to end: reading will tell
        log.warning("not known whether records were deleted unread", error=str(error))
        return
    for tp in partitions:
        place, offset = f"{tp.topic}[{tp.partition}]", committed.get(tp)
        if offset is None:
            if n_records := end[tp] - begin[tp]:
                log.info("nothing committed: begins with the oldest record", at=place, records=n_records)
        elif offset < begin[tp]:
            log.error("deleted unread", at=f"{place}@{offset}", records=begin[tp] - offset)
