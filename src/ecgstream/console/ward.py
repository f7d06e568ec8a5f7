"""What each device showed last, and its last hours, from ``ecg.rhythm``.

Order. What is shown is the last window of the session heard last, whatever the device's clock says: a clock may be set
back, between sessions or within one. The last `PAST_SESSIONS` sessions are remembered, each with its last window, as
`ecgstream.watch` does, so that a log that is read again brings none of them back, while one that goes on is shown again.

Bounded: `max_devices` devices (the longest silent leaves first, counted in `evicted`), one bin of trend a minute.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecgstream.console.trend import MINUTE_US, Trend, burden, by_minute, known_rate, shown_rhythm
from ecgstream.messages import Finding, Strip

MAX_STEP_S = 5
PAST_SESSIONS = 8
RECENT_FINDINGS = 120


@dataclass(slots=True)
class Device:
    """One device: its newest finding, its trend and its newest signal."""

    last: Finding
    heard_us: int
    trend: Trend
    traced: Finding | None = None  # the newest that carries a signal
    traced_heard_us: int = 0
    past: dict[str, int] = field(
        default_factory=dict
    )  # sessions that were shown before, and their last window
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT_FINDINGS))

    def has_shown(self, finding: Finding) -> bool:
        """Whether the device showed that window already, or a session after it."""
        if finding.session == self.last.session:
            return finding.window <= self.last.window
        return finding.window <= self.past.get(finding.session, -1)

    def change_session(self, session: str) -> None:
        """Leave the session that was shown for another, which may be an earlier one that goes on."""
        self.past.pop(session, None)
        self.past[self.last.session] = self.last.window
        for oldest in list(self.past)[:-PAST_SESSIONS]:
            del self.past[oldest]

    def show(self, finding: Finding, heard_us: int, windows: int) -> None:
        """Show a finding, so many windows, of a second each, after what was shown before."""
        self.last, self.heard_us = finding, heard_us
        if finding.signal is not None:
            self.traced, self.traced_heard_us = finding, heard_us
        self.recent.append(_short(finding))
        self.trend.take(finding, min(MAX_STEP_S, windows))

    def trace(self) -> dict[str, Any] | None:
        """The newest signal, and when it came: a device's clock alone can't tell how old it is."""
        if self.traced is None or self.traced.signal is None:
            return None
        return {**trace(self.traced.signal, self.traced), "heard_us": self.traced_heard_us}


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
        windows = finding.window + 1
        device = self.devices.get(finding.device_id)
        if device is None:
            device = self._admit(finding, heard_us)
        elif device.has_shown(finding):
            self.repeated += 1
            return False
        elif finding.session == device.last.session:
            windows = finding.window - device.last.window
        else:
            device.change_session(finding.session)
        device.show(finding, heard_us, windows)
        self.devices.move_to_end(finding.device_id)
        return True

    def _admit(self, finding: Finding, heard_us: int) -> Device:
        if len(self.devices) >= self.max_devices:
            self.devices.popitem(last=False)
            self.evicted += 1
        device = Device(finding, heard_us, Trend(self.n_bins, finding.start_us))
        self.devices[finding.device_id] = device
        return device

    def summary(self, device_id: str) -> dict[str, Any]:
        """What a tile shows of a device."""
        device = self.devices[device_id]
        last, rate = device.last, known_rate(device.last.heart_rate_bpm)
        return {
            "device_id": device_id,
            "heard_us": device.heard_us,
            "end_us": last.end_us,
            "heart_rate_bpm": None if rate is None else round(rate),
            "rhythm": shown_rhythm(last),
            "quality": last.quality,
            "reasons": last.reasons,
        }

    def detail(self, device_id: str) -> dict[str, Any]:
        """All that the device page shows.

        Summary, burdens, trend by minute, recent findings, newest signal.
        """
        device = self.devices[device_id]
        bins = device.trend.bins()
        return {
            **self.summary(device_id),
            "session": device.last.session,
            "model": device.last.model,
            "rhythm_probabilities": device.last.rhythm_probabilities,
            "acute_probabilities": device.last.acute_probabilities,
            "burden": burden(bins),
            "trend": by_minute(bins),
            "recent": list(device.recent),
            "trace": device.trace(),
        }

    def around(self, device_id: str, at_us: int, minutes: int = 15) -> dict[str, Any] | None:
        """The trend `minutes` before and after a time, or None for a device not known."""
        device = self.devices.get(device_id)
        if device is None:
            return None
        bins, minute = device.trend.bins(), at_us // MINUTE_US
        return by_minute(bins[np.abs(bins["minute"] - minute) <= minutes])

    def finding_near(self, device_id: str, session: str, window: int) -> dict[str, Any] | None:
        """The recent finding of that window or the first after it, or None when it is no longer kept."""
        device = self.devices.get(device_id)
        recent = (
            []
            if device is None
            else [f for f in device.recent if f["session"] == session and f["window"] >= window]
        )
        return recent[0] if recent and recent[0]["window"] <= window + MAX_STEP_S else None


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
