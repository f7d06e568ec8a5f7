"""What one finding shows, as the definitions of events read it: its beats that can be trusted, and what is hidden from view."""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from ecgstream.limits import Thresholds
from ecgstream.messages import Beat, Finding, Quality, Reason
from ecgstream.patterns import runs_of, slows

NO_CONTACT = frozenset({Reason.GAP, Reason.LEAD_OFF})
NO_WAVES = NO_CONTACT | {Reason.FLAT, Reason.CLIPPED}
NOW_S = 3  # of signal that show how high it is now
NOISE = frozenset({Reason.CLIPPED, Reason.MOTION, Reason.MUSCLE, Reason.DETECTORS_DISAGREE})


class Sign(StrEnum):
    """What one finding says of one condition."""

    ON = "on"  # above the on-threshold
    HOLD = "hold"  # between the off- and the on-threshold
    OFF = "off"
    BLIND = "blind"  # it can't tell


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind in one finding: the condition's stretch `since_us` to `until_us`, the rate and the evidence.

    `complete`: the definition's own duration is already fulfilled.
    """

    kind: str
    sign: Sign
    since_us: int
    until_us: int
    complete: bool = False
    rate_bpm: float | None = None
    why: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a finding alone doesn't show: since when the signal has been readable, and the last beat seen since."""

    readable_since_us: int | None
    last_beat_us: int | None


def present(finding: Finding) -> frozenset[Reason]:
    """The reasons that hold now: while the last seconds can be read, a finding's reasons are of its past."""
    return frozenset() if finding.quality is Quality.FULL else frozenset(finding.reasons) - {Reason.WARM_UP}


class Window:
    """A finding with its readable beats and what can be told from them."""

    def __init__(self, finding: Finding, limits: Thresholds, sight: Sight) -> None:
        self.finding, self.limits, self.sight = finding, limits, sight
        self.end_us = finding.end_us
        reasons = present(finding)
        self.beats_blind = finding.quality is Quality.UNREADABLE or bool(reasons & NO_WAVES)
        self.waves_blind = bool(reasons & NO_WAVES) or not finding.acute_probabilities
        self.silence_blind = bool(reasons & (NO_CONTACT | NOISE))
        self.detectors_disagree = Reason.DETECTORS_DISAGREE in reasons
        self.acute_since_us = self.end_us - round(limits.acute_lookback_s * 1e6)
        self.flat = Reason.FLAT in reasons
        since = sight.readable_since_us
        self.beats: list[Beat] = [] if since is None else [b for b in finding.beats if b.at_us >= since]

    def reading(
        self, kind: str, sign: Sign, since_us: int | None = None, until_us: int | None = None, **more: Any
    ) -> Reading:
        """A reading of this finding; from and to its end unless told otherwise."""
        since = self.end_us if since_us is None else since_us
        return Reading(kind, sign, since, self.end_us if until_us is None else until_us, **more)

    def last_rate(self, n_beats: int, *, is_slow: bool = False) -> float | None:
        """Mean rate [1/min] over the last `n_beats`; None while there are fewer.

        `is_slow`: the median interval's rate where that is faster, so that one long interval doesn't tell; None where a pause among
        them may hide beats.
        """
        beats = self.beats[-n_beats:]
        if len(beats) < n_beats or (
            is_slow and any(self.hides_beats(*pause) for pause in self.pauses(beats))
        ):
            return None
        usual = median(after.at_us - before.at_us for before, after in pairwise(beats)) if is_slow else 0
        return max(mean_rate(beats), 60e6 / usual) if usual else mean_rate(beats)

    def pauses(self, beats: list[Beat]) -> list[tuple[int, int]]:
        """When two beats in a row among some are so far apart, in order."""
        pairs = pairwise(b.at_us for b in beats)
        return [(before, after) for before, after in pairs if after - before >= self.limits.pause_s * 1e6]

    def is_missing(self, since_us: int, until_us: int) -> bool:
        """Whether samples are missing from that stretch of the signal, as far as the finding carries it."""
        strip = self.finding.signal
        if strip is None:
            return False
        first, last = ((t - strip.start_us) * strip.fs_hz / 1e6 for t in (since_us, until_us))
        return bool(np.isnan(strip.microvolts()[max(0, int(first)) : max(0, int(last))]).any())

    def follows_a_burst(self) -> bool:
        """Whether the voltage was many times what it is now a few seconds ago: an electrode was moved.

        The network sees signals by the scale of their last seconds: after a burst a heart looks still to it until that has left its view.
        """
        strip = self.finding.signal
        if strip is None:
            return False
        limits, fs = self.limits, max(1, round(strip.fs_hz))
        seen = np.nan_to_num(np.abs(strip.microvolts()))
        n = min(seen.size // fs, round(limits.burst_s))
        if n <= NOW_S:
            return False
        seconds = seen[seen.size - n * fs :].reshape(n, fs).max(1)
        before, now = float(seconds[:-NOW_S].max()), float(np.median(seconds[-NOW_S:]))
        return before > max(limits.burst_uv, limits.burst_ratio * now)

    def hides_beats(self, before_us: int, after_us: int) -> bool:
        """Whether the finding's signal shows that beats may have been missed between two that were found.

        Samples are missing there, or the voltage up to the first one was many times that of the second: the detector still measured by
        a burst.
        """
        limits, half_us = self.limits, 500_000
        height = self._highest(before_us - round(limits.burst_s * 1e6), before_us + half_us)
        own = self._highest(after_us - half_us, after_us + half_us)
        return self.is_missing(before_us, after_us) or height > max(limits.burst_uv, limits.burst_ratio * own)

    def _highest(self, since_us: int, until_us: int) -> float:
        """The greatest voltage, either way, of a stretch of the signal [µV]; 0 where the finding doesn't carry it."""
        strip = self.finding.signal
        if strip is None:
            return 0.0
        first, last = (max(0, int((t - strip.start_us) * strip.fs_hz / 1e6)) for t in (since_us, until_us))
        return float(np.nan_to_num(np.abs(strip.microvolts()[first:last])).max(initial=0.0))

    def beats_steadily(self) -> bool:
        """Whether the last beats, `steady_beats` of them in `steady_s`, came at even intervals, as no noise is taken for."""
        n, limits = self.limits.steady_beats, self.limits
        last = [b.at_us for b in self.finding.beats if b.at_us >= self.end_us - limits.steady_s * 1e6][-n:]
        intervals = [after - before for before, after in pairwise(last)]
        if len(last) < n:
            return False
        usual = median(intervals)
        return all(abs(interval - usual) <= limits.steady_within * usual for interval in intervals)

    def ventricular_runs(self) -> list[tuple[list[Beat], bool]]:
        """Runs of ventricular beats, in order, each with whether a later beat has ended it.

        A run of `v_run_beats` doesn't turn supraventricular without a normal beat in between: in a long one its beats are
        the usual ones, and an early beat that looks like the usual ones is called S.
        """
        runs: list[tuple[list[Beat], bool]] = []
        run: list[Beat] = []
        for beat in self.beats:
            surely = beat.probability is None or beat.probability >= self.limits.beat_probability
            if surely and (beat.kind == "V" or (beat.kind == "S" and len(run) >= self.limits.v_run_beats)):
                run.append(beat)
            elif beat.kind != "Q" and run:
                runs.append((run, True))
                run = []
        return [*runs, (run, False)] if run else runs

    def supraventricular_runs(self) -> list[list[Beat]]:
        """Runs of supraventricular beats, in order."""
        places = runs_of("S", [beat.kind for beat in self.beats])
        return [[self.beats[i] for i in run] for run in places]

    def slows(self) -> bool:
        """Whether the heart slows down at once anywhere in view."""
        return slows([beat.at_us / 1e6 for beat in self.beats])


def mean_rate(beats: list[Beat]) -> float:
    """Mean rate of some beats in a row [1/min]."""
    return 60e6 * (len(beats) - 1) / max(1, beats[-1].at_us - beats[0].at_us)
