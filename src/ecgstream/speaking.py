"""What of all that stands may speak: alerts follow events by one rule.

*An event that stands and isn't muted has an open alert; any other has none.* The rule looks at levels, not at edges,
so that whatever mutes may come and go in any order: when a higher alert ends or a snooze runs out and the event is
still seen `LATE_S` after that, its alert is raised then (an event that is only waiting to be cleared isn't).

An event is muted, for the first of these reasons: its kind is switched off; its kind is snoozed; an open alert of
a kind that folds it speaks for it (but one whose condition is gone doesn't speak for what began after that); an
alert of its kind ended less than `refractory_s` ago. Nothing is muted in silence: each is counted in
`State.counts`, and shown on the alert that speaks (or, for a snooze, on an alert of kind "snoozed" that stands as
long as any snooze does).
"""

from typing import Any

from ecgstream import alerts, telling
from ecgstream.alerts import LiveAlert, Stage
from ecgstream.device_state import Moment, State, count, over, stand, stands
from ecgstream.episodes import Episode
from ecgstream.episodes import State as Phase
from ecgstream.limits import Limits
from ecgstream.messages import Alert

LATE_S = 10.0
DETECTION_DELAY_US = 2_000_000  # a beat that ends an event is known so much later
KEEP_ENDED_S = 3600.0  # an ended alert can still be answered so long


def is_forgotten(live: LiveAlert, event_us: int, limits: Limits) -> bool:
    """Whether an ended alert is too old to be answered or to count what comes back."""
    keep_s = max(KEEP_ENDED_S, limits.kinds[live.alert.kind].refractory_s)
    return live.stage is Stage.ENDED and event_us - live.ended_us > keep_s * 1e6


def reconcile(state: State, limits: Limits, moment: Moment) -> list[Alert]:
    """Make the alerts follow the events."""
    event_us, now_us, finding = moment.event_us, moment.now_us, moment.finding
    begun = moment.begun | _stand_for_snoozes(state, event_us)
    out: list[Alert] = []
    for kind in limits.kinds:  # higher ones stand before those that they fold
        episode = state.episodes.get(kind)
        if episode is None:
            continue
        live = state.alerts.get(kind)
        mute = _mute(state, kind, limits, event_us) if episode.stands else None
        if mute is not None:
            episode.muted_us = event_us
            out += _hold_back(state, kind, mute, limits, event_us, is_edge=kind in begun)
        elif not episode.stands:
            if live is not None and live.is_open:
                why = {"outcome": episode.outcome} | telling.burden(state, kind)
                out += alerts.end(live, episode.until_us, event_us, limits.kinds[kind], why)
        elif live is None or live.stage is Stage.ENDED:
            if not _may_raise(episode, event_us):
                continue
            first = telling.first(state, kind, limits, moment, is_edge=kind in begun)
            state.alerts[kind], alert = alerts.raise_alert(first, now_us)
            episode.strip = None
            out.append(alert)
        elif live.stage is Stage.LATCHED:
            latest = {"onset_us": episode.since_us, "window": episode.first_window}
            telling.renew(state, live, limits, moment)
            out += alerts.come_back(live, event_us, now_us, limits.kinds[kind], latest)
        elif finding is None:
            out += alerts.tell(live) if telling.renew(state, live, limits, moment) else []
        else:
            telling.grow(live, limits.kinds[kind].title, moment.readings.get(kind))
            out += alerts.see(live, finding)
    return out


def _may_raise(episode: Episode, event_us: int) -> bool:
    if episode.muted_us is None:
        return True
    seen_since = episode.state is Phase.OPEN and episode.until_us > episode.muted_us
    return seen_since and event_us - episode.muted_us >= LATE_S * 1e6


def _mute(state: State, kind: str, limits: Limits, event_us: int) -> tuple[str, str] | None:
    """Why an event may not speak, and the kind of the alert that speaks for it."""
    rule, live = limits.kinds[kind], state.alerts.get(kind)
    if not rule.enabled:
        return "switched off", ""
    if kind in state.snoozes:
        return "snoozed", "snoozed"
    for higher in limits.folded_by(kind):
        if higher in state.alerts and state.alerts[higher].is_open and _overlaps(state, kind, higher):
            return "folded", higher
    ended = live is not None and live.stage is Stage.ENDED
    if live is None or not ended or rule.latch:  # a latched alert ends by an answer: what comes after is new
        return None
    return (
        ("refractory", kind) if event_us - live.ended_us < rule.refractory_s * 1e6 and _counts(live) else None
    )


def _overlaps(state: State, kind: str, higher: str) -> bool:
    """Whether `higher` is still seen, or was after the event of `kind` began."""
    event, speaker = state.episodes[kind], state.episodes[higher]
    return speaker.state is not Phase.CLOSING or event.since_us < speaker.until_us - DETECTION_DELAY_US


def _counts(live: LiveAlert) -> bool:
    """Whether an ended alert counts its event's return: not when it was ended to let another speak."""
    return "folded_into" not in live.alert.evidence and "snoozed" not in live.alert.evidence


def _hold_back(
    state: State, kind: str, mute: tuple[str, str], limits: Limits, event_us: int, *, is_edge: bool
) -> list[Alert]:
    cause, holder = mute
    out: list[Alert] = []
    live, speaker = state.alerts.get(kind), state.alerts.get(holder)
    silenced = live is not None and (live.is_open or (cause == "folded" and live.stage is Stage.LATCHED))
    if live is not None and silenced:
        why: dict[str, Any] = {"snoozed": True} if cause == "snoozed" else {"switched_off": True}
        if cause == "folded" and speaker is not None:
            why = {"folded_into": speaker.alert.alert_id}
        out += alerts.end(live, event_us, event_us, limits.kinds[kind], why)
    if is_edge or silenced:
        count(state, f"{cause} {kind}")
        if speaker is not None:
            out += alerts.hold_back(speaker, kind if holder != kind else "recurrences")
    return out


def _stand_for_snoozes(state: State, event_us: int) -> frozenset[str]:
    if not state.snoozes:
        over(state, "snoozed")
    elif not stands(state, "snoozed"):
        stand(state, "snoozed", event_us)
        return frozenset({"snoozed"})
    return frozenset()
