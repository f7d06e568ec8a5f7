"""EDF, EDF+ and BDF files, read by `edfio`.

Samples stay the file's digital values where these fit int16 (BDF's 24 bits are rescaled). The offset between digital
and physical zero is taken to the nearest whole step; the front end removes what is left of it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ecgstream.recordings.recording import Annotation, Recording, RecordingError, checked_rate, from_digital

UV_OF = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1000.0, "v": 1e6, "nv": 1e-3}
HEADER_BYTES, SIGNAL_BYTES = 256, 256


def read_edf(path: Path, channel: int = 0) -> Recording:
    """Read one signal of an EDF, EDF+C or BDF file; EDF+ annotations come along, as notes."""
    import edfio

    _check_size(path)
    try:
        if path.suffix.lower() == ".bdf":
            edf: Any = edfio.read_bdf(path, header_encoding="latin-1")
        else:
            edf = edfio.read_edf(path, lazy_load_data=False, header_encoding="latin-1")
        signals = edf.signals
    except (ValueError, IndexError, KeyError, OSError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise RecordingError(path, "header", f"expected EDF ({type(error).__name__}: {error})") from error
    if not edf.is_continuous:
        raise RecordingError(path, "header", "expected a continuous recording (EDF or EDF+C), found EDF+D")
    if not 0 <= channel < len(signals):
        raise RecordingError(path, "header", f"expected channel 0 to {len(signals) - 1}, asked for {channel}")
    signal = signals[channel]
    unit = signal.physical_dimension.strip().lower()
    if unit not in UV_OF:
        raise RecordingError(
            path,
            f"signal {channel}",
            f"expected a voltage (uV, mV), found unit {signal.physical_dimension!r}",
        )
    physical_span = signal.physical_max - signal.physical_min
    digital_span = signal.digital_max - signal.digital_min
    if not physical_span or not digital_span:
        raise RecordingError(path, f"signal {channel}", "expected different physical and digital bounds")
    step = physical_span / digital_span  # negative where the file holds the signal upside down
    offset = round(signal.physical_min / step - signal.digital_min)
    values = np.asarray(signal.digital, dtype=np.int64) + offset
    if len(values) == 0:
        raise RecordingError(path, f"signal {channel}", "expected samples, found none")
    samples, uv_per_lsb = from_digital(
        values if step > 0 else -values, np.zeros(len(values), np.bool_), abs(step) * UV_OF[unit]
    )
    fs_hz = checked_rate(path, f"signal {channel}", float(signal.sampling_frequency))
    return Recording(
        name=path.stem,
        fs_hz=fs_hz,
        lead=signal.label.removeprefix("ECG ").strip()[:16] or "I",
        uv_per_lsb=uv_per_lsb,
        samples=samples,
        start_us=_start_us(edf),
        annotations=tuple(Annotation(round(a.onset * fs_hz), '"', a.text) for a in edf.annotations) or None,
    )


def _check_size(path: Path) -> None:
    """A file that ends early would be read as far as it goes; its header says how long it must be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES:
            raise RecordingError(
                path, f"byte {size}", f"expected an EDF header of {HEADER_BYTES} bytes, the file ends here"
            )
        if head[:8] != b"0       " and head[1:8] != b"BIOSEMI":
            raise RecordingError(path, "byte 0", f"expected EDF's version '0', found {head[:8]!r}")
        n_records, n_signals = _number(path, head, 236, 244), _number(path, head, 252, 256)
        if n_signals < 1:
            raise RecordingError(path, "byte 252", f"expected at least one signal, found {n_signals}")
        header_bytes = HEADER_BYTES + n_signals * SIGNAL_BYTES
        if _number(path, head, 184, 192) != header_bytes:
            raise RecordingError(
                path, "byte 184", f"expected {header_bytes} (the header's size), found {head[184:192]!r}"
            )
        signals = file.read(n_signals * SIGNAL_BYTES)
    if len(signals) < n_signals * SIGNAL_BYTES:
        raise RecordingError(
            path, f"byte {size}", f"expected a header of {header_bytes} bytes, the file ends here"
        )
    at = n_signals * 216
    per_record = sum(
        _number(path, signals, at + 8 * i, at + 8 * i + 8, HEADER_BYTES) for i in range(n_signals)
    )
    width = 3 if head[1:8] == b"BIOSEMI" else 2
    expected = header_bytes + n_records * per_record * width
    if n_records < 1 or size < expected:
        raise RecordingError(
            path, f"byte {size}", f"expected {expected} bytes ({n_records} data records), the file ends here"
        )


def _number(path: Path, data: bytes, start: int, stop: int, offset: int = 0) -> int:
    try:
        return int(data[start:stop])
    except ValueError:
        raise RecordingError(
            path, f"byte {offset + start}", f"expected a whole number, found {data[start:stop]!r}"
        ) from None


def _start_us(edf: Any) -> int | None:
    """The start, taken as UTC (EDF knows no time zones); None where the file leaves it out or has nonsense there."""
    try:
        started = edf.startdatetime
    except ValueError:  # anonymised
        return None
    if started < datetime(1985, 1, 2):  # EDF's way of saying "unknown"
        return None
    return int(started.replace(tzinfo=UTC).timestamp() * 1e6)
