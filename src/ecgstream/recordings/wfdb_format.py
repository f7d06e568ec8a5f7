"""WFDB records (PhysioNet's format, CinC's `.mat` with `.hea` among them), from a folder or from PhysioNet.

A header (`.hea`) tells rate, gain and zero of each signal; the signal files hold digital values. What the
header and the files say of each other is checked before reading, since a short file would otherwise be read as
far as it goes. WFDB marks a missing sample with the smallest value of its format; it comes as `missing`.
"""

from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from ecgstream.recordings.recording import (
    Annotation,
    Recording,
    RecordingError,
    checked_rate,
    from_digital,
    spans,
)

# What wfdb raises on files that aren't what their header says.
BROKEN = (ValueError, IndexError, KeyError, TypeError, AttributeError, OSError, OverflowError, ZeroDivisionError, EOFError)  # fmt: skip
UV_OF = {"mv": 1000.0, "uv": 1.0, "µv": 1.0, "μv": 1.0, "v": 1e6, "nv": 1e-3}
BYTES_PER_SAMPLE = {"8": 1.0, "16": 2.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
                    "24": 3.0, "32": 4.0}  # fmt: skip
NETWORK_HINT = (
    "not found here and PhysioNet can't be reached; without network, give the path of a downloaded record "
    "or set ECGSTREAM_DATA to the folder that holds its database"
)


def read_wfdb(path: Path, channel: int = 0) -> Recording:
    """Read the record whose header is `path` with the suffix `.hea`; its `.atr` annotations where there are any."""
    header_file = path.with_suffix(".hea")
    if not header_file.is_file():
        raise RecordingError(path, "header", f"expected {header_file.name} beside it, found none")
    if header_file.stat().st_size == 0:
        raise RecordingError(header_file, "line 1", "expected a record line, found an empty file")
    import wfdb

    stem = str(header_file.with_suffix(""))
    try:
        header = wfdb.rdheader(stem)
    except BROKEN as error:
        raise RecordingError(header_file, "header", f"expected a WFDB header ({_line(error)})") from error
    _check_header(header, header_file, channel)
    if hasattr(header, "seg_name"):  # segments have headers of their own, which rdrecord reads
        return _record(wfdb, stem, {}, path.stem, header_file, channel)
    _check_signal_files(header, header_file)
    return _record(wfdb, stem, {}, path.stem, header_file, channel)


def read_physionet(name: str, channel: int = 0) -> Recording:
    """Read a record from PhysioNet by ``database/record``, such as ``mitdb/208``; needs the network."""
    database, _, record = name.rpartition("/")
    import wfdb

    try:
        header = wfdb.rdheader(record, pn_dir=database)
    except FileNotFoundError as error:
        raise RecordingError(
            name, "record", f"no such file here and none on PhysioNet ({_line(error)})"
        ) from error
    except Exception as error:  # whatever the network library of the day raises
        raise RecordingError(name, "record", f"{NETWORK_HINT} ({type(error).__name__})") from error
    _check_header(header, name, channel)
    try:
        return _record(wfdb, record, {"pn_dir": database}, name, name, channel)
    except (OSError, RuntimeError) as error:
        raise RecordingError(name, "record", f"{NETWORK_HINT} ({type(error).__name__})") from error


def _record(
    wfdb: Any, stem: str, where: dict[str, Any], name: str, file: Path | str, channel: int
) -> Recording:
    try:
        record = wfdb.rdrecord(
            stem, channels=[channel], physical=False, smooth_frames=False, m2s=True, **where
        )
    except BROKEN as error:
        raise RecordingError(
            file, f"signal {channel}", f"expected samples as the header says ({_line(error)})"
        ) from error
    values = np.asarray(record.e_d_signal[0], dtype=np.int64)
    if len(values) == 0:
        raise RecordingError(file, f"signal {channel}", "expected samples, found none")
    per_frame = int(record.samps_per_frame[0] or 1)
    unit = str(record.units[0] or "mV")
    if unit.lower() not in UV_OF:
        raise RecordingError(file, f"signal {channel}", f"expected a voltage (mV, uV), found unit {unit!r}")
    invalid = -(2 ** (_bits(str(record.fmt[0])) - 1))
    missing = values == invalid
    gain = float(record.adc_gain[0] or 200.0)
    values, uv_per_lsb = values - int(record.baseline[0] or 0), UV_OF[unit.lower()] / abs(gain)
    samples, uv_per_lsb = from_digital(values if gain > 0 else -values, missing, uv_per_lsb)
    started = record.base_datetime
    return Recording(
        name=name,
        fs_hz=float(record.fs) * per_frame,
        lead=_lead(str(record.sig_name[0] or "I")),
        uv_per_lsb=uv_per_lsb,
        samples=samples,
        start_us=None if started is None else int(started.replace(tzinfo=UTC).timestamp() * 1e6),
        annotations=_annotations(wfdb, stem, where, per_frame),
        missing=spans(missing),
    )


def _check_header(header: Any, file: Path | str, channel: int) -> None:
    checked_rate(file, "header", float(header.fs or 0))
    if not header.n_sig:
        raise RecordingError(file, "header", "expected at least one signal, found none")
    if not 0 <= channel < header.n_sig:
        raise RecordingError(file, "header", f"expected channel 0 to {header.n_sig - 1}, asked for {channel}")


def _check_signal_files(header: Any, header_file: Path) -> None:
    """Each signal file must be there and hold what the header says."""
    for name in dict.fromkeys(header.file_name):
        file = header_file.parent / name
        rows = [i for i, other in enumerate(header.file_name) if other == name]
        if not file.is_file():
            raise RecordingError(
                header_file, f"signal {rows[0]}", f"expected the signal file {name}, found none"
            )
        size = BYTES_PER_SAMPLE.get(str(header.fmt[rows[0]]))
        if size is None or header.sig_len is None:
            continue  # compressed, or a length left out: the library finds the end
        per_frame = sum(header.samps_per_frame[i] or 1 for i in rows)
        expected = int(header.sig_len * per_frame * size) + int(header.byte_offset[rows[0]] or 0)
        found = file.stat().st_size
        if found < expected:
            raise RecordingError(
                file,
                f"byte {found}",
                f"expected {expected} bytes ({header.sig_len} frames), the file ends here",
            )


def _annotations(
    wfdb: Any, stem: str, where: dict[str, Any], per_frame: int
) -> tuple[Annotation, ...] | None:
    if not where and not Path(f"{stem}.atr").is_file():
        return None
    try:
        read = wfdb.rdann(stem, "atr", **where)
    except FileNotFoundError:
        return None
    except BROKEN as error:
        raise RecordingError(
            f"{stem}.atr", "annotations", f"expected WFDB annotations ({_line(error)})"
        ) from error
    texts = read.aux_note or [""] * len(read.sample)
    return tuple(
        Annotation(int(sample) * per_frame, symbol, text.rstrip("\x00"))
        for sample, symbol, text in zip(read.sample, read.symbol, texts, strict=True)
    )


def _bits(fmt: str) -> int:
    return {"8": 8, "80": 8, "212": 12, "310": 10, "311": 10, "24": 24, "508": 8, "524": 24, "32": 32}.get(
        fmt, 16
    )


def _lead(name: str) -> str:
    return name[:16]


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
