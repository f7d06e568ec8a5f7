"""The number of partitions, which alerting's tables hang on: missing topics, uneven ones, raised ones, state of another number."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError

from ecgstream import copartitioning
from ecgstream.kafka import load_settings
from ecgstream.topics import Topics, TopicsMismatch


@pytest.mark.parametrize(
    ("found", "told"), [({}, "ecg.rhythm: no such topic"), ({"ecg.acks": 4}, "partitions: {.*'ecg.acks': 4")]
)
async def test_topics_that_are_missing_or_differ_are_told(
    found: dict[str, int], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = dict.fromkeys(Topics().configurations(), 12) | found if found else {}

    async def describe_topics() -> list[dict[str, object]]:
        return [{"topic": name, "partitions": [{}] * n} for name, n in there.items()]

    @asynccontextmanager
    async def administration(_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(describe_topics=describe_topics)

    monkeypatch.setattr(copartitioning, "administration", administration)
    with pytest.raises(TopicsMismatch, match=told):
        await copartitioning.partitions_of(load_settings({}))


def changed(partition: int, key: bytes) -> SimpleNamespace:
    """An event of a table's changelog."""
    message = SimpleNamespace(topic="ecg.alerting-devices-changelog", partition=partition, offset=7, key=key)
    return SimpleNamespace(message=message)


async def test_state_that_was_written_for_another_number_of_partitions_is_not_taken() -> None:
    told: list[Exception] = []
    key = b"chest-0"
    before, now = (copartitioning.partitioner(n)(key) for n in (4, 8))
    assert (before, now) == (0, 4)
    await copartitioning.in_place(copartitioning.partitioner(4), told.append)(changed(before, key))
    assert told == []
    await copartitioning.in_place(copartitioning.partitioner(8), told.append)(changed(before, key))
    assert [type(error) for error in told] == [TopicsMismatch]
    assert "ecg.alerting-devices-changelog[0]@7" in str(told[0])


async def test_alerting_ends_when_partitions_are_raised_and_not_while_the_broker_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int | Exception] = []

    async def partitions_of(_: object) -> int:
        now = found.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    told: list[Exception] = []
    monkeypatch.setattr(copartitioning, "partitions_of", partitions_of)
    look = copartitioning.unchanged(load_settings({}), 4, told.append)
    uneven = TopicsMismatch("partitions: {...}, but these topics must all have the same number")
    once = (4, KafkaConnectionError("away"), 8, 4, uneven, 4, 8)  # a broker may be behind the others
    for seen in once:
        found.append(seen)
        await look()
        assert told == []
    found += [KafkaConnectionError("away"), 8]
    await look()
    await look()
    assert [type(error) for error in told] == [TopicsMismatch]
    assert "partitions: 8, but 4 when alerting began" in str(told[0])
