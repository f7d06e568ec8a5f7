"""The life of alerts: one event, one alert; who answers, what escalates, what is held back and shown."""

from collections.abc import Iterable
from typing import Any

import pytest

from clinical import ORGANISED, at, beats, finding, stream, unreadable
from ecgstream.device_state import State
from ecgstream.limits import Limits, for_device, load_limits
from ecgstream.messages import Ack, Alert, AlertState, DeviceSettings, Finding, KindSettings, Reason, Snooze
from ecgstream.watch import on_ack, on_clock, on_finding, on_settings, on_snooze, on_tick, over_findings

LIMITS = load_limits()
VT = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 200))  # 40.4 s to 47 s
S = 1_000_000


def watch(state: State, findings: Iterable[Finding], limits: Limits = LIMITS) -> list[Alert]:
    return [a for f in findings for a in on_finding(state, f, limits, f.end_us)]


def of(alerts: Iterable[Alert], kind: str) -> list[Alert]:
    return [a for a in alerts if a.kind == kind]


def states(alerts: Iterable[Alert]) -> list[str]:
    return [str(a.state) for a in alerts]


def ack(alert: Alert, at_s: float, by: str = "Dr. A") -> Ack:
    return Ack(alert_id=alert.alert_id, device_id=alert.device_id, by=by, at_us=at(at_s), note="seen")


def test_sinus_rhythm_raises_nothing() -> None:
    assert list(over_findings(stream(beats(("N", 0.8, 400)), 300), LIMITS)) == []


def test_vt_is_one_alert_with_its_evidence() -> None:
    alerts = watch(State("chest-7"), stream(VT, 120))
    assert {a.kind for a in alerts} == {"vt"}
    assert len({a.alert_id for a in alerts}) == 1
    assert [a.revision for a in alerts] == list(range(len(alerts)))
    first, last = alerts[0], alerts[-1]
    assert (first.state, first.priority, first.category) == ("raised", "high", "physiological")
    assert first.onset_us == at(40.35)
    assert first.detected_us - first.onset_us < 10 * S
    assert first.heart_rate_bpm == pytest.approx(171.4, abs=0.1)
    assert first.evidence["ventricular_beats"] >= 5
    assert first.model == "test-1@0"
    assert first.configuration == LIMITS.name
    assert last.end_us == at(47.0)
    assert last.evidence["latched"] is True  # nobody has answered
    assert "20 ventricular beats" in last.message, "the run in full, not what was known of it at first"


def test_the_strip_reaches_ten_seconds_either_side_of_the_onset_once_there_is_so_much() -> None:
    alerts = watch(State("chest-7"), stream(VT, 120))
    whole = [
        a
        for a in alerts
        if a.strip and a.strip.start_us <= a.onset_us - 10 * S and a.strip.end_us >= a.onset_us + 10 * S
    ]
    assert whole
    assert alerts[-1] in whole


def test_revisions_are_few_however_long_it_lasts() -> None:
    heart = beats(("N", 0.8, 50), ("V", 0.35, 6000))
    alerts = watch(State("chest-7"), stream(heart, 1800))
    assert len(of(alerts, "vt")) <= 5


@pytest.mark.parametrize("every", [1, 2, 5])
def test_alerts_do_not_hang_on_how_many_findings_are_published(every: int) -> None:
    alerts = watch(State("chest-7"), stream(VT, 120, every=every))
    assert {a.kind for a in alerts} == {"vt"}
    assert alerts[-1].end_us == at(47.0)


def test_an_answer_before_the_end() -> None:
    state = State("chest-7")
    raised = watch(state, stream(VT, 45))[0]
    answered = on_ack(state, ack(raised, 46))
    assert states(answered) == ["acknowledged"]
    assert answered[0].acknowledgement is not None
    assert (answered[0].acknowledgement.by, answered[0].acknowledgement.note) == ("Dr. A", "seen")
    rest = watch(state, list(stream(VT, 120))[45:])
    assert states(rest)[-1] == "ended"
    assert {a.kind for a in on_tick(state, LIMITS, at(500))} == {"signal-lost"}


def test_a_latched_alert_ends_when_answered() -> None:
    state = State("chest-7")
    alerts = watch(state, stream(VT, 120))
    assert alerts[-1].state is AlertState.UPDATED
    assert states(on_ack(state, ack(alerts[0], 130))) == ["ended"]


def test_the_same_answer_twice_and_an_answer_to_nothing_change_nothing() -> None:
    state = State("chest-7")
    raised = watch(state, stream(VT, 45))[0]
    assert len(on_ack(state, ack(raised, 46))) == 1
    assert on_ack(state, ack(raised, 46)) == []
    unknown = Ack(alert_id="vt-0000", device_id="chest-7", by="x", at_us=at(1))
    assert on_ack(state, unknown) == []
    assert state.counts["answer to an unknown alert"] == 1


def test_what_nobody_answers_escalates_also_when_the_clock_is_set_back() -> None:
    state = State("chest-7")
    (raised,) = watch(state, stream(VT, 45))[:1]
    now_us, back_us = state.alerts["vt"].alarmed_at_us, 3600 * 1_000_000
    on_clock(state, now_us - back_us)
    after_us = round(1e6 * (LIMITS.kinds["vt"].escalate_after_s or 0))
    told = of(on_tick(state, LIMITS, now_us - back_us + after_us), "vt")
    assert [a.alert_id for a in told if a.state is AlertState.ESCALATED] == [raised.alert_id]


def test_an_answered_alert_does_not_escalate() -> None:
    state = State("chest-7")
    raised = watch(state, stream(VT, 45))[0]
    on_ack(state, ack(raised, 46))
    out = [a for t in range(46, 400, 5) for a in on_tick(state, LIMITS, at(t))]
    assert AlertState.ESCALATED not in {a.state for a in of(out, "vt")}


def test_a_device_that_is_heard_again_ends_its_silence() -> None:
    state = State("chest-7")
    heart = beats(("N", 0.8, 400))
    watch(state, stream(heart, 40))
    assert states(on_tick(state, LIMITS, at(75))) == ["raised"]
    assert on_tick(state, LIMITS, at(80)) == []
    assert states(watch(state, [finding(90, heart)])) == ["ended"]


def test_an_unanswered_alert_whose_event_comes_back_is_raised_again() -> None:
    heart = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 100), ("V", 0.35, 20), ("N", 0.8, 100))
    alerts = of(watch(State("chest-7"), stream(heart, 220)), "vt")
    assert len({a.alert_id for a in alerts}) == 1
    assert states(alerts).count("raised") == 2
    assert alerts[-1].evidence["recurrences"] == 1


def test_an_unanswered_alert_whose_event_is_soon_back_stands_again_without_being_raised() -> None:
    state, seen = State("chest-7"), list[Alert]()
    heart = beats(("N", 0.8, 37), ("V", 0.4, 20), ("N", 0.8, 25), ("V", 0.4, 600))
    for f in stream(heart, 120):
        seen += on_finding(state, f, LIMITS, f.end_us) + on_tick(state, LIMITS, f.end_us)
    vt = of(seen, "vt")
    assert states(vt).count("raised") == 1
    over = next(a for a in vt if a.end_us is not None)
    again = vt[vt.index(over) + 1]
    assert (over.evidence["latched"], again.evidence["latched"], again.end_us) == (True, False, None)
    answered = on_ack(state, ack(again, 121))
    assert [(str(a.state), a.end_us) for a in answered] == [("acknowledged", None)]


def test_only_the_revision_that_escalates_says_so() -> None:
    state, out = State("chest-7"), list[Alert]()
    heart = beats(("N", 0.8, 37), ("V", 0.4, 400), ("N", 0.8, 60))
    for f in stream(heart, 240):
        out += on_finding(state, f, LIMITS, f.end_us) + on_tick(state, LIMITS, f.end_us)
    vt = of(out, "vt")
    escalations = [a.escalations for a in vt if a.state is AlertState.ESCALATED]
    assert escalations == list(range(1, LIMITS.kinds["vt"].escalate_times + 1))
    assert (vt[-1].state, vt[-1].escalations) == (AlertState.UPDATED, escalations[-1]), "its end"


def test_after_an_answer_the_next_event_is_a_new_alert() -> None:
    heart = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 100), ("V", 0.35, 20), ("N", 0.8, 100))
    state, ids = State("chest-7"), []
    for f in stream(heart, 220):
        for a in on_finding(state, f, LIMITS, f.end_us):
            if a.kind == "vt" and a.state is AlertState.RAISED:
                ids.append(a.alert_id)
                on_ack(state, ack(a, 0))
    assert len(ids) == len(set(ids)) == 2


def test_asystole_speaks_for_what_it_folds() -> None:
    heart = beats(("N", 0.8, 50), ("N", 9, 1), ("N", 0.8, 80))
    silent = lambda k: {"acute_probabilities": {"asystole": 0.9}} if 43 < k < 49 else {}  # noqa: E731
    alerts = watch(State("chest-7"), stream(heart, 120, silent))
    assert {a.kind for a in alerts} == {"asystole"}
    assert alerts[-1].evidence["held_back"]["pause"] == 1


def test_vf_after_vt_ends_the_vt_alert_and_speaks_for_it() -> None:
    heart = beats(("N", 0.8, 50), ("V", 0.35, 20))
    vf = lambda k: {"acute_probabilities": {"vf": 0.9}} if k > 48 else {"acute_probabilities": ORGANISED}  # noqa: E731
    alerts = watch(State("chest-7"), stream(heart, 70, vf))
    vt, fib = of(alerts, "vt"), of(alerts, "vf")
    assert states(vt)[-1] == "ended"
    assert vt[-1].evidence["folded_into"] == fib[0].alert_id
    assert states(fib)[0] == "raised"


def test_a_folded_event_that_goes_on_is_raised_when_the_higher_one_is_over() -> None:
    heart = beats(("N", 0.8, 50), ("V", 0.35, 10), ("N", 0.38, 300))
    alerts = watch(State("chest-7"), stream(heart, 120))
    raised = [a.kind for a in alerts if a.state is AlertState.RAISED]
    assert raised[0] == "vt"
    assert raised[-1] == "extreme-tachycardia"
    assert of(alerts, "extreme-tachycardia")[0].detected_us > of(alerts, "vt")[-1].end_us  # type: ignore[operator]


def test_vt_right_after_asystole_is_not_folded() -> None:
    heart = beats(("N", 0.8, 50), ("N", 9, 1), ("V", 0.35, 12), ("N", 0.8, 80))
    silent = lambda k: {"acute_probabilities": {"asystole": 0.9}} if 43 < k < 49 else {}  # noqa: E731
    alerts = watch(State("chest-7"), stream(heart, 120, silent))
    assert [a.kind for a in alerts if a.state is AlertState.RAISED] == ["asystole", "vt"]


def test_a_snooze_holds_back_one_kind_and_shows_that_it_does() -> None:
    state = State("chest-7")
    snooze = Snooze(device_id="chest-7", kind="pause", until_us=at(900), by="N. B", at_us=at(1))
    heart = beats(("N", 0.8, 50), ("N", 3.3, 1), ("N", 0.8, 50), ("N", 3.3, 1), ("N", 0.8, 99))
    watch(state, stream(heart, 10))
    shown = on_snooze(state, snooze, LIMITS, at(10))
    assert (shown[0].kind, shown[0].state) == ("snoozed", "raised")
    alerts = watch(state, list(stream(heart, 150))[10:])
    assert of(alerts, "pause") == []
    assert of(alerts, "snoozed")[-1].evidence["held_back"] == {"pause": 2}
    over = on_tick(state, LIMITS, at(901))
    assert "ended" in states(of(over, "snoozed"))


def test_a_snooze_is_never_longer_than_the_table_allows() -> None:
    state = State("chest-7")
    watch(state, stream(VT, 10))
    on_snooze(
        state, Snooze(device_id="chest-7", kind="vt", until_us=at(1e6), by="x", at_us=at(1)), LIMITS, at(10)
    )
    assert state.snoozes["vt"].until_us == at(10 + LIMITS.limits.max_snooze_s)


def test_a_kind_switched_off_is_counted() -> None:
    settings = DeviceSettings(device_id="chest-7", kinds={"vt": KindSettings(enabled=False)})
    state = State("chest-7")
    alerts = watch(state, stream(VT, 120), for_device(LIMITS, settings))
    assert of(alerts, "vt") == []
    assert state.counts["switched off vt"] == 1


def test_refused_settings_are_shown_until_good_ones_come() -> None:
    state = State("chest-7")
    watch(state, stream(VT, 10))
    out = on_settings(state, "limits.x: no such limit", "settings[0]@1", LIMITS, at(11))
    assert (out[0].kind, out[0].state) == ("settings-refused", "raised")
    assert "limits.x: no such limit" in out[0].message
    assert states(on_settings(state, None, "settings[0]@2", LIMITS, at(12))) == ["ended"]


def test_a_gap_opens_nothing_and_does_not_make_a_pause() -> None:
    heart = beats(("N", 0.8, 50), ("N", 20, 1), ("N", 0.8, 80))
    gap: Any = lambda k: unreadable(Reason.GAP) if 41 < k < 62 else {}  # noqa: E731
    alerts = watch(State("chest-7"), stream(heart, 130, gap))
    assert {a.kind for a in alerts} == {"stream-gap"}


def test_repeated_findings_change_nothing_and_are_counted() -> None:
    findings = list(stream(VT, 120))
    once = watch(State("chest-7"), findings)
    state = State("chest-7")
    again = watch(state, [f for i, f in enumerate(findings) for f in findings[max(0, i - 9) : i + 1]])
    assert again == once
    assert state.counts["repeated finding"] > 500


def test_a_new_session_ends_what_the_old_one_left_open() -> None:
    state = State("chest-7")
    watch(state, stream(VT, 45))
    new = [finding(k, [], session="b", start_us=at(100), end_us=at(101 + k)) for k in range(3)]
    alerts = watch(state, new)
    assert of(alerts, "vt")[0].evidence["outcome"] == "session over"
    assert watch(state, stream(VT, 45)) == []
    assert state.counts["finding of a past session"] == 45


def test_clock_fault_and_lag_are_technical_alerts() -> None:
    state = State("chest-7")
    heart = beats(("N", 0.8, 400))
    watch(state, stream(heart, 30))
    jumped = finding(30, heart, end_us=at(91), start_us=at(61))
    alerts = on_finding(state, jumped, LIMITS, at(91))
    assert [(a.kind, a.category, a.state) for a in alerts] == [("clock-fault", "technical", "raised")]
    state = State("chest-8")
    lagged = [
        a
        for f in stream(heart, 60)
        for a in on_finding(state, f, LIMITS, f.end_us, f.end_us + max(0, f.window - 30) * S)
    ]
    assert (lagged[0].kind, lagged[0].state) == ("lagging", "raised")
    assert {a.kind for a in lagged} == {"lagging"}
