"""Alerts: the life of one alert, from the event that raised it to the person who answered.

An alert is one event (`ecgstream.episodes`), published as revisions of one record. Its life is a machine of
four stages:

| stage    | event comes back     | event is over           | acknowledged | not answered in time |
|----------|----------------------|-------------------------|--------------|----------------------|
| open     | open, counted        | latched if so, or ended | answered     | open, escalated      |
| answered | answered, counted    | ended                   | answered     | -                    |
| latched  | open, raised again¹  | -                       | ended        | latched, escalated   |
| ended    | ended, counted       | -                       | ended, noted | -                    |

¹ At most every `refractory_s`; in between a revision says that it stands again.

*Latched* is a high alert whose event is over and which nobody has answered: it stays up until somebody does.
One that is folded into a higher alert of its chain, or snoozed, ends at once.

When a revision is published, so that there are never many: when the stage changes; once, when the strip
reaches 10 s either side of the onset; when an alert first folds another kind; at each escalation; and, for
what is counted, when a count doubles (1, 2, 4, 8 ...). The id is a pure function of device, session, kind and
first window, and revisions count up from 0: a record published again after a crash replaces itself.
"""

import hashlib
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from ecgstream.limits import KindRule
from ecgstream.messages import Ack, Acknowledgement, Alert, AlertState, Finding, Strip

AROUND_US = 10_000_000  # the strip reaches so far either side of the onset
MAX_ANSWERS = 16  # remembered of one alert, to know a repeated one


class Stage(StrEnum):
    """Where an alert is in its life."""

    OPEN = "open"
    ANSWERED = "answered"
    LATCHED = "latched"
    ENDED = "ended"


STATE_OF = {Stage.ANSWERED: AlertState.ACKNOWLEDGED, Stage.ENDED: AlertState.ENDED}


class LiveAlert(Struct):
    """An alert and what deciding its next revision needs. `alert` is the last revision."""

    alert: Alert
    stage: Stage
    alarmed_at_us: int  # shell's clock: when it last called for somebody
    raised_us: int  # event time: when it was last raised
    ended_us: int = 0  # event time
    strip_complete: bool = False
    counts: dict[str, int] = {}  # what was held back on its account, by "cause" or "cause kind"
    answers: list[tuple[str, int]] = []

    @property
    def is_open(self) -> bool:
        """Whether its event stands."""
        return self.stage in (Stage.OPEN, Stage.ANSWERED)


def alert_id(device_id: str, session: str, kind: str, began: int | str) -> str:
    """The id of the alert of `kind` that began in that window of the session, or with a record that `began` tells apart from others.

    >>> alert_id("chest-7", "a", "vt", 41)
    'vt-2d2ae2891222aa09'
    """
    text = "\0".join((device_id, session, kind, str(began)))
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def raise_alert(first: Alert, now_us: int) -> tuple[LiveAlert, Alert]:
    """Begin an alert's life with its first revision."""
    live = LiveAlert(
        first, Stage.OPEN, now_us, first.detected_us, strip_complete=_is_complete(first.strip, first.onset_us)
    )
    return live, first


def see(live: LiveAlert, finding: Finding) -> list[Alert]:
    """Take a later finding of an open event: it may complete the strip."""
    if live.strip_complete or not _is_complete(finding.signal, live.alert.onset_us):
        return []
    live.strip_complete = True
    beats = {b.at_us: b for b in (*live.alert.beats, *finding.beats)}
    return [_revise(live, strip=finding.signal, beats=[beats[at] for at in sorted(beats)])]


def come_back(
    live: LiveAlert, event_us: int, now_us: int, rule: KindRule, latest: dict[str, Any]
) -> list[Alert]:
    """The event of a latched alert stands again: it is raised again, unless it was just now; it stands again in any case."""
    live.stage = Stage.OPEN
    n = live.counts.get("recurrences", 0) + 1
    live.counts = live.counts | {"recurrences": n}
    evidence = live.alert.evidence | {"latest": latest, "recurrences": n, "latched": False}
    again = event_us - live.raised_us >= rule.refractory_s * 1e6
    if again:
        live.alarmed_at_us, live.raised_us = now_us, event_us
    return [_revise(live, AlertState.RAISED if again else None, end_us=None, evidence=evidence)]


def tell(live: LiveAlert) -> list[Alert]:
    """Publish what the alert tells by now."""
    return [_revise(live)]


def hold_back(live: LiveAlert, cause: str) -> list[Alert]:
    """Count something that this alert keeps silent; a revision when the count doubles."""
    n = live.counts.get(cause, 0) + 1
    live.counts = live.counts | {cause: n}
    if n & (n - 1):
        return []
    return [_revise(live, evidence=live.alert.evidence | {"held_back": live.counts})]


def end(live: LiveAlert, end_us: int, event_us: int, rule: KindRule, why: dict[str, Any]) -> list[Alert]:
    """The event is over: latch or end. `why` says how it ended."""
    live.ended_us = event_us
    latches = rule.latch and live.stage is Stage.OPEN and "folded_into" not in why and "snoozed" not in why
    live.stage = Stage.LATCHED if latches else Stage.ENDED
    evidence = live.alert.evidence | why | {"latched": latches}
    if live.counts:
        evidence["held_back"] = live.counts
    return [_revise(live, end_us=max(end_us, live.alert.onset_us), evidence=evidence)]


def acknowledge(live: LiveAlert, ack: Ack) -> list[Alert]:
    """Somebody answered. The same answer again is nothing new."""
    answer = (ack.by, ack.at_us)
    if answer in live.answers:
        return []
    live.answers = [*live.answers, answer][-MAX_ANSWERS:]
    live.stage = {Stage.OPEN: Stage.ANSWERED, Stage.LATCHED: Stage.ENDED}.get(live.stage, live.stage)
    acknowledgement = Acknowledgement(by=ack.by, at_us=ack.at_us, note=ack.note)
    evidence = live.alert.evidence | ({"latched": False} if live.stage is Stage.ENDED else {})
    return [_revise(live, acknowledgement=acknowledgement, evidence=evidence)]


def escalate(live: LiveAlert, now_us: int, rule: KindRule) -> list[Alert]:
    """Escalate if nobody has answered in time and it wasn't escalated as often as the table allows."""
    if live.stage not in (Stage.OPEN, Stage.LATCHED) or rule.escalate_after_s is None:
        return []
    n = live.alert.escalations
    if n >= rule.escalate_times or now_us - live.alarmed_at_us < rule.escalate_after_s * 1e6:
        return []
    live.alarmed_at_us = now_us
    return [_revise(live, AlertState.ESCALATED, escalations=n + 1)]


def _revise(live: LiveAlert, state: AlertState | None = None, **changes: Any) -> Alert:
    """The next revision; without a `state` it follows from the stage."""
    if state is None:
        state = STATE_OF.get(live.stage, AlertState.UPDATED)
    if state is AlertState.RAISED:
        changes |= {"acknowledgement": None, "escalations": 0}
    live.alert = msgspec.structs.replace(live.alert, revision=live.alert.revision + 1, state=state, **changes)
    return live.alert


def _is_complete(strip: Strip | None, onset_us: int) -> bool:
    return (
        strip is not None and strip.start_us <= onset_us - AROUND_US and strip.end_us >= onset_us + AROUND_US
    )
