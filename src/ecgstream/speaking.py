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

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from ecgstream import alerts
from ecgstream.alerts import LiveAlert, Stage
from ecgstream.episodes import Episode, Input, advance
from ecgstream.episodes import State as Phase
from ecgstream.limits import Limits
from ecgstream.messages import Alert, AlertState, Beat, Finding, Snooze, Strip
from ecgstream.readings import Reading, Sign
from ecgstream.tally import Tally

GROWING = ("ventricular_beats", "supraventricular_beats", "silent_s")
LATE_S = 10.0
DETECTION_DELAY_US = 2_000_000  # a beat that ends an event is known so much later
KEEP_ENDED_S = 3600.0  # an ended alert can still be answered so long


class State(Struct):
    """All that is known of one device."""

    device_id: str
    session: str = ""
    window: int = -1
    end_us: int = 0
    model: str = ""
    seen_at_us: int = 0  # shell's clock: when it was last heard
    lag_us: int | None = None  # least delay of arrival seen in this session
    readable_since_us: int | None = None
    last_beat_us: int | None = None
    episodes: dict[str, Episode] = field(default_factory=dict)
    alerts: dict[str, LiveAlert] = field(default_factory=dict)
    snoozes: dict[str, Snooze] = field(default_factory=dict)
    past: dict[str, int] = field(default_factory=dict)  # sessions that are over, and their last window
    tally: Tally = field(default_factory=Tally)
    parked: list[str] = field(default_factory=list)  # places of the last records that were parked
    counts: dict[str, int] = field(default_factory=dict)  # what was ignored or held back, by cause


def count(state: State, cause: str) -> None:
    """Count something that was ignored or held back."""
    state.counts[cause] = state.counts.get(cause, 0) + 1


def stands(state: State, kind: str) -> bool:
    """Whether an event of `kind` is open."""
    episode = state.episodes.get(kind)
    return episode is not None and episode.stands


def stand(state: State, kind: str, since_us: int) -> None:
    """Open an event that no finding shows."""
    reading = Reading(kind, Sign.ON, since_us, since_us, complete=True)
    advance(state.episodes.setdefault(kind, Episode()), Input.SUSTAINED, reading, max(0, state.window))


def over(state: State, kind: str) -> None:
    """End such an event."""
    if kind in state.episodes:
        advance(state.episodes[kind], Input.CLEARED, None, max(0, state.window))


def is_forgotten(live: LiveAlert, event_us: int, limits: Limits) -> bool:
    """Whether an ended alert is too old to be answered or to count what comes back."""
    keep_s = max(KEEP_ENDED_S, limits.kinds[live.alert.kind].refractory_s)
    return live.stage is Stage.ENDED and event_us - live.ended_us > keep_s * 1e6


class Moment(NamedTuple):
    """One step of a device: event time, the shell's clock, what has just begun, and what showed it."""

    event_us: int
    now_us: int
    begun: frozenset[str] = frozenset()
    readings: Mapping[str, Reading] = MappingProxyType({})
    finding: Finding | None = None


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
                why = {"outcome": episode.outcome} | _burden(state, kind)
                out += alerts.end(live, episode.until_us, event_us, limits.kinds[kind], why)
        elif live is None or live.stage is Stage.ENDED:
            if not _may_raise(episode, event_us):
                continue
            first = _first(state, kind, limits, moment, is_edge=kind in begun)
            state.alerts[kind], alert = alerts.raise_alert(first, now_us)
            episode.strip = None
            count(state, f"raised {kind}")
            out.append(alert)
        elif live.stage is Stage.LATCHED:
            latest = {"onset_us": episode.since_us, "window": episode.first_window}
            out += alerts.come_back(live, event_us, now_us, limits.kinds[kind], latest)
        elif finding is not None:
            _grow(live, limits.kinds[kind].title, moment.readings.get(kind))
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


def _first(state: State, kind: str, limits: Limits, moment: Moment, *, is_edge: bool) -> Alert:
    """The first revision of an alert. An event that was muted until now takes the present window for its id."""
    rule, episode, finding = limits.kinds[kind], state.episodes[kind], moment.finding
    reading = moment.readings.get(kind)
    window = episode.first_window if is_edge else max(0, state.window)
    rate = None if reading is None or reading.rate_bpm is None else round(reading.rate_bpm, 1)
    evidence = dict(reading.why) if reading is not None else {}
    evidence |= _burden(state, kind)
    if kind == "snoozed":
        evidence |= {"snoozes": {k: {"until_us": s.until_us, "by": s.by} for k, s in state.snoozes.items()}}
    if finding is not None:
        evidence |= {"quality": str(finding.quality), "window": finding.window}
    strip = _best_strip(episode, finding)
    session = state.session or "none"
    return Alert(
        alert_id=alerts.alert_id(state.device_id, session, kind, window),
        revision=0,
        state=AlertState.RAISED,
        device_id=state.device_id,
        session=session,
        kind=kind,
        category=rule.category,
        priority=rule.priority,
        first_window=window,
        onset_us=episode.since_us,
        detected_us=moment.event_us,
        heart_rate_bpm=rate if rate is not None else finding.heart_rate_bpm if finding is not None else None,
        message=_message(rule.title, rate, evidence),
        evidence=evidence,
        beats=_beats(finding, strip),
        strip=strip,
        model=state.model,
        configuration=limits.name,
    )


def _grow(live: LiveAlert, title: str, reading: Reading | None) -> None:
    """Let the alert tell the most that its event has come to: a longer run, a longer silence. The next revision says so."""
    evidence = live.alert.evidence
    grown = {
        name: value
        for name, value in ({} if reading is None or reading.sign is not Sign.ON else reading.why).items()
        if name in GROWING and value > evidence.get(name, 0)
    }
    if reading is not None and grown:
        rate = live.alert.heart_rate_bpm if reading.rate_bpm is None else round(reading.rate_bpm, 1)
        message = _message(title, rate if reading.rate_bpm is not None else None, evidence | grown)
        live.alert = replace(live.alert, evidence=evidence | grown, heart_rate_bpm=rate, message=message)


def _best_strip(episode: Episode, finding: Finding | None) -> Strip | None:
    """The pending event's strip if it shows more of the onset than the finding's."""
    now = None if finding is None else finding.signal
    if now is None or (episode.strip is not None and now.start_us > episode.since_us):
        return episode.strip
    return now


def _beats(finding: Finding | None, strip: Strip | None) -> list[Beat]:
    if finding is None or strip is None:
        return []
    return [b for b in finding.beats if strip.start_us <= b.at_us <= strip.end_us]


def _burden(state: State, kind: str) -> dict[str, Any]:
    """The day's totals, for the kinds of which the burden matters."""
    if kind not in ("af", "v-run"):
        return {}
    day = state.tally.last_hours(24)
    if kind == "v-run":
        return {"runs": day.runs, "couplets": day.couplets, "hours": len(state.tally.hours)}
    share = day.af_s / day.readable_s if day.readable_s else None
    return {"af_burden": share if share is None else round(share, 4), "readable_s": round(day.readable_s)}


def _message(title: str, rate: float | None, evidence: dict[str, Any]) -> str:
    parts = [title]
    if rate is not None:
        parts.append(f"{rate:.0f}/min")
    said = {
        "ventricular_beats": "{} ventricular beats",
        "supraventricular_beats": "{} supraventricular beats",
        "silent_s": "{} s without a beat",
        "rr_s": "{} s between beats",
        "share": "{:.1%} of beats",
        "jump_s": "clock jumped by {} s",
        "lag_s": "{} s late",
        "refused": "{}",
        "parked": "{}",
    }
    parts += [words.format(evidence[name]) for name, words in said.items() if evidence.get(name) is not None]
    return ", ".join(parts)[:2000]
