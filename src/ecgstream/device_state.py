"""All that is known of one device, and what one step of it is told.

It is one value of alerting's table: whoever takes the device over goes on from it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct, field

from ecgstream.alerts import LiveAlert
from ecgstream.episodes import Episode, Input, advance
from ecgstream.messages import Finding, Snooze
from ecgstream.readings import Reading, Sign
from ecgstream.tally import Tally


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
    failures: list[str] = field(default_factory=list)  # places of the last records parked or not delivered
    refused: str = ""  # why the settings in force can't be under the present table
    refusals: int = 0  # how often that was so
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


def move(state: State, by_us: int) -> None:
    """Move all that is remembered in event time with the device's clock."""
    for episode in state.episodes.values():
        episode.move(by_us)
    for live in state.alerts.values():
        live.raised_us, live.ended_us = live.raised_us + by_us, live.ended_us + by_us
    state.tally.move(by_us)
    state.end_us += by_us
    if state.lag_us is not None:
        state.lag_us -= by_us
    if state.readable_since_us is not None:
        state.readable_since_us += by_us
    if state.last_beat_us is not None:
        state.last_beat_us += by_us


class Moment(NamedTuple):
    """One step of a device: event time, the shell's clock, what has just begun, and what showed it.

    `cause` tells what no finding shows apart: which record brought it.
    """

    event_us: int
    now_us: int
    begun: frozenset[str] = frozenset()
    readings: Mapping[str, Reading] = MappingProxyType({})
    finding: Finding | None = None
    cause: str = ""
