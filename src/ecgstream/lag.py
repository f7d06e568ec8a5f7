"""How far a monitor is behind, asked of the broker beside the work: a fetch that is stuck can't tell."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ecgstream.observability import LAG_RECORDS, Progress

EVERY_S = 5.0
log = structlog.get_logger("monitor")


async def watch(consumer: AIOKafkaConsumer, progress: Progress) -> None:
    """Note every `EVERY_S` what waits in each partition that `consumer` has, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
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


async def tell_lost(consumer: AIOKafkaConsumer, committed: Mapping[TopicPartition, int]) -> None:
    """Log what was deleted unread, since nobody ran for longer than the topic retains: the client would go on without a word."""
    try:
        begin = await consumer.beginning_offsets(list(committed)) if committed else {}
    except KafkaError as error:  # no reason to end: reading will tell
        log.warning("not known whether records were deleted unread", error=str(error))
        return
    for tp, offset in committed.items():
        if begin[tp] > offset:
            log.error("deleted unread", at=f"{tp.topic}[{tp.partition}]@{offset}", records=begin[tp] - offset)
