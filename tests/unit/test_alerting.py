"""The desk around the watch: time that passes while the broker is away."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ecgstream import alerting
from ecgstream.kafka import load_settings
from ecgstream.limits import load_limits


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
