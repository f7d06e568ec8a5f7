"""The desk around the watch: time that passes while the broker is away; and how the process ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from ecgstream import alerting, faust_app, logs
from ecgstream.cli import app
from ecgstream.device_state import State
from ecgstream.kafka import load_settings
from ecgstream.limits import load_limits
from ecgstream.messages import Alert
from ecgstream.topics import Topics, TopicsMismatch


async def test_nobody_is_called_silent_for_the_time_that_the_broker_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ticked = SimpleNamespace(us=10**15), list[bytes]()
    monkeypatch.setattr(alerting, "now_us", lambda: clock.us)
    _, desk = alerting.build(load_settings({}), load_limits(), 1, str(tmp_path))
    here = SimpleNamespace(topic=desk.topics.rhythm, partition=0)
    desk.app = SimpleNamespace(  # type: ignore[assignment]
        rebalancing=False,
        unassigned=False,
        tables=SimpleNamespace(recovery=SimpleNamespace(in_recovery=False)),
        assignor=SimpleNamespace(assigned_actives=lambda: [here]),
    )
    desk.devices = {b"a": b"", b"b": b"", b"c": b""}  # type: ignore[assignment]

    async def tick_of(key: bytes) -> None:
        ticked.append(key)
        clock.us += 90_000_000 if len(ticked) == 2 else 1000

    monkeypatch.setattr(desk, "_tick_of", tick_of)
    await desk.tick()
    assert ticked == [b"a", b"b"], "whoever is next has been heard by nobody"
    assert desk.ready_us == clock.us, "and counts as heard now"
    await desk.tick()
    assert len(ticked) == 5


@pytest.mark.parametrize("step_s", [3600, -3600])
async def test_a_clock_that_is_set_makes_nobody_silent_and_hides_nobody_s_silence(
    step_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(us=10**15)
    monkeypatch.setattr(alerting, "now_us", lambda: clock.us)
    _, desk = alerting.build(load_settings({}), load_limits(), 1, str(tmp_path))
    here = SimpleNamespace(topic=desk.topics.rhythm, partition=0)
    desk.app = SimpleNamespace(  # type: ignore[assignment]
        rebalancing=False,
        unassigned=False,
        tables=SimpleNamespace(recovery=SimpleNamespace(in_recovery=False)),
        assignor=SimpleNamespace(assigned_actives=lambda: [here]),
    )
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

    await pass_s(5)
    clock.us += step_s * 1_000_000
    set_us = clock.us
    await pass_s(29)
    assert told == []
    await pass_s(30)
    assert [kind for _, kind in told] == ["signal-lost"]
    assert told[0][0] - set_us <= 45 * 1_000_000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TopicsMismatch("ecg.rhythm: no such topic"), 2),
        (KafkaConnectionError("away"), 3),
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

    monkeypatch.setattr(faust_app, "administration", administration)
    with pytest.raises(TopicsMismatch, match=told):
        await faust_app.partitions_of(load_settings({}))
