"""Events that no finding shows: snoozes, refused settings, records that were parked, devices that are forgotten."""

from collections.abc import Iterable

import pytest

from clinical import at, beats, stream
from ecgstream.alerting import build
from ecgstream.codec import encode
from ecgstream.device_state import State
from ecgstream.kafka import load_settings
from ecgstream.limits import LimitsError, for_device, load_limits
from ecgstream.messages import Ack, Alert, AlertState, DeviceSettings, Snooze
from ecgstream.watch import (
    is_over,
    next_due_us,
    on_ack,
    on_failure,
    on_farewell,
    on_finding,
    on_settings,
    on_snooze,
    on_tick,
)

LIMITS = load_limits()
DAY_S = 86_400.0


def newest(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """What a subscriber holds: of each alert the highest revision, which may not come twice."""
    held: dict[str, Alert] = {}
    for alert in alerts:
        assert alert.alert_id not in held or held[alert.alert_id].revision < alert.revision
        held[alert.alert_id] = alert
    return held


def heard(device_id: str = "chest-7") -> State:
    state = State(device_id)
    for f in stream(beats(("N", 0.8, 60)), 40):
        assert on_finding(state, f, LIMITS, f.end_us) == []
    return state


def snooze(state: State, kind: str, minutes: float, at_s: float) -> list[Alert]:
    until_us = at(at_s + 60 * minutes)
    order = Snooze(device_id=state.device_id, kind=kind, until_us=until_us, by="N. B", at_us=at(at_s))
    return on_snooze(state, order, LIMITS, at(at_s))


def test_every_snooze_is_shown_and_the_next_after_the_last_is_a_new_alert() -> None:
    state = heard()
    first = snooze(state, "lead-off", 30, 41) + snooze(state, "vt", 60, 42)
    assert set(first[-1].evidence["snoozes"]) == {"lead-off", "vt"}
    ended = snooze(state, "lead-off", 0, 43) + snooze(state, "vt", 0, 44)
    assert [str(a.state) for a in ended] == ["updated", "ended"]
    second = snooze(state, "vt", 60, 45)
    assert [str(a.state) for a in newest(first + ended + second).values()] == ["ended", "raised"]


def test_a_snooze_that_runs_out_is_shown_while_another_stands() -> None:
    state = heard()
    snooze(state, "lead-off", 1, 41)
    snooze(state, "vt", 60, 42)
    out = [a for a in on_tick(state, LIMITS, at(102)) if a.kind == "snoozed"]
    assert [set(a.evidence["snoozes"]) for a in out] == [{"vt"}]


@pytest.mark.parametrize("state", [heard(), State("monitor")], ids=["heard", "never heard"])
def test_each_failure_is_told_by_the_alert_that_stands_or_by_a_new_one(state: State) -> None:
    def parked(offset: int, at_s: float) -> list[Alert]:
        place = f"ecg.samples[0]@{offset}"
        return on_failure(state, "record-parked", place, {"parked": f"{place}: KeyError"}, LIMITS, at(at_s))

    out = parked(5, 50) + parked(9, 60)
    (alert,) = newest(out).values()
    assert "@9" in alert.message
    assert parked(9, 61) == []
    out += on_ack(state, Ack(alert_id=alert.alert_id, device_id=state.device_id, by="x", at_us=at(62)))
    out += on_tick(state, LIMITS, at(DAY_S))
    out += parked(77, DAY_S + 1)
    alerts = [a for a in newest(out).values() if a.kind == "record-parked"]
    assert [(str(a.state), a.evidence["latched"]) for a in alerts] == [("ended", False), ("updated", True)]
    assert "@77" in alerts[-1].message


def test_each_refusal_of_settings_is_told() -> None:
    state, out = State("chest-9"), list[Alert]()
    for k, refused in enumerate(
        ("limits.foo: no such limit", "limits.bar: no such limit", None, "limits.x: no")
    ):
        out += on_settings(state, refused, f"ecg.device-settings[0]@{k}", LIMITS, at(k))
    first, second = newest(out).values()
    assert ("limits.bar" in first.message, str(first.state)) == (True, "ended")
    assert ("limits.x" in second.message, str(second.state)) == (True, "raised")


def test_settings_that_another_table_took_leave_the_device_on_the_table_and_say_why(tmp_path: object) -> None:
    _, desk = build(load_settings({}), LIMITS, 3, str(tmp_path))
    bad = DeviceSettings(device_id="chest-9", limits={"low_rate_bpm": 300.0})
    desk.settings = {b"chest-9": encode(bad)}  # type: ignore[assignment]
    for key, why in ((b"chest-9", "limits.low_rate_bpm: 300 must be below"), (b"chest-7", "")):
        limits, refused = desk._limits_of(key)
        assert limits is LIMITS
        assert why in refused


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e300, 61.0])
def test_a_limit_that_cannot_be_is_refused_by_name(value: float) -> None:
    with pytest.raises(LimitsError, match=r"limits\.rate_beats"):
        for_device(LIMITS, DeviceSettings(device_id="chest-7", limits={"rate_beats": value}))


def test_a_device_that_is_forgotten_leaves_nothing_open() -> None:
    state, out, now_us = heard(), list[Alert](), at(41)
    while not is_over(state, LIMITS, now_us):
        now_us = max(now_us + 1_000_000, next_due_us(state, LIMITS, now_us))
        assert now_us < at(3 * DAY_S)
        out += on_tick(state, LIMITS, now_us)
    assert [(a.kind, str(a.state)) for a in newest(out).values()] == [("signal-lost", "escalated")]
    (ended,) = on_farewell(state, LIMITS, now_us)
    assert (ended.kind, ended.state, ended.evidence["outcome"]) == (
        "signal-lost",
        AlertState.ENDED,
        "device forgotten",
    )
    assert ended.end_us is not None
