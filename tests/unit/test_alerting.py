"""The desk around the watch: time that passes while the broker is away; and how the process ends."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
)
from typer.testing import CliRunner

from ecgstream import alerting, analysis, faust_app, logs, model_folder, monitor
from ecgstream.cli import app
from ecgstream.device_state import State
from ecgstream.kafka import load_settings
from ecgstream.limits import load_limits
from ecgstream.messages import Alert
from ecgstream.topics import TopicsMismatch
from fakes import FakeModel


def reading(desk: alerting.Desk) -> Any:
    """An application that reads one partition of findings: of `end` records it has fetched `fetched`, and `unacked` aren't taken."""
    here = SimpleNamespace(topic=desk.topics.rhythm, partition=0)
    consumer = SimpleNamespace(end=0, fetched=0, unacked=[])

    async def position(_: Any) -> int:
        fetched: int = consumer.fetched
        return fetched

    consumer.highwater, consumer.position = lambda _: consumer.end, position
    return SimpleNamespace(
        rebalancing=False,
        unassigned=False,
        tables=SimpleNamespace(recovery=SimpleNamespace(in_recovery=False)),
        assignor=SimpleNamespace(assigned_actives=lambda: [here]),
        consumer=consumer,
        here=here,
    )


async def test_nobody_is_called_silent_for_the_time_that_the_broker_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ticked = SimpleNamespace(us=10**15), list[bytes]()
    monkeypatch.setattr(alerting, "now_us", lambda: clock.us)
    _, desk = alerting.build(load_settings({}), load_limits(), 1, str(tmp_path))
    desk.app = reading(desk)
    desk.devices = {b"a": b"", b"b": b"", b"c": b""}  # type: ignore[assignment]

    async def tick_of(key: bytes) -> None:
        ticked.append(key)
        clock.us += 90_000_000 if len(ticked) == 2 else 1000

    monkeypatch.setattr(desk, "_tick_of", tick_of)
    await desk.tick()
    assert ticked == [b"a", b"b"], "whoever is next has been heard by nobody"
    assert desk.listening.since_us(0) == clock.us, "and counts as heard now"
    await desk.tick()
    assert len(ticked) == 5


def ward_of_one(
    desk: alerting.Desk, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> tuple[Callable[[int], Awaitable[None]], list[tuple[int, str]]]:
    """A desk that knows one device, heard just now: what lets seconds pass, and what is told (when, kind)."""
    state = State("a", session="s", window=60, end_us=clock.us, seen_at_us=clock.us)
    desk.devices = {b"a": msgspec.msgpack.encode(state)}  # type: ignore[assignment]
    told: list[tuple[int, str]] = []

    async def publish(_: bytes, alert: Alert) -> None:
        told.append((clock.us, alert.kind))

    async def known(_: object) -> None:
        pass

    monkeypatch.setattr(desk, "_publish", publish)
    monkeypatch.setattr(faust_app, "changelogs_known", known)

    async def pass_s(seconds: int) -> None:
        for _ in range(seconds):
            clock.us += 1_000_000
            await desk.tick()

    return pass_s, told


@pytest.mark.parametrize("step_s", [3600, -3600])
async def test_a_clock_that_is_set_makes_nobody_silent_and_hides_nobody_s_silence(
    step_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(us=10**15)
    monkeypatch.setattr(alerting, "now_us", lambda: clock.us)
    _, desk = alerting.build(load_settings({}), load_limits(), 1, str(tmp_path))
    desk.app = reading(desk)
    pass_s, told = ward_of_one(desk, clock, monkeypatch)
    await pass_s(5)
    clock.us += step_s * 1_000_000
    set_us = clock.us
    await pass_s(29)
    assert told == []
    await pass_s(30)
    assert [kind for _, kind in told] == ["signal-lost"]
    assert told[0][0] - set_us <= 45 * 1_000_000


async def test_what_waits_unread_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(us=10**15)
    monkeypatch.setattr(alerting, "now_us", lambda: clock.us)
    _, desk = alerting.build(load_settings({}), load_limits(), 1, str(tmp_path))
    desk.app = app = reading(desk)
    consumer = app.consumer
    pass_s, told = ward_of_one(desk, clock, monkeypatch)
    consumer.end, consumer.fetched = 900, 300
    for k in range(60):  # a second of each is taken slowly
        consumer.unacked = [SimpleNamespace(tp=app.here, offset=200 + k, acked=False)]
        await pass_s(1)
    consumer.unacked, consumer.fetched = [], 900
    assert told == [], "600 are in the log, 40 in the queue"
    read_out_us = clock.us
    for k in range(45):  # others go on: there is always one that has just come
        consumer.end = consumer.fetched = 901 + k
        consumer.unacked = [SimpleNamespace(tp=app.here, offset=900 + k, acked=False)]
        await pass_s(1)
    assert [kind for _, kind in told] == ["signal-lost"]
    assert 25 <= (told[0][0] - read_out_us) / 1e6 <= 40


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TopicsMismatch("ecg.rhythm: no such topic"), 2),
        (KafkaConnectionError("away"), 3),
        (KafkaTimeoutError(), 3),
        (NotEnoughReplicasError(), 3),
        (TopicAuthorizationFailedError(), 3),
        (MessageSizeTooLargeError(), 1),
        (KeyError("no such kind"), 1),
        (IndexError("list index out of range"), 1),
        (OSError(28, "No space left on device"), 1),
    ],
)
def test_the_exit_code_tells_our_own_faults_from_those_of_the_settings(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(alerting, "run", run)
    monkeypatch.setattr(logs, "configure_logs", lambda: None)
    ended = CliRunner().invoke(app, ["alerting"])
    assert ended.exit_code == code
    assert (ended.exception is error) == (code == 1), "a fault of our own is told with its traceback"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KafkaTimeoutError(), 3),
        (TopicAuthorizationFailedError(), 3),
        (MessageSizeTooLargeError(), 1),
        (KeyError(), 1),
    ],
)
def test_a_monitor_tells_them_apart_by_the_same_exit_codes(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(monitor.Monitor, "run", run)
    monkeypatch.setattr(model_folder, "load_model", lambda _: FakeModel())
    monkeypatch.setattr(analysis, "Analyzer", lambda *_: SimpleNamespace(max_devices=1))
    monkeypatch.setattr(logs, "configure_logs", lambda *_, **__: None)
    assert CliRunner().invoke(app, ["monitor"]).exit_code == code
