"""What clocks and counters do to the watch over devices: nothing is lost, nothing is told twice."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clinical import at, beats, finding, stream
from ecgstream.burdens import add_up
from ecgstream.device_state import State
from ecgstream.limits import load_limits
from ecgstream.messages import Ack, Alert, AlertState, Beat, Finding
from ecgstream.watch import is_over, on_ack, on_clock, on_finding, on_tick

LIMITS = load_limits()
S = 1_000_000
TWO_VT = beats(
    ("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 80), ("V", 0.35, 20), ("N", 0.8, 200)
)  # 40 to 47 s, 111 to 118 s


def moved(f: Finding, by_us: int, **changes: Any) -> Finding:
    """The same finding by a clock that stands so much later."""
    signal = f.signal and replace(f.signal, start_us=f.signal.start_us + by_us)
    seen = [Beat(b.at_us + by_us, b.kind, b.probability) for b in f.beats]
    return replace(
        f, start_us=f.start_us + by_us, end_us=f.end_us + by_us, beats=seen, signal=signal, **changes
    )


def answered(findings: Iterable[Finding], state: State | None = None) -> list[Alert]:
    """All revisions, second by second of the shell's clock; every alert is answered as it is raised."""
    state, out = state or State("chest-7"), []
    for now_us, f in enumerate(findings):
        now_us = at(now_us)  # noqa: PLW2901
        alerts = on_finding(state, f, LIMITS, now_us, now_us) + on_tick(state, LIMITS, now_us)
        for a in alerts:
            if a.state is AlertState.RAISED:
                on_ack(state, Ack(alert_id=a.alert_id, device_id="chest-7", by="Dr. A", at_us=now_us))
        out += alerts
    return out


def raised(alerts: Iterable[Alert]) -> list[tuple[str, int]]:
    return [
        (a.kind, a.first_window) for a in alerts if a.state is AlertState.RAISED and a.kind != "clock-fault"
    ]


def silent(k: int) -> dict[str, Any]:
    return {"acute": "asystole", "acute_probabilities": {"asystole": 0.9}} if k > 82 else {}


@pytest.mark.parametrize("jump_s", [-86_400, -3600, -30, -1, 0.2, 1.9, 60, 86_400])
@pytest.mark.parametrize("window", [44, 60, 90, 114])
def test_a_clock_that_jumps_changes_no_alert_but_its_own(window: int, jump_s: float) -> None:
    for findings in (list(stream(TWO_VT, 180)), list(stream(beats(("N", 0.8, 100)), 180, silent))):
        jumped = [f if f.window < window else moved(f, round(jump_s * S)) for f in findings]
        alerts = answered(jumped)
        assert raised(alerts) == raised(answered(findings)) != []
        faults = [a for a in alerts if a.kind == "clock-fault" and a.state is AlertState.RAISED]
        assert len(faults) == (abs(jump_s) > LIMITS.limits.clock_jump_s)


@pytest.mark.parametrize("back_s", [0, -3600, -86_400])
def test_a_new_session_by_an_earlier_clock_is_watched_as_any_other(back_s: int) -> None:
    first = list(stream(TWO_VT, 70))
    second = [moved(f, (100 + back_s) * S, session="b") for f in first]
    assert [kind for kind, _ in raised(answered(first + second))] == ["vt", "vt"]


@pytest.mark.parametrize("ppm", [-100, -20, 20, 100, 300])
def test_a_clock_that_drifts_tells_no_event_twice(ppm: int) -> None:
    def drifting(findings: Iterable[Finding]) -> Iterator[Finding]:
        for f in findings:
            yield moved(f, round(f.window * ppm / 1000) * 1000)

    states = State("chest-7"), State("chest-7")
    told = raised(answered(drifting(stream(TWO_VT, 180)), states[0]))
    assert told == raised(answered(stream(TWO_VT, 180), states[1])) != []
    day = [add_up(list(findings)).beats for findings in (drifting(stream(TWO_VT, 180)), stream(TWO_VT, 180))]
    assert day[0] == day[1]
    drifted, exact = (state.tally.last_hours(1) for state in states)
    assert (drifted.beats, drifted.ventricular, drifted.runs) == (exact.beats, exact.ventricular, exact.runs)


def test_a_session_that_goes_on_after_a_stray_one_is_taken_up_again() -> None:
    findings = list(stream(TWO_VT, 180))
    stray = finding(4, session="stray", start_us=at(95), end_us=at(100))
    state = State("chest-7")
    alerts = answered([*findings[:100], stray, *findings[100:]], state)
    assert [kind for kind, _ in raised(alerts)] == ["vt", "vt"]
    assert answered([*findings[:100], stray], state) == [], "what was seen before stays seen"
    assert state.counts["finding of a past session"] == 1


@pytest.mark.parametrize("overlap_s", [0, 3, 6, 9, 12])
def test_a_session_that_goes_on_beside_the_next_one_is_no_jump_of_the_clock(overlap_s: int) -> None:
    heart, begin_s = beats(("N", 0.8, 118), ("V", 0.35, 6), ("N", 0.8, 100)), 89  # VT from 94.7 to 96.5 s
    later = [(t - begin_s, kind) for t, kind in heart if t > begin_s]
    second = [moved(finding(k, later, session="b"), begin_s * S) for k in range(60)]
    alerts = answered([*stream(heart, begin_s + overlap_s), *second])
    assert {a.kind for a in alerts if a.state is AlertState.RAISED} == {"vt"}
    assert len(raised(alerts)) == 1


def test_a_jump_of_the_clock_does_not_end_lagging() -> None:
    state, alerts = State("chest-7"), list[Alert]()
    for f in stream(beats(("N", 0.8, 300)), 200):
        late_s = min(60, max(0, f.window - 30))
        now_us = at(f.window + 1 + late_s)
        by_clock = f if f.window < 120 else moved(f, 5 * S)
        alerts += on_finding(state, by_clock, LIMITS, now_us, now_us)
    lagging = [str(a.state) for a in alerts if a.kind == "lagging"]
    assert (lagging.count("raised"), lagging.count("ended")) == (1, 0)


def test_totals_of_hours_are_of_hours_on_the_clock() -> None:
    ectopic = beats(*(("N", 0.8, 3), ("V", 0.8, 1)) * 280)
    state = State("chest-7")
    assert answered(stream(ectopic, 780), state) == []
    calm = [moved(f, 20 * 3600 * S, session="b") for f in stream(beats(("N", 0.8, 400)), 300)]
    assert answered(calm, state) == [], (
        "what was counted twenty hours ago is nothing of this hour's and the last's"
    )


def test_a_device_that_goes_silent_after_its_clock_jumped_is_forgotten_in_time() -> None:
    state, calm = State("chest-7"), list(stream(beats(("N", 0.8, 100)), 62))
    alerts = answered([*calm[:60], *(moved(f, 3600 * S) for f in calm[60:])], state)
    for t in range(100, 90_000, 100):
        alerts += on_tick(state, LIMITS, at(t))
    assert [str(a.state) for a in alerts if a.kind == "clock-fault"] == ["raised", "ended"]
    assert is_over(state, LIMITS, at(90_000))


def test_what_nobody_answers_escalates_also_when_the_clock_of_the_process_is_set_back() -> None:
    state = State("chest-7")
    findings = stream(TWO_VT, 45)
    (raised,) = [a for f in findings for a in on_finding(state, f, LIMITS, f.end_us) if a.kind == "vt"][:1]
    back_us = state.alerts["vt"].alarmed_at_us - 3600 * S
    on_clock(state, back_us)
    told = on_tick(state, LIMITS, back_us + round((LIMITS.kinds["vt"].escalate_after_s or 0) * S))
    assert [a.alert_id for a in told if a.state is AlertState.ESCALATED] == [raised.alert_id]


def test_a_quiet_device_takes_little_of_the_changelog() -> None:
    state = State("chest-7")
    assert [
        a for f in stream(beats(("N", 0.8, 100)), 60) for a in on_finding(state, f, LIMITS, f.end_us)
    ] == []
    assert len(state.episodes) > 20
    stored = msgspec.msgpack.encode(state)
    assert len(stored) < 1000, "it is written with each finding"
    assert msgspec.msgpack.decode(stored, type=State) == state
