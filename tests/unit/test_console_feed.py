"""The console's feed where its broker falters: what is known then, and what isn't."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError, TopicAuthorizationFailedError

from console_ward import alert
from ecgstream.codec import encode
from ecgstream.console import feed as feeds
from ecgstream.console.app import _prune, _watched
from ecgstream.console.desk import Desk
from ecgstream.console.feed import FeedLost, KafkaFeed, Unconfirmed
from ecgstream.console.live import Live
from ecgstream.console.store import Store
from ecgstream.console.ward import Ward
from ecgstream.messages import Snooze
from ecgstream.topics import Topics

SNOOZE = Snooze(device_id="bed-07", kind="asystole", until_us=2, at_us=1, by="anna")


class Broker:
    """A producer and a consumer: `sends` is how sending ends, `reads` how each reading does, `end` where the topics end."""

    sends: BaseException | None = None
    reads: list[Exception] = []  # noqa: RUF012 - set by each test
    gives: list[Any] = []  # noqa: RUF012 - what the first reading of a session gives
    end, at = 0, 0
    _subscription = SimpleNamespace(subscription=None)  # of which the way around unreadable records asks

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send_and_wait(self, *_: object, **__: object) -> None:
        if self.sends is None:
            await asyncio.Event().wait()
        else:
            raise self.sends

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("ecg.alerts", 0)}

    async def seek_to_beginning(self, *_: TopicPartition) -> None:
        type(self).at = 0

    async def offsets_for_times(self, _: object) -> dict[TopicPartition, Any]:
        return {}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.end)

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.01)
        if self.reads:
            raise self.reads.pop()
        if type(self).at < len(self.gives):
            type(self).at = len(self.gives)
            return {TopicPartition("ecg.alerts", 0): self.gives}
        return {}


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> type[Broker]:
    broker = type("Broker", (Broker,), {"reads": []})
    monkeypatch.setattr(feeds, "AIOKafkaProducer", broker)
    monkeypatch.setattr(feeds, "AIOKafkaConsumer", broker)
    monkeypatch.setattr(feeds, "RETRY_S", 0.01)
    monkeypatch.setattr(feeds, "SEND_TIMEOUT_S", 0.05)
    return broker


async def until_live(feed: KafkaFeed, *, caught_up: bool | None = None) -> None:
    deadline = time.monotonic() + 10
    while not feed.state().live or caught_up not in (None, feed.state().caught_up):
        assert time.monotonic() < deadline, feed.state()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("ends", "raised"),
    [(None, Unconfirmed), (RequestTimedOutError(), Unconfirmed), (KafkaConnectionError(), Unconfirmed),
     (TopicAuthorizationFailedError(), FeedLost)],
)  # fmt: skip
async def test_an_answer_that_may_yet_arrive_is_not_called_lost(
    broker: type[Broker], ends: Exception | None, raised: type[FeedLost]
) -> None:
    broker.sends = ends
    feed = KafkaFeed({}, Topics())
    task = asyncio.create_task(feed.run(Desk(Store(), Ward(), Live())))
    await until_live(feed)
    with pytest.raises(FeedLost) as told:
        await feed.answer(SNOOZE)
    assert told.type is raised
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_feed_that_begins_anew_is_not_caught_up_until_it_has_read_what_came_meanwhile(
    broker: type[Broker],
) -> None:
    feed = KafkaFeed({}, Topics())
    task = asyncio.create_task(feed.run(Desk(Store(), Ward(), Live())))
    await until_live(feed, caught_up=True)
    broker.end = 7
    broker.reads.append(KafkaConnectionError())
    await until_live(feed, caught_up=False)
    broker.at = 7
    await until_live(feed, caught_up=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_console_whose_disk_is_full_is_not_live_and_goes_on_when_there_is_room(
    broker: type[Broker], tmp_path: Path
) -> None:
    told = alert("vt-1")
    record = SimpleNamespace(
        topic="ecg.alerts", partition=0, offset=0, timestamp=1, value=encode(told), headers=()
    )
    broker.gives, broker.end = [record], 1
    store = Store(str(tmp_path / "history"))
    full, room = (f"PRAGMA max_page_count={n}" for n in (1, 10_000))  # 1: as many as it has
    store._db.execute(full)
    feed = KafkaFeed({}, Topics())
    task = asyncio.create_task(feed.run(Desk(store, Ward(), Live())))
    deadline = time.monotonic() + 10
    while "full" not in feed.state().detail:
        assert time.monotonic() < deadline
        assert not task.done()
        await asyncio.sleep(0.005)
    seen = set()
    for _ in range(20):  # while it tries again and again
        await asyncio.sleep(0.005)
        seen.add((feed.state().live, feed.state().detail))
    assert seen == {(False, "the history can't be written: database or disk is full")}
    _prune(store)
    store._db.execute(room)
    await until_live(feed, caught_up=True)
    assert [a.alert_id for a in store.inbox()] == ["vt-1"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    store.close()


async def test_a_task_of_the_console_that_ends_by_another_s_cancelling_is_told() -> None:
    n_failed = 0

    def on_failure() -> None:
        nonlocal n_failed
        n_failed += 1

    async def is_cancelled_from_below() -> None:
        raise asyncio.CancelledError

    await _watched(is_cancelled_from_below, on_failure)
    assert n_failed == 1

    async def goes_on() -> None:
        await asyncio.Event().wait()

    ours = asyncio.create_task(_watched(goes_on, on_failure))
    await asyncio.sleep(0)
    ours.cancel()
    await asyncio.gather(ours, return_exceptions=True)
    assert ours.cancelled()
    assert n_failed == 1
