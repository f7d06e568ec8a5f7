"""The watch over one device: findings, silence and answers in, alert revisions out.

`on_finding`, `on_tick`, `on_ack`, `on_snooze`, `on_settings`, `on_failure` and `on_farewell` change a device's `State` in place and give
the revisions to publish. Nothing here reads a clock: event time comes with the findings; `now_us` is the shell's
clock, used for what waits on people (escalation, snoozes) and for a device's silence.

Order. Findings of a session are taken in the order of their windows; one at or before the last window seen is a
repeat or too late, changes nothing and is counted. So a stream that is read again, or by two readers in
turn during a rebalance, gives the same alerts. A new session ends the old one's events; one that goes on after another is
taken up again.

Clock. All event time is the device's. When its clock jumps, what is remembered of the time before moves along, so that
what comes counts as later, and as much later as it is.

What of all that stands may speak is told by `ecgstream.speaking`, what is known of a device by `ecgstream.device_state`.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ecgstream import alerts, tally, technical
from ecgstream.alerts import Stage
from ecgstream.device_state import Moment, State, count, move, over, stand, stands
from ecgstream.episodes import Action, Episode, Input, advance, input_of
from ecgstream.events import assess
from ecgstream.limits import Limits
from ecgstream.messages import Ack, Alert, AlertState, Finding, Quality, Reason, Snooze
from ecgstream.readings import NO_CONTACT, Reading, Sight, Sign, present
from ecgstream.speaking import is_forgotten, reconcile

PAST_SESSIONS = 8
FAILURES = 16  # places remembered, to know a repeated one
SEEN_WITHOUT_FINDINGS = ("signal-lost", "snoozed", "settings-refused", "record-parked", "delivery-failed")
SILENT_CHECK_US = 10_000_000  # how often a silent device is looked at


def on_finding(
    state: State, finding: Finding, limits: Limits, now_us: int, arrived_us: int | None = None
) -> list[Alert]:
    """Take a finding; `arrived_us`: the time stamp of the record that brought it, where there is one."""
    if finding.window <= state.past.get(finding.session, -1):
        count(state, "finding of a past session")
        return []
    out: list[Alert] = []
    jump_us = technical.clock_jump_us(state, finding)
    if finding.session != state.session:
        out += _new_session(state, finding, limits, now_us)
    elif finding.window <= state.window:
        count(state, "repeated finding")
        return []
    if jump_us:
        move(state, jump_us)
    edges: set[str] = set()
    readings = {r.kind: r for r in technical.readings(state, finding, limits.limits, arrived_us, jump_us)}
    _look(state, finding)
    sight = Sight(state.readable_since_us, state.last_beat_us)
    readings |= {r.kind: r for r in assess(finding, limits.limits, sight)}
    tally.add(state.tally, finding, stands(state, "af"))
    readings["pvc-burden"] = _burden(state, limits)
    readings["signal-lost"] = Reading("signal-lost", Sign.OFF, finding.end_us, finding.end_us)
    for kind, reading in readings.items():
        episode, rule = state.episodes.setdefault(kind, Episode()), limits.kinds[kind]
        action = advance(episode, input_of(episode, reading, rule, finding.end_us), reading, finding.window)
        if action is Action.BEGIN:
            episode.strip = finding.signal
        elif not (episode.stands or action is Action.NONE):
            episode.strip = None
        if action is Action.RAISE:
            edges.add(kind)
        if action is Action.DROP:
            count(state, f"too short {kind}")
    state.window, state.end_us, state.model = finding.window, finding.end_us, finding.model
    state.seen_at_us = now_us
    return out + reconcile(state, limits, Moment(finding.end_us, now_us, frozenset(edges), readings, finding))


def on_tick(state: State, limits: Limits, now_us: int) -> list[Alert]:
    """Let `now_us` pass: silence, escalation, snoozes that run out, ended alerts that are forgotten."""
    silent_us = max(0, now_us - state.seen_at_us)
    event_us = state.end_us + silent_us
    edges: set[str] = set()
    if silent_us >= limits.limits.signal_lost_s * 1e6 and state.session:
        if not stands(state, "signal-lost"):
            edges.add("signal-lost")
            stand(state, "signal-lost", state.end_us)
        for kind in state.episodes.keys() - {*SEEN_WITHOUT_FINDINGS, *limits.kinds["signal-lost"].folds}:
            episode = state.episodes[kind]
            lost = (event_us - episode.until_us) / 1e6 >= limits.kinds[kind].max_blind_s
            advance(episode, Input.LOST if lost else Input.BLIND, None, state.window)
    for kind in [k for k, snooze in state.snoozes.items() if snooze.until_us <= now_us]:
        del state.snoozes[kind]
    out = reconcile(state, limits, Moment(event_us, now_us, frozenset(edges)))
    out += [
        a for kind, live in state.alerts.items() for a in alerts.escalate(live, now_us, limits.kinds[kind])
    ]
    for kind in [k for k, live in state.alerts.items() if is_forgotten(live, event_us, limits)]:
        del state.alerts[kind]
    return out


def on_clock(state: State, now_us: int) -> None:
    """What the shell's clock noted as later than now counts as of now: it was set back, and nobody is to wait until it is there again."""
    state.seen_at_us = min(state.seen_at_us, now_us)
    for live in state.alerts.values():
        live.alarmed_at_us = min(live.alarmed_at_us, now_us)


def on_ack(state: State, ack: Ack) -> list[Alert]:
    """Take an answer; one to an alert that isn't known (any more) is counted."""
    for live in state.alerts.values():
        if live.alert.alert_id == ack.alert_id:
            return alerts.acknowledge(live, ack)
    count(state, "answer to an unknown alert")
    return []


def on_snooze(state: State, snooze: Snooze, limits: Limits, now_us: int) -> list[Alert]:
    """Hold back a kind until `snooze.until_us`, at most for the table's longest time; unknown kinds are counted."""
    if snooze.kind not in limits.kinds or snooze.kind == "snoozed":
        count(state, "snooze of an unknown kind")
        return []
    until_us = min(snooze.until_us, now_us + round(limits.limits.max_snooze_s * 1e6))
    if until_us > now_us:
        state.snoozes[snooze.kind] = replace(snooze, until_us=until_us)
    else:
        state.snoozes.pop(snooze.kind, None)
    event_us = state.end_us + max(0, now_us - state.seen_at_us) if state.session else now_us
    return reconcile(state, limits, Moment(event_us, now_us, cause=f"{snooze.kind} {snooze.at_us}"))


def on_settings(state: State, refused: str | None, cause: str, limits: Limits, now_us: int) -> list[Alert]:
    """Show that settings were taken (None) or why they were refused: then what was in force before stays so. `cause`: which settings."""
    event_us = state.end_us if state.session else now_us
    over(state, "settings-refused")
    if refused is None:
        return reconcile(state, limits, Moment(event_us, now_us))
    stand(state, "settings-refused", event_us)
    why = Reading("settings-refused", Sign.ON, event_us, event_us, why={"refused": refused})
    begun = frozenset({"settings-refused"})
    return reconcile(state, limits, Moment(event_us, now_us, begun, {"settings-refused": why}, cause=cause))


def on_failure(
    state: State, kind: str, at: str, why: dict[str, str], limits: Limits, now_us: int
) -> list[Alert]:
    """Tell that a record of this device was parked or an alert reached nobody (`at`: the record's place in the log); each place once."""
    if at in state.failures:
        count(state, f"repeated {kind}")
        return []
    state.failures = [*state.failures, at][-FAILURES:]
    event_us = state.end_us if state.session else now_us
    stand(state, kind, event_us)
    reading = Reading(kind, Sign.ON, event_us, event_us, complete=True, why=why)
    out = reconcile(state, limits, Moment(event_us, now_us, frozenset({kind}), {kind: reading}, cause=at))
    over(state, kind)  # a moment's event: what stays is the alert, until somebody answers
    return out + reconcile(state, limits, Moment(event_us, now_us))


def on_farewell(state: State, limits: Limits, now_us: int) -> list[Alert]:
    """End what is still open of a device that is about to be forgotten."""
    event_us = state.end_us + max(0, now_us - state.seen_at_us)
    return [
        alert
        for kind, live in state.alerts.items()
        if live.stage is not Stage.ENDED
        for alert in alerts.end(
            live,
            event_us,
            event_us,
            replace(limits.kinds[kind], latch=False),
            {"outcome": "device forgotten"},
        )
    ]


def next_due_us(state: State, limits: Limits, now_us: int) -> int:
    """The shell's clock at which `on_tick` should be called next, if nothing else happens before."""
    lost_us = state.seen_at_us + round(limits.limits.signal_lost_s * 1e6)
    due = [lost_us if lost_us > now_us else now_us + SILENT_CHECK_US]
    due += [snooze.until_us for snooze in state.snoozes.values()]
    for kind, live in state.alerts.items():
        after_s = limits.kinds[kind].escalate_after_s
        waits = live.stage in (Stage.OPEN, Stage.LATCHED)
        if waits and after_s is not None and live.alert.escalations < limits.kinds[kind].escalate_times:
            due.append(live.alarmed_at_us + round(after_s * 1e6))
    return min(due)


def is_over(state: State, limits: Limits, now_us: int) -> bool:
    """Whether a device has been silent for so long, with nothing left open, that it may be forgotten."""
    if now_us - state.seen_at_us < limits.limits.forget_device_s * 1e6 or state.snoozes:
        return False
    waiting = {kind for kind, live in state.alerts.items() if live.stage is not Stage.ENDED}
    return not waiting - {"signal-lost"}


def over_findings(findings: Iterable[Finding], limits: Limits, *, answered: bool = False) -> Iterator[Alert]:
    """The alerts of recorded findings, with event time for a clock; devices may be mixed.

    `answered`: every alert is acknowledged as it is raised, so that each event has an alert of its own and none escalates.
    """
    states: dict[str, State] = {}
    for finding in findings:
        state = states.setdefault(finding.device_id, State(finding.device_id))
        out = on_finding(state, finding, limits, finding.end_us) + on_tick(state, limits, finding.end_us)
        yield from out
        for alert in out:
            if answered and alert.state is AlertState.RAISED:
                ack = Ack(
                    alert_id=alert.alert_id, device_id=alert.device_id, by="replay", at_us=finding.end_us
                )
                yield from on_ack(state, ack)


def _new_session(state: State, finding: Finding, limits: Limits, now_us: int) -> list[Alert]:
    out: list[Alert] = []
    if state.session:
        for episode in state.episodes.values():
            advance(episode, Input.OVER, None, state.window)
        out = reconcile(state, limits, Moment(state.end_us, now_us))
        state.past |= {state.session: state.window}
        for session in list(state.past)[:-PAST_SESSIONS]:
            del state.past[session]
    state.session, state.window, state.lag_us = finding.session, -1, None
    state.readable_since_us = state.last_beat_us = None
    state.past.pop(finding.session, None)
    return out


def _look(state: State, finding: Finding) -> None:
    """Since when the signal has been readable, and the last beat since."""
    reasons = present(finding)
    flat_only = reasons == {Reason.FLAT}
    if reasons & NO_CONTACT or (finding.quality is Quality.UNREADABLE and not flat_only):
        state.readable_since_us = state.last_beat_us = None
        return
    if state.readable_since_us is None:
        first = state.window < 0 and finding.window < 60
        state.readable_since_us = finding.start_us if first else finding.end_us
    since = state.readable_since_us
    at = [b.at_us for b in finding.beats if b.at_us >= since]
    if at:
        state.last_beat_us = max(at[-1], state.last_beat_us or 0)


def _burden(state: State, limits: Limits) -> Reading:
    total, end = state.tally.last_hours(2), state.end_us
    if total.beats < limits.limits.pvc_burden_beats:
        return Reading("pvc-burden", Sign.OFF, end, end)
    share = total.ventricular / total.beats
    limit = limits.limits.pvc_burden
    sign = Sign.ON if share >= limit else Sign.HOLD if share >= 0.8 * limit else Sign.OFF
    why = {"share": round(share, 4), "beats": total.beats, "couplets": total.couplets, "runs": total.runs}
    return Reading("pvc-burden", sign, end, end, complete=True, why=why)
