"""What each device showed last, and its last hours minute by minute, from ``ecg.rhythm``.

Findings overlap and, when something is wrong, come every second instead of every five. Each therefore
counts for the seconds since the one before it (at most `MAX_STEP_S`), so that burdens are shares of
readable time; a beat is counted once, `CLASS_DELAY_US` after it, when its class is known.

AF burden: seconds called AF over seconds with a rhythm. PVC burden: V beats over all classified beats. Both
over the trend. Bounded: `max_devices` devices (the longest silent leaves first, counted in `evicted`), one
bin a minute.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Finding, Quality, Strip
from ecgstream.tally import CLASS_DELAY_US

RHYTHMS = ("sinus", "af", "svt", "bigeminy", "trigeminy", "idioventricular", "junctional", "block", "paced", "vt", "vf",
           "asystole", "other", "noise")  # fmt: skip
MAX_STEP_S = 5
ACUTE_SHOWN_S = 3
_ACUTE = [RHYTHMS.index(name) for name in ("vt", "vf", "asystole")]
RECENT_FINDINGS = 120
MINUTE_US = 60_000_000

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


@dataclass(slots=True)
class Device:
    """One device: its newest finding, its trend and its newest signal."""

    last: Finding
    heard_us: int
    bins: NDArray[Any]
    counted_us: int = 0  # beats up to here are counted
    signal: Strip | None = None
    signal_finding: Finding | None = None
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT_FINDINGS))


class Ward:
    """All devices; `trend_hours` of trend each."""

    def __init__(self, *, max_devices: int = 2000, trend_hours: int = 12) -> None:
        self.max_devices, self.n_bins = max_devices, trend_hours * 60
        self.evicted = self.repeated = 0
        self.devices: OrderedDict[str, Device] = OrderedDict()

    def take(self, finding: Finding, heard_us: int) -> bool:
        """Take a finding that arrived at `heard_us`.

        False when the device already showed as much (a repeat).
        """
        device = self.devices.get(finding.device_id)
        if device is None:
            device = self._admit(finding, heard_us)
            step_s = MAX_STEP_S
        else:
            if finding.end_us <= device.last.end_us:
                self.repeated += 1
                return False
            step_s = min(MAX_STEP_S, max(1, round((finding.end_us - device.last.end_us) / 1e6)))
        device.last, device.heard_us = finding, heard_us
        self.devices.move_to_end(finding.device_id)
        if finding.signal is not None:
            device.signal, device.signal_finding = finding.signal, finding
        device.recent.append(_short(finding))
        self._count(device, finding, step_s)
        return True

    def _admit(self, finding: Finding, heard_us: int) -> Device:
        if len(self.devices) >= self.max_devices:
            self.devices.popitem(last=False)
            self.evicted += 1
        bins = np.zeros(self.n_bins, dtype=BIN)
        bins["minute"] = -1
        device = Device(last=finding, heard_us=heard_us, bins=bins, counted_us=finding.start_us)
        self.devices[finding.device_id] = device
        return device

    def _bin(self, device: Device, at_us: int) -> Any:
        minute = at_us // MINUTE_US
        at = minute % self.n_bins
        if device.bins["minute"][at] < minute:
            device.bins[at] = np.zeros((), dtype=BIN)
            device.bins["minute"][at] = minute
        place = device.bins[at]
        return place if place["minute"] == minute else None

    def _count(self, device: Device, finding: Finding, step_s: int) -> None:
        place = self._bin(device, finding.end_us)
        if place is not None:
            place["heard_s"] = min(255, int(place["heard_s"]) + step_s)
            if finding.quality is not Quality.UNREADABLE:
                place["readable_s"] = min(255, int(place["readable_s"]) + step_s)
            name = shown_rhythm(finding)
            if name is not None:
                at = RHYTHMS.index(name) if name in RHYTHMS else RHYTHMS.index("other")
                place["rhythm_s"][at] = min(255, int(place["rhythm_s"][at]) + step_s)
            rate = finding.heart_rate_bpm
            if rate is not None:
                first = place["rate_n"] == 0
                place["rate_low"] = rate if first else min(rate, place["rate_low"])
                place["rate_high"] = rate if first else max(rate, place["rate_high"])
                place["rate_sum"] += rate
                place["rate_n"] += 1
        until_us = finding.end_us - CLASS_DELAY_US
        for beat in finding.beats:
            if device.counted_us < beat.at_us <= until_us and beat.kind in "NSV":
                minute = self._bin(device, beat.at_us)
                if minute is not None:
                    minute["beats"] += 1
                    minute["beats_v"] += beat.kind == "V"
                    minute["beats_s"] += beat.kind == "S"
        device.counted_us = max(device.counted_us, until_us)

    def summary(self, device_id: str) -> dict[str, Any]:
        """What a tile shows of a device."""
        device = self.devices[device_id]
        last = device.last
        return {
            "device_id": device_id,
            "heard_us": device.heard_us,
            "end_us": last.end_us,
            "heart_rate_bpm": None if last.heart_rate_bpm is None else round(last.heart_rate_bpm),
            "rhythm": shown_rhythm(last),
            "quality": last.quality,
            "reasons": last.reasons,
        }

    def detail(self, device_id: str) -> dict[str, Any]:
        """All that the device page shows.

        Summary, burdens, trend by minute, recent findings, newest signal.
        """
        device = self.devices[device_id]
        return {
            **self.summary(device_id),
            "session": device.last.session,
            "model": device.last.model,
            "rhythm_probabilities": device.last.rhythm_probabilities,
            "acute_probabilities": device.last.acute_probabilities,
            "burden": burden(self._filled(device)),
            "trend": trend(self._filled(device)),
            "recent": list(device.recent),
            "trace": None if device.signal is None else trace(device.signal, device.signal_finding),
        }

    def around(self, device_id: str, at_us: int, minutes: int = 15) -> dict[str, Any] | None:
        """The trend `minutes` before and after a time, or None for a device not known."""
        device = self.devices.get(device_id)
        if device is None:
            return None
        bins, minute = self._filled(device), at_us // MINUTE_US
        return trend(bins[np.abs(bins["minute"] - minute) <= minutes])

    def finding_near(self, device_id: str, session: str, window: int) -> dict[str, Any] | None:
        """The recent finding of that window or the first after it, or None when it is no longer kept."""
        device = self.devices.get(device_id)
        recent = (
            []
            if device is None
            else [f for f in device.recent if f["session"] == session and f["window"] >= window]
        )
        return recent[0] if recent and recent[0]["window"] <= window + MAX_STEP_S else None

    def _filled(self, device: Device) -> NDArray[Any]:
        newest = device.last.end_us // MINUTE_US
        bins = device.bins[device.bins["minute"] > newest - self.n_bins]
        ordered: NDArray[Any] = bins[np.argsort(bins["minute"])]
        return ordered


def shown_rhythm(finding: Finding) -> str | None:
    """The name to show for a finding.

    Its acute rhythm where that is one that kills, else its rhythm; None when unknown.
    """
    return finding.acute if finding.acute in ("vt", "vf", "asystole") else finding.rhythm


def trend(bins: NDArray[Any]) -> dict[str, list[Any]]:
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


def trace(strip: Strip, finding: Finding | None) -> dict[str, Any]:
    """A strip for the page, with the beats that fall in it.

    Samples are little-endian int16 (base64 in JSON).
    """
    beats = [] if finding is None else [b for b in finding.beats if strip.start_us <= b.at_us <= strip.end_us]
    return {"start_us": strip.start_us, "fs_hz": strip.fs_hz, "uv_per_lsb": strip.uv_per_lsb, "samples": strip.samples,
            "beats": beats}  # fmt: skip


def _short(finding: Finding) -> dict[str, Any]:
    return {
        "session": finding.session,
        "window": finding.window,
        "end_us": finding.end_us,
        "rhythm": shown_rhythm(finding),
        "quality": finding.quality,
        "reasons": finding.reasons,
        "heart_rate_bpm": finding.heart_rate_bpm,
        "rhythm_probabilities": finding.rhythm_probabilities,
        "acute_probabilities": finding.acute_probabilities,
    }
