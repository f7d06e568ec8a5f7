"""Running totals of one device: beats, ectopy, AF and readable time, by the hour for a day.

Findings overlap (each lists all beats of its window), so a beat is counted once, when it is old enough to
have its class, and a stretch of time once, by event time. The totals give the AF and PVC burden and the
counts of couplets and runs; they raise nothing themselves.
"""

from msgspec import Struct, field

from ecgstream.messages import Beat, Finding, Quality

HOUR_US = 3_600_000_000
HOURS = 24
CLASS_DELAY_US = 5_000_000  # a beat's class may come so late
LONGEST_STEP_US = 60_000_000  # a longer time between findings is silence, not signal


class Hour(Struct, array_like=True):
    """Totals of one hour of event time: seconds and counts."""

    start_us: int
    readable_s: float = 0.0
    unreadable_s: float = 0.0
    af_s: float = 0.0
    beats: int = 0
    ventricular: int = 0
    couplets: int = 0
    runs: int = 0


class Tally(Struct):
    """The last `HOURS` hours, and what counting needs to go on."""

    hours: list[Hour] = field(default_factory=list)
    beats_until_us: int = 0
    time_until_us: int = 0
    run_length: int = 0  # ventricular beats in a row up to `beats_until_us`

    def last_hours(self, n_hours: int) -> Hour:
        """The sum over the hour of the last finding and those before it, `n_hours` on the clock; hours that weren't heard hold nothing."""
        total = Hour(self.hours[-1].start_us if self.hours else 0)
        for hour in self.hours:
            if hour.start_us <= total.start_us - n_hours * HOUR_US:
                continue
            for name in ("readable_s", "unreadable_s", "af_s", "beats", "ventricular", "couplets", "runs"):
                setattr(total, name, getattr(total, name) + getattr(hour, name))
        return total

    def move(self, by_us: int) -> None:
        """Take part in a jump of the device's clock."""
        self.beats_until_us += by_us
        self.time_until_us += by_us
        for hour in self.hours:
            hour.start_us = round((hour.start_us + by_us) / HOUR_US) * HOUR_US


def add(tally: Tally, finding: Finding, in_af: bool) -> None:
    """Add what `finding` shows beyond what has been counted; `in_af`: an AF event was open up to it."""
    hour = _hour(tally, finding.end_us)
    step_us = finding.end_us - tally.time_until_us
    if 0 < step_us <= LONGEST_STEP_US:
        step_s = step_us / 1e6
        readable = finding.quality is not Quality.UNREADABLE
        hour.readable_s += step_s if readable else 0.0
        hour.unreadable_s += 0.0 if readable else step_s
        hour.af_s += step_s if readable and in_af else 0.0
    if step_us > LONGEST_STEP_US or finding.quality is Quality.UNREADABLE:
        tally.run_length = 0
    tally.time_until_us = max(tally.time_until_us, finding.end_us)
    until_us = finding.end_us - CLASS_DELAY_US
    for beat in finding.beats:
        if tally.beats_until_us < beat.at_us <= until_us:
            _count_beat(tally, hour, beat)
            tally.beats_until_us = beat.at_us


def _count_beat(tally: Tally, hour: Hour, beat: Beat) -> None:
    hour.beats += 1
    if beat.kind == "V":
        hour.ventricular += 1
        tally.run_length += 1
        return
    hour.couplets += tally.run_length == 2
    hour.runs += tally.run_length >= 3
    tally.run_length = 0


def _hour(tally: Tally, end_us: int) -> Hour:
    start_us = end_us // HOUR_US * HOUR_US
    if not tally.hours or tally.hours[-1].start_us < start_us:
        tally.hours.append(Hour(start_us))
        del tally.hours[:-HOURS]
    return tally.hours[-1]
