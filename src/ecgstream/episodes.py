"""Episodes: when an event begins, lasts and ends, as one transition table.

A condition that flickers around a threshold must not give a stream of events, and one that can't be seen
any more must not stay open for ever. So each kind of event of each device is a machine of five states:

- **quiet**: nothing is open.
- **pending**: the condition holds, but not for its minimum duration yet.
- **open**: the event stands.
- **closing**: the condition is gone, but not for the time that ends the event.
- **blind**: the event was open when the signal became unreadable, stopped or was lost.

A finding is turned into one input by `input_of`, with hysteresis (a reading between the off- and the
on-threshold is *hold*: it neither opens nor closes) and with three durations of the alarm table, all in
event time:

- *sustained*: the condition has lasted `min_on_s`, or its definition holds a duration of its own and it is
  fulfilled;
- *cleared*: it has been gone for `min_off_s`;
- *lost*: the signal has been blind for `max_blind_s`.

Rules that the table states:

1. Only *sustained* opens an event; a pending one that stops is dropped (and counted).
2. Blindness opens nothing and, for `max_blind_s`, closes nothing: a gap or an unreadable stretch leaves an
   open event standing. Then it ends with the outcome "unreadable": nobody knows what became of it.
3. The end of a session ends everything.

Readings come about every 5 s, each second when something is notable, so durations are differences of event
time and never counts of findings. A reading of beats may be of the past (a run that is over when the
finding comes): it counts if it reaches further than what has been told already.
"""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ecgstream.limits import KindRule
from ecgstream.messages import Strip
from ecgstream.readings import Reading, Sign

RECENT_US = 3_000_000  # a condition of beats that reached so near the finding's end still holds


class State(StrEnum):
    """Where one kind of event of one device stands."""

    QUIET = "quiet"
    PENDING = "pending"
    OPEN = "open"
    CLOSING = "closing"
    BLIND = "blind"


class Input(StrEnum):
    """What one finding, or the end of a session, means to the machine."""

    ON = "on"
    SUSTAINED = "sustained"
    HOLD = "hold"
    OFF = "off"
    CLEARED = "cleared"
    BLIND = "blind"
    LOST = "lost"
    OVER = "over"


class Action(StrEnum):
    """What the machine does on its way."""

    NONE = "-"
    BEGIN = "begin"
    EXTEND = "extend"
    RAISE = "raise"
    DROP = "drop"
    END = "end"


class Step(NamedTuple):
    """Where a transition leads, and what it does."""

    to: State
    action: Action


def _row(*cells: str) -> dict[Input, Step]:
    """One state's row: "next action" for each input, in the order of `Input`."""
    steps = (Step(State(to), Action(action)) for to, action in (cell.split() for cell in cells))
    return dict(zip(Input, steps, strict=True))


# fmt: off
TRANSITIONS: dict[State, dict[Input, Step]] = {
    State.QUIET: _row(
        # on                sustained         hold              off
        "pending begin",  "open raise",     "quiet -",        "quiet -",
        # cleared           blind             lost              over
        "quiet -",        "quiet -",        "quiet -",        "quiet -",
    ),
    State.PENDING: _row(
        # on                sustained         hold              off
        "pending extend", "open raise",     "pending -",      "quiet drop",
        # cleared           blind             lost              over
        "quiet drop",     "pending -",      "quiet drop",     "quiet drop",
    ),
    State.OPEN: _row(
        # on                sustained         hold              off
        "open extend",    "open extend",    "open extend",    "closing -",
        # cleared           blind             lost              over
        "quiet end",      "blind -",        "quiet end",      "quiet end",
    ),
    State.CLOSING: _row(
        # on                sustained         hold              off
        "open extend",    "open extend",    "open extend",    "closing -",
        # cleared           blind             lost              over
        "quiet end",      "blind -",        "quiet end",      "quiet end",
    ),
    State.BLIND: _row(
        # on                sustained         hold              off
        "open extend",    "open extend",    "open extend",    "closing -",
        # cleared           blind             lost              over
        "quiet end",      "blind -",        "quiet end",      "quiet end",
    ),
}
# fmt: on
STANDING = frozenset({State.OPEN, State.CLOSING, State.BLIND})
OUTCOME = {Input.CLEARED: "ended", Input.LOST: "unreadable", Input.OVER: "session over"}


class Episode(Struct, omit_defaults=True):
    """One kind of event of one device. `told_us` outlives the event: what lies before it has been told.

    Stored with each finding, and quiet for most kinds of most devices: so what is as at the start is left out.
    """

    state: State = State.QUIET
    since_us: int = 0
    until_us: int = -1
    first_window: int = 0
    outcome: str = ""
    muted_us: int | None = None  # event time at which it was last kept silent (`ecgstream.speaking`)
    strip: Strip | None = None  # the signal at which a pending event began
    told_us: int = -1  # `until_us` of what opened: what was only pending has told nothing

    @property
    def stands(self) -> bool:
        """Whether the event is open, seen or not."""
        return self.state in STANDING

    def move(self, by_us: int) -> None:
        """Take part in a jump of the device's clock."""
        self.since_us, self.until_us, self.told_us = (
            self.since_us + by_us,
            self.until_us + by_us,
            self.told_us + by_us,
        )
        self.muted_us = None if self.muted_us is None else self.muted_us + by_us
        if self.strip is not None:
            self.strip = replace(self.strip, start_us=self.strip.start_us + by_us)


def input_of(episode: Episode, reading: Reading, rule: KindRule, end_us: int) -> Input:
    """Turn a reading at event time `end_us` into the machine's input."""
    sign = reading.sign
    told = reading.until_us <= episode.told_us
    is_past = end_us - reading.until_us > RECENT_US
    if sign is Sign.ON and told and (is_past or episode.state is State.QUIET):
        sign = Sign.OFF
    if sign is Sign.ON:
        since_us = reading.since_us
        if episode.state is not State.QUIET:
            since_us = min(since_us, episode.since_us)
        lasted = (reading.until_us - since_us) / 1e6
        return Input.SUSTAINED if reading.complete or lasted >= rule.min_on_s else Input.ON
    if sign is Sign.HOLD:
        return Input.HOLD
    gone_s = (end_us - episode.until_us) / 1e6
    if sign is Sign.BLIND:
        return Input.LOST if gone_s >= rule.max_blind_s else Input.BLIND
    return Input.CLEARED if gone_s >= rule.min_off_s else Input.OFF


def advance(episode: Episode, given: Input, reading: Reading | None, window: int) -> Action:
    """Move `episode` (in place) by one input; `reading` is the one behind it. Gives what was done."""
    to, action = TRANSITIONS[episode.state][given]
    if reading is not None:
        if episode.state is State.QUIET and action in (Action.BEGIN, Action.RAISE):
            episode.since_us, episode.first_window = max(reading.since_us, episode.until_us), window
            episode.outcome, episode.muted_us = "", None
        elif action is Action.RAISE:
            episode.since_us = min(episode.since_us, reading.since_us)
        if action in (Action.BEGIN, Action.RAISE, Action.EXTEND):
            episode.until_us = max(episode.until_us, reading.until_us)
    if action is Action.END:
        episode.outcome = OUTCOME[given]
    if action is Action.DROP:
        episode.until_us = episode.told_us
    elif to in STANDING:
        episode.told_us = episode.until_us
    episode.state = to
    return action


def mermaid() -> str:
    """The table as a Mermaid state diagram: transitions that change the state or act, inputs joined."""
    arrows: dict[tuple[State, State, Action], list[str]] = {}
    for state, row in TRANSITIONS.items():
        for given, (to, action) in row.items():
            if to is not state or action in (Action.BEGIN, Action.RAISE, Action.DROP, Action.END):
                arrows.setdefault((state, to, action), []).append(given)
    lines = ["stateDiagram-v2", f"    [*] --> {State.QUIET}"]
    for (state, to, action), inputs in arrows.items():
        done = "" if action is Action.NONE else f" / {action}"
        lines.append(f"    {state} --> {to}: {', '.join(inputs)}{done}")
    return "\n".join(lines)
