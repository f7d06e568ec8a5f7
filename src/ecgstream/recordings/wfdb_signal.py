"""One signal of a WFDB record, of one segment or of many: its digital values as int16.

WFDB marks a missing sample with the smallest value of its format; it comes as `missing`, as do segments without the
signal. Segments may differ in gain and zero: where a step is as many µV in all of them the digital values stay, else all
are taken to one step.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgstream.recordings.recording import (
    MAX_SAMPLES,
    RecordingError,
    checked_unit,
    checked_zero,
    digitised,
    from_digital,
    spans,
)

UV_OF = {"mv": 1000.0, "uv": 1.0, "µv": 1.0, "μv": 1.0, "v": 1e6, "nv": 1e-3}
BITS = {"8": 8, "80": 8, "212": 12, "310": 10, "311": 10, "24": 24, "508": 8, "524": 24, "32": 32}
USUAL_BITS = 16
USUAL_GAIN = 200.0  # steps a unit where a header leaves it out or has 0, by WFDB's definition


class Signal(NamedTuple):
    """int16 (n_samples,) in units of `uv_per_lsb` µV, half-open spans of missing ones, `per_frame` of them a frame."""

    name: str
    samples: NDArray[np.int16]
    uv_per_lsb: float
    missing: tuple[tuple[int, int], ...]
    per_frame: int


class _Part(NamedTuple):
    """One segment: int64 (n,) above the digital zero, bool (n,) where these are missing, their unit [µV]."""

    values: NDArray[np.int64]
    missing: NDArray[np.bool_]
    uv_per_lsb: float | None  # None where the segment hasn't the signal


def signal_of(record: Any, file: Path | str, place: str) -> Signal:
    """The one signal of a record that `wfdb` read digitally, unsmoothed and with its segments apart.

    Raises `RecordingError` with `file` and `place` where it can't be one.
    """
    segments = _segments(record)
    held = [segment for segment, _ in segments if segment is not None]
    per_frame = _per_frame(record, held, file, place)
    n_told = per_frame * sum(n_frames for _, n_frames in segments)
    if n_told > MAX_SAMPLES:
        raise RecordingError(file, place, f"expected at most {MAX_SAMPLES} samples, found {n_told}")
    parts = [
        _gap(n_frames * per_frame) if segment is None else _part(segment, file, place)
        for segment, n_frames in segments
    ]
    missing = np.concatenate([part.missing for part in parts])
    if len(missing) == 0:
        raise RecordingError(file, place, "expected samples, found none")
    units = {part.uv_per_lsb for part in parts if part.uv_per_lsb is not None}
    if len(units) == 1:
        values = np.concatenate([part.values for part in parts])
        samples, uv_per_lsb = from_digital(values, missing, units.pop())
    else:
        samples, uv_per_lsb = digitised(np.concatenate([_microvolts(part) for part in parts]))
    return Signal(
        str(held[0].sig_name[0] or ""),
        samples,
        checked_unit(file, place, uv_per_lsb),
        spans(missing),
        per_frame,
    )


def _segments(record: Any) -> list[tuple[Any, int]]:
    """Segments in order (None: without the signal), and how many frames each has; a layout's header is none."""
    if not hasattr(record, "segments"):
        return [(record, int(record.sig_len or 0))]
    first = 1 if record.layout == "variable" else 0
    return list(zip(record.segments[first:], map(int, record.seg_len[first:]), strict=True))


def _per_frame(record: Any, held: list[Any], file: Path | str, place: str) -> int:
    """Samples a frame, the same in all segments that hold the signal, as is the rate of frames."""
    if not held:
        raise RecordingError(file, place, "expected samples, found none")
    per_frame = int(held[0].samps_per_frame[0] or 1)
    for segment in held:
        found = segment.fs, int(segment.samps_per_frame[0] or 1)
        if found != (record.fs, per_frame):
            raise RecordingError(
                file,
                f"{place}, segment {segment.record_name}",
                f"expected {per_frame} x {record.fs} samples a second, found {found[1]} x {found[0]}",
            )
    return per_frame


def _part(segment: Any, file: Path | str, place: str) -> _Part:
    unit = str(segment.units[0] or "mV")
    if unit.lower() not in UV_OF:
        raise RecordingError(file, place, f"expected a voltage (mV, uV), found unit {unit!r}")
    gain = float(segment.adc_gain[0] or USUAL_GAIN)
    uv_per_lsb = checked_unit(file, place, UV_OF[unit.lower()] / abs(gain))
    zero = checked_zero(file, place, segment.baseline[0] or 0)
    found = np.asarray(segment.e_d_signal[0], dtype=np.int64)
    values = found - zero
    is_missing = found == -(2 ** (BITS.get(str(segment.fmt[0]), USUAL_BITS) - 1))
    return _Part(values if gain > 0 else -values, is_missing, uv_per_lsb)


def _gap(n_samples: int) -> _Part:
    return _Part(np.zeros(n_samples, np.int64), np.ones(n_samples, np.bool_), None)


def _microvolts(part: _Part) -> NDArray[np.float64]:
    """The part's signal, float64 (n,) µV; NaN where it is missing."""
    return np.where(part.missing, np.nan, part.values * (part.uv_per_lsb or 0.0))
