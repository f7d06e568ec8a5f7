"""A device's last hours, minute by minute, from its findings.

Findings overlap and, when something is wrong, come every second instead of every five. Each therefore
counts for the seconds since the one before it, as many as it is told, so that burdens are shares of readable
time; a beat is counted once, `CLASS_DELAY_US` after it, when its class is known.

AF burden: seconds called AF over seconds with a rhythm. PVC burden: V beats over all classified beats. Both
over the trend.

Minutes are those of the device's clock, as an alert's onset is. Where that clock is set back by more than a
minute, the trend goes on from there: what it held of later minutes goes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Finding, Quality
from ecgstream.tally import CLASS_DELAY_US

RHYTHMS = ("sinus", "af", "svt", "bigeminy", "trigeminy", "idioventricular", "junctional", "block", "paced", "vt", "vf",
           "asystole", "other", "noise")  # fmt: skip
ACUTE_SHOWN_S = 3
MINUTE_US = 60_000_000
_ACUTE = [RHYTHMS.index(name) for name in ("vt", "vf", "asystole")]

BIN = np.dtype(
    [
        ("minute", np.int64),  # minutes since 1970, -1 when empty
        ("heard_s", np.uint8),
        ("readable_s", np.uint8),
        ("rhythm_s", np.uint8, (len(RHYTHMS),)),
        ("rate_low", np.float32),
        ("rate_high", np.float32),
        ("rate_sum", np.float32),
        ("rate_n", np.uint16),
        ("beats", np.uint16),
        ("beats_v", np.uint16),
        ("beats_s", np.uint16),
    ]
)


class Trend:
    """The newest `n_bins` minutes of one device; beats from `since_us` on are counted."""

    def __init__(self, n_bins: int, since_us: int) -> None:
        self._bins = np.zeros(n_bins, dtype=BIN)
        self._bins["minute"] = -1
        self._newest = -1
        self._counted_us = since_us

    def take(self, finding: Finding, step_s: int) -> None:
        """Count a finding for `step_s` seconds, and the beats whose class is known by it."""
        until_us = finding.end_us - CLASS_DELAY_US
        if until_us < self._counted_us - MINUTE_US:
            self._set_back(finding.end_us)
        self._newest = finding.end_us // MINUTE_US
        self._count(finding, step_s)
        for beat in finding.beats:
            if self._counted_us < beat.at_us <= until_us and beat.kind in "NSV":
                minute = self._bin(beat.at_us)
                if minute is not None:
                    minute["beats"] += 1
                    minute["beats_v"] += beat.kind == "V"
                    minute["beats_s"] += beat.kind == "S"
        self._counted_us = max(self._counted_us, until_us)

    def bins(self) -> NDArray[Any]:
        """The minutes that hold something, in order: `BIN` (n_minutes,)."""
        bins = self._bins[self._bins["minute"] > max(-1, self._newest - len(self._bins))]
        ordered: NDArray[Any] = bins[np.argsort(bins["minute"])]
        return ordered

    def _set_back(self, end_us: int) -> None:
        self._bins["minute"][self._bins["minute"] >= end_us // MINUTE_US] = -1
        self._counted_us = end_us - CLASS_DELAY_US

    def _bin(self, at_us: int) -> Any:
        minute = at_us // MINUTE_US
        at = minute % len(self._bins)
        if self._bins["minute"][at] < minute:
            self._bins[at] = np.zeros((), dtype=BIN)
            self._bins["minute"][at] = minute
        place = self._bins[at]
        return place if place["minute"] == minute else None

    def _count(self, finding: Finding, step_s: int) -> None:
        place = self._bin(finding.end_us)
        if place is None:
            return
        place["heard_s"] = min(255, int(place["heard_s"]) + step_s)
        if finding.quality is not Quality.UNREADABLE:
            place["readable_s"] = min(255, int(place["readable_s"]) + step_s)
        name = shown_rhythm(finding)
        if name is not None:
            at = RHYTHMS.index(name) if name in RHYTHMS else RHYTHMS.index("other")
            place["rhythm_s"][at] = min(255, int(place["rhythm_s"][at]) + step_s)
        rate = known_rate(finding.heart_rate_bpm)
        if rate is not None:
            first = place["rate_n"] == 0
            place["rate_low"] = rate if first else min(rate, place["rate_low"])
            place["rate_high"] = rate if first else max(rate, place["rate_high"])
            place["rate_sum"] += rate
            place["rate_n"] += 1


def known_rate(rate_bpm: float | None) -> float | None:
    """The rate where it is a number: MessagePack also carries what is none."""
    return rate_bpm if rate_bpm is not None and math.isfinite(rate_bpm) else None


def shown_rhythm(finding: Finding) -> str | None:
    """The name to show for a finding.

    Its acute rhythm where that is one that kills, else its rhythm; None when unknown.
    """
    return finding.acute if finding.acute in ("vt", "vf", "asystole") else finding.rhythm


def by_minute(bins: NDArray[Any]) -> dict[str, list[Any]]:
    """Minute by minute, as parallel lists: time [s], heart rate low, mean, high [1/min], rhythm, readable share.

    A minute's rhythm is the one that filled most of it, but seconds of VT, VF or asystole are never hidden by the rest.
    """
    rated = bins["rate_n"] > 0
    mean = bins["rate_sum"] / np.maximum(bins["rate_n"], 1)

    def rate(values: NDArray[Any]) -> list[float | None]:
        return [round(float(v), 1) if r else None for v, r in zip(values, rated, strict=True)]

    named = bins["rhythm_s"].sum(axis=1) > 0
    weight = bins["rhythm_s"].astype(np.int64)
    weight[:, _ACUTE] *= np.where(weight[:, _ACUTE] >= ACUTE_SHOWN_S, 1000, 1)
    main = weight.argmax(axis=1) if len(bins) else []
    share = bins["readable_s"] / np.maximum(bins["heard_s"], 1)
    return {
        "at_s": [int(m) * 60 for m in bins["minute"]],
        "low": rate(bins["rate_low"]),
        "mean": rate(mean),
        "high": rate(bins["rate_high"]),
        "rhythm": [RHYTHMS[i] if n else None for i, n in zip(main, named, strict=True)],
        "readable": [round(float(s), 2) for s in share],
    }


def burden(bins: NDArray[Any]) -> dict[str, float | int | None]:
    """AF and PVC burden and the readable share over the bins (each 0..1, None when nothing could be read)."""
    rhythm_s = int(bins["rhythm_s"].sum(dtype=np.int64))
    beats, beats_v, beats_s = (
        int(bins[name].sum(dtype=np.int64)) for name in ("beats", "beats_v", "beats_s")
    )
    heard_s = int(bins["heard_s"].sum(dtype=np.int64))
    af_s = int(bins["rhythm_s"][:, RHYTHMS.index("af")].sum(dtype=np.int64))
    return {
        "af": af_s / rhythm_s if rhythm_s else None,
        "pvc": beats_v / beats if beats else None,
        "sve": beats_s / beats if beats else None,
        "readable": int(bins["readable_s"].sum(dtype=np.int64)) / heard_s if heard_s else None,
        "heard_s": heard_s,
        "beats": beats,
    }
