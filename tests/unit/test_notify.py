"""What goes to pagers and chats: whom it is sent to, again where it wasn't taken, and what is committed of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError
from msgspec.structs import replace
from typer.testing import CliRunner

from clinical import beats, stream
from ecgstream import notify
from ecgstream.cli import app
from ecgstream.codec import JSON, encode
from ecgstream.kafka import load_settings
from ecgstream.limits import load_limits
from ecgstream.messages import Alert, AlertState, Priority
from ecgstream.notify import FAILED, apprise_senders, deliver, is_told
from ecgstream.watch import over_findings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Apprise imports
VT = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 60))


def raised() -> Alert:
    return next(iter(over_findings(stream(VT, 60), load_limits())))


async def test_a_notification_is_tried_again_and_its_failure_is_not_notified() -> None:
    alert = raised()
    tried: list[str] = []

    async def refuses(title: str, text: str, priority: Priority) -> bool:
        tried.append(title)
        return len(tried) > 3

    assert await deliver(alert, [refuses], 0.001)
    assert len(tried) == 4
    assert tried[0].startswith("HIGH chest-7: Ventricular tachycardia")

    async def never(title: str, text: str, priority: Priority) -> bool:
        return False

    assert not await deliver(alert, [never], 0.001)
    said = replace(alert, kind=FAILED)
    assert not is_told(said, Priority.LOW), "it must not chase its own tail"


def test_only_what_calls_for_somebody_is_sent() -> None:
    alert = raised()
    assert is_told(alert, Priority.HIGH)
    told = [a for a in over_findings(stream(VT, 60), load_limits()) if is_told(a, Priority.HIGH)]
    assert {a.state for a in told} <= {AlertState.RAISED, AlertState.ESCALATED}


async def test_a_service_that_took_it_is_not_called_again_for_another_that_did_not() -> None:
    calls = {"pager": 0, "chat": 0}

    async def pager(title: str, text: str, priority: Priority) -> bool:
        calls["pager"] += 1
        return True

    async def chat(title: str, text: str, priority: Priority) -> bool:
        calls["chat"] += 1
        return False

    assert not await deliver(raised(), [pager, chat], 0.001)
    assert calls == {"pager": 1, "chat": notify.TRIES}


def test_an_address_that_is_none_is_refused_without_its_words(tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.write_text("json://localhost/a\njson://localhost/b\n")
    assert len(apprise_senders(services)) == 2
    services.write_text("json://localhost/a\njsn://anna:secret@localhost/b\n")
    done = CliRunner().invoke(app, ["notify", "--config", str(services)])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "services: 1 of its addresses are no service" in done.stderr
    assert "secret" not in done.output


def test_without_a_broker_it_ends_so_that_it_is_started_again(tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.write_text("json://localhost/a\n")
    done = CliRunner().invoke(
        app, ["notify", "--config", str(services), "--bootstrap-servers", "127.0.0.1:1"]
    )
    assert (done.exit_code, done.stderr.count("\n")) == (3, 1)


class Alerts:
    """A consumer that gives the same alert in each of three partitions, all at once."""

    def __init__(
        self, refuses: int | None = None, *, stamped_s_ago: float = 0.0, at_once: bool = True
    ) -> None:
        self.committed: list[tuple[int, int]] = []
        self._refuses, self._stamped_s_ago, self._has_come = refuses, stamped_s_ago, at_once

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        has_come, self._has_come = self._has_come, True
        if not has_come:
            return {}
        value, stamp_ms = encode(raised(), JSON), (time.time() - self._stamped_s_ago) * 1e3
        record = SimpleNamespace(value=value, timestamp=stamp_ms, offset=7, key=b"chest-7")
        return {TopicPartition("ecg.alerts", k): [record] for k in range(3)}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("ecg.alerts", k) for k in range(3)}

    async def position(self, _: TopicPartition) -> int:
        return 7

    def highwater(self, _: TopicPartition) -> int:
        return 7

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        (partition, offset), *more = [(tp.partition, at) for tp, at in offsets.items()]
        assert not more
        if partition == self._refuses:
            raise CommitFailedError("rebalanced")
        self.committed.append((partition, offset))


async def told(monkeypatch: pytest.MonkeyPatch, consumer: Alerts, ends: Any) -> int:
    """Run until the second page, which `ends` it; gives how many went out."""
    n_pages, stop = 0, asyncio.Event()

    @asynccontextmanager
    async def started(kind: type, *_: str, **__: Any) -> AsyncIterator[Any]:
        yield consumer if kind is AIOKafkaConsumer else None

    async def page(title: str, text: str, priority: Priority) -> bool:
        nonlocal n_pages
        n_pages += 1
        if n_pages == 2:
            ends(stop)
        return True

    monkeypatch.setattr(notify, "started", started)
    await notify.run(load_settings({}), [page], Priority.HIGH, stop)
    return n_pages


async def test_what_was_fetched_but_not_told_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(_: asyncio.Event) -> None:
        raise SystemError("the process dies while the second one is called")

    consumer = Alerts()
    with pytest.raises(SystemError):
        await told(monkeypatch, consumer, dies)
    assert consumer.committed == [(0, 8)]


async def test_who_is_told_to_stop_ends_after_the_alert_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Alerts()
    assert await told(monkeypatch, consumer, asyncio.Event.set) == 2
    assert consumer.committed == [(0, 8), (1, 8)]


async def test_a_partition_that_changed_hands_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Alerts(refuses=0)
    assert await told(monkeypatch, consumer, asyncio.Event.set) == 2
    assert consumer.committed == [(1, 8)]


@pytest.mark.parametrize("by_h", [-1, 1])
async def test_whose_clock_is_an_hour_off_is_told_all_the_same(
    by_h: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Alerts(stamped_s_ago=3600 * by_h, at_once=False)
    assert await told(monkeypatch, consumer, asyncio.Event.set) == 2


async def test_what_waited_while_nobody_ran_is_not_told_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, stop = Alerts(stamped_s_ago=3600), asyncio.Event()

    async def commit(_: object) -> None:
        stop.set()

    monkeypatch.setattr(consumer, "commit", commit)
    pages: list[str] = []

    async def page(title: str, text: str, priority: Priority) -> bool:
        pages.append(title)
        return True

    @asynccontextmanager
    async def started(kind: type, *_: str, **__: Any) -> AsyncIterator[Any]:
        yield consumer if kind is AIOKafkaConsumer else None

    monkeypatch.setattr(notify, "started", started)
    await notify.run(load_settings({}), [page], Priority.HIGH, stop)
    assert pages == []
