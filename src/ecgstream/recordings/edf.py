"""EDF, EDF+ and BDF files, read by `edfio`.

Samples stay the file's digital values where these fit int16 (BDF's 24 bits are rescaled). The offset between digital
and physical zero is taken to the nearest whole step; the front end removes what is left of it.
"""

from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.recordings.edf_layout import checked_layout, without_unreadable_notes
from ecgstream.recordings.recording import (
    Annotation,
    Recording,
    RecordingError,
    checked_rate,
    checked_unit,
    checked_zero,
    from_digital,
    lead_name,
    reading,
    utc_us,
)

UV_OF = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1000.0, "v": 1e6, "nv": 1e-3}
BOUNDS = ("physical_min", "physical_max", "digital_min", "digital_max")


def read_edf(path: Path, channel: int = 0) -> Recording:
    """Read one signal of an EDF, EDF+C or BDF file; EDF+ annotations come along, as notes."""
    import edfio

    layout = checked_layout(path)
    content = without_unreadable_notes(path, layout) if layout.notes else path
    with reading(path, "header", "expected EDF"):
        if path.suffix.lower() == ".bdf":
            edf: Any = edfio.read_bdf(content, header_encoding="latin-1")
        else:
            edf = edfio.read_edf(content, lazy_load_data=False, header_encoding="latin-1")
        signals, is_continuous, notes = edf.signals, edf.is_continuous, edf.annotations
    if not is_continuous:
        raise RecordingError(path, "header", "expected a continuous recording (EDF or EDF+C), found EDF+D")
    if not 0 <= channel < len(signals):
        raise RecordingError(path, "header", f"expected channel 0 to {len(signals) - 1}, asked for {channel}")
    signal, place = signals[channel], f"signal {channel}"
    with reading(path, place, "expected a number of samples and their time"):
        fs_hz = float(signal.sampling_frequency)
    fs_hz = checked_rate(path, place, fs_hz)
    samples, uv_per_lsb = _samples(path, place, signal)
    return Recording(
        name=path.stem,
        fs_hz=fs_hz,
        lead=lead_name(signal.label.removeprefix("ECG ")),
        uv_per_lsb=checked_unit(path, place, uv_per_lsb),
        samples=samples,
        start_us=_start_us(edf),
        annotations=tuple(
            Annotation(round(note.onset * fs_hz), '"', note.text) for note in notes if isfinite(note.onset)
        )
        or None,
    )


def _samples(path: Path, place: str, signal: Any) -> tuple[NDArray[np.int16], float]:
    """A signal's samples and their unit [µV]; upside down where the file holds it so."""
    unit = signal.physical_dimension.strip().lower()
    if unit not in UV_OF:
        raise RecordingError(
            path, place, f"expected a voltage (uV, mV), found unit {signal.physical_dimension!r}"
        )
    physical_min, physical_max, digital_min, digital_max = (_bound(path, place, signal, n) for n in BOUNDS)
    if physical_min == physical_max or digital_min == digital_max:
        raise RecordingError(path, place, "expected different physical and digital bounds")
    step = (physical_max - physical_min) / (digital_max - digital_min)
    checked_unit(path, place, abs(step) * UV_OF[unit])
    offset = checked_zero(path, place, physical_min / step - digital_min)
    values = np.asarray(signal.digital, dtype=np.int64) + offset
    if len(values) == 0:
        raise RecordingError(path, place, "expected samples, found none")
    known = np.zeros(len(values), np.bool_)
    return from_digital(values if step > 0 else -values, known, abs(step) * UV_OF[unit])


def _bound(path: Path, place: str, signal: Any, name: str) -> float:
    with reading(path, f"{place}: {name}", "expected a number"):
        bound = float(getattr(signal, name))
        if not isfinite(bound):
            raise ValueError(f"found {bound}")
    return bound


def _start_us(edf: Any) -> int | None:
    """The start, taken as UTC (EDF knows no time zones); None where the file leaves it out or has nonsense there."""
    try:
        started = edf.startdatetime
    except ValueError:  # anonymised
        return None
    if started < datetime(1985, 1, 2):  # EDF's way of saying "unknown"
        return None
    return utc_us(started)
