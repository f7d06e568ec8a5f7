"""What an alert tells: its first revision, and what its event has come to since."""

from typing import Any

from msgspec.structs import replace

from ecgstream import alerts
from ecgstream.alerts import LiveAlert
from ecgstream.device_state import Moment, State
from ecgstream.episodes import Episode
from ecgstream.limits import Limits
from ecgstream.messages import Alert, AlertState, Beat, Finding, Strip
from ecgstream.readings import Reading, Sign

GROWING = ("ventricular_beats", "supraventricular_beats", "silent_s")


def first(state: State, kind: str, limits: Limits, moment: Moment, *, is_edge: bool) -> Alert:
    """The first revision of an alert. An event that was muted until now takes the present window for its id."""
    rule, episode, finding = limits.kinds[kind], state.episodes[kind], moment.finding
    reading = moment.readings.get(kind)
    window = episode.first_window if is_edge else max(0, state.window)
    began: int | str = moment.cause if is_edge and moment.cause else window
    rate = None if reading is None or reading.rate_bpm is None else round(reading.rate_bpm, 1)
    evidence = _shown(state, kind, moment) | burden(state, kind)
    if finding is not None:
        evidence |= {"quality": str(finding.quality), "window": finding.window}
    strip = _best_strip(episode, finding)
    session = state.session or "none"
    return Alert(
        alert_id=alerts.alert_id(state.device_id, session, kind, began),
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


def _shown(state: State, kind: str, moment: Moment) -> dict[str, Any]:
    """What shows an event in this step."""
    if kind == "snoozed":
        return {"snoozes": {k: {"until_us": s.until_us, "by": s.by} for k, s in state.snoozes.items()}}
    reading = moment.readings.get(kind)
    return {} if reading is None else dict(reading.why)


def renew(state: State, live: LiveAlert, limits: Limits, moment: Moment) -> bool:
    """Let the alert of an event that no finding shows tell the newest of it; whether that is anything new. The next revision says so."""
    kind, before = live.alert.kind, live.alert.evidence
    evidence = before | _shown(state, kind, moment)
    if moment.finding is not None or evidence == before:
        return False
    message = _message(limits.kinds[kind].title, None, evidence)
    live.alert = replace(live.alert, evidence=evidence, message=message)
    return True


def grow(live: LiveAlert, title: str, reading: Reading | None) -> None:
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


def burden(state: State, kind: str) -> dict[str, Any]:
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
        "undelivered": "{}",
    }
    parts += [words.format(evidence[name]) for name, words in said.items() if evidence.get(name) is not None]
    return ", ".join(parts)[:2000]
