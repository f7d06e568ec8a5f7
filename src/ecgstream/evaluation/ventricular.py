"""What a stretch of ventricular rhythm is like by its annotation and its signal: how large, how fast."""

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.references import Reference
from ecgstream.evaluation.streaming import FS_HZ, Stream

SEGMENT_S = 10


def excerpt(stream: Stream, start_s: float, seconds: float = SEGMENT_S) -> NDArray[np.float32]:
    """The filtered signal from `start_s` on: float32 (n,), µV."""
    if stream.signal is None:
        raise ValueError(f"{stream.source.record}: the stream was not asked to keep its signal")
    first = round(start_s * FS_HZ)
    return stream.signal[first : first + round(seconds * FS_HZ)]


def amplitude_uv(stream: Stream, start_s: float) -> float:
    """Median of the seconds' peak-to-peak voltages, µV."""
    x = excerpt(stream, start_s)
    whole = x[: len(x) // FS_HZ * FS_HZ].reshape(-1, FS_HZ)
    return float(np.median(np.ptp(whole, axis=1))) if len(whole) else float("nan")


def rate_bpm(reference: Reference, stream: Stream, start_s: float) -> float:
    """Beats a minute of a segment, from annotated beats or, without them, from the signal's periodicity."""
    inside = (reference.beats_s >= start_s) & (reference.beats_s < start_s + SEGMENT_S)
    if len(reference.beats_s):
        gaps = np.diff(reference.beats_s[inside])
        return float(60.0 / np.median(gaps)) if len(gaps) else float("nan")
    x = np.nan_to_num(excerpt(stream, start_s)).astype(np.float64)
    x -= x.mean()
    spectrum = np.fft.rfft(x, 2 * len(x))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(x)] / np.maximum(1, len(x) - np.arange(len(x)))
    shortest, longest = round(FS_HZ * 60 / 360), round(FS_HZ * 60 / 75)
    lags = np.arange(shortest, longest + 1)
    peaks = lags[(correlation[lags] >= correlation[lags - 1]) & (correlation[lags] >= correlation[lags + 1])]
    if not len(peaks) or correlation[peaks].max() <= 0:
        return float("nan")
    strong = peaks[correlation[peaks] >= 0.85 * correlation[peaks].max()]  # not a multiple of the period
    return float(60.0 * FS_HZ / strong[0])
