"""An ECG strip as SVG on ECG paper: 25 mm/s and 10 mm/mV, small squares of 1 mm, large ones of 5."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Beat, Strip

MM_PER_S, MM_PER_MV = 25.0, 10.0
LEAST_HALF_MV = 1.0
MOST_HALF_MV = 2.5
BEAT_COLOUR = {"N": "#4a4a4a", "S": "#8a4fbf", "V": "#c0392b", "Q": "#999999"}


def svg(strip: Strip, onset_us: int | None = None, beats: list[Beat] | None = None, label: str = "") -> str:
    """The strip, with the onset marked and each beat's class above it; a gap stays empty."""
    signal = strip.microvolts() / 1000.0
    length_s = len(signal) / strip.fs_hz
    seen = signal[np.isfinite(signal)]
    reach = float(np.percentile(np.abs(seen), 99.8)) if seen.size else LEAST_HALF_MV
    half_mv = float(np.clip(np.ceil(reach * 2) / 2, LEAST_HALF_MV, MOST_HALF_MV))
    width, height, top = length_s * MM_PER_S, 2 * half_mv * MM_PER_MV, 5.0
    parts = [
        f'<svg class="strip" viewBox="0 0 {width:.1f} {height + top:.1f}" role="img" aria-label="{escape(label)}">',
        _paper(width, height, top),
    ]
    middle = top + height / 2
    parts += [
        f'<path class="ecg" d="{_path(piece, x, middle, strip.fs_hz)}"/>' for x, piece in _pieces(signal)
    ]
    if onset_us is not None and strip.start_us <= onset_us <= strip.end_us:
        x = (onset_us - strip.start_us) / 1e6 * MM_PER_S
        parts.append(f'<line class="onset" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height + top:.1f}"/>')
    for beat in beats or []:
        if strip.start_us <= beat.at_us <= strip.end_us:
            x = (beat.at_us - strip.start_us) / 1e6 * MM_PER_S
            colour = BEAT_COLOUR.get(beat.kind, "#999999")
            parts.append(f'<text class="beat" x="{x:.1f}" y="3.6" fill="{colour}">{escape(beat.kind)}</text>')
    return "".join([*parts, "</svg>"])


def _paper(width: float, height: float, top: float) -> str:
    small = "".join(f"M{x} {top}V{height + top:.1f}" for x in range(int(width) + 1) if x % 5)
    small += "".join(f"M0 {top + y}H{width:.1f}" for y in range(int(height) + 1) if y % 5)
    large = "".join(f"M{x} {top}V{height + top:.1f}" for x in range(0, int(width) + 1, 5))
    large += "".join(f"M0 {top + y}H{width:.1f}" for y in range(0, int(height) + 1, 5))
    return f'<path class="small" d="{small}"/><path class="large" d="{large}"/>'


def _pieces(signal: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
    """The stretches without a gap, each with its first index."""
    known = np.flatnonzero(np.isfinite(signal))
    if not known.size:
        return []
    cuts = np.flatnonzero(np.diff(known) > 1) + 1
    return [(int(part[0]), signal[part]) for part in np.split(known, cuts)]


def _path(piece: NDArray[np.float32], first: int, middle: float, fs_hz: float) -> str:
    x = (first + np.arange(len(piece))) / fs_hz * MM_PER_S
    y = middle - piece * MM_PER_MV
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
