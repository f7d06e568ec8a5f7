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
SKIP, AUX = 59, 63  # annotation codes of MIT format that more bytes follow: a long interval, a text
NETWORK_HINT = (
    "not found here and PhysioNet can't be reached; without network, give the path of a downloaded record "
    "or set ECGSTREAM_DATA to the folder that holds its database"
)


def read_wfdb(path: Path, channel: int = 0) -> Recording:
    """Read the record whose header is `path` with the suffix `.hea`; its `.atr` annotations where there are any."""
    header_file = path.with_suffix(".hea")
    if not header_file.is_file():
        raise RecordingError(path, "header", f"expected {header_file.name} beside it, found none")
    import wfdb

    _check_files(read_header(header_file), header_file, channel)
    return _record(wfdb, str(header_file.with_suffix("")), {}, path.stem, header_file, channel)


def read_header(file: Path) -> Any:
    """The header that `file` holds, as wfdb has it; of a record that may have no signals."""
    if not file.is_file():
        raise RecordingError(file, "header", "expected a WFDB header, found no such file")
    if file.stat().st_size == 0:
        raise RecordingError(file, "line 1", "expected a record line, found an empty file")
    import wfdb

    try:
        header = wfdb.rdheader(str(file.with_suffix("")))
    except BROKEN as error:
        raise RecordingError(file, "header", f"expected a WFDB header ({_line(error)})") from error
    checked_rate(file, "header", float(header.fs or 0))
    return header


def check_signals(folder: Path, record: str) -> Any:
    """The header of a record with signals, whose files hold what it says."""
    file = folder / f"{record}.hea"
    header = read_header(file)
    _check_files(header, file, 0)
    return header


def read_signals(folder: Path, record: str) -> Any:
    """All signals of a record in physical values, as wfdb has them."""
    check_signals(folder, record)
    import wfdb

    try:
        return wfdb.rdrecord(str(folder / record))
    except BROKEN as error:
        raise RecordingError(
            folder / f"{record}.hea", "signals", f"expected samples as the header says ({_line(error)})"
        ) from error


def read_marks(folder: Path, record: str) -> Any:
    """The `.atr` annotations of a record, as wfdb has them."""
    file = folder / f"{record}.atr"
    if not file.is_file():
        raise RecordingError(file, "annotations", "expected WFDB annotations, found no such file")
    _check_end(file)
    import wfdb

    try:
        return wfdb.rdann(str(folder / record), "atr")
    except BROKEN as error:
        raise RecordingError(file, "annotations", f"expected WFDB annotations ({_line(error)})") from error


def _check_end(file: Path) -> None:
    """Annotations in MIT format end with a zero word; a file without it was cut."""
    content, at = file.read_bytes(), 0
    while at + 2 <= len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        if word == 0:
            break
        code, value = word >> 10, word & 1023
        at += 2 + (4 if code == SKIP else value + value % 2 if code == AUX else 0)
    if len(content) % 2 or at + 2 > len(content):
        raise RecordingError(
            file, f"byte {len(content)}", "expected the zero word that ends annotations, the file ends here"
        )


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
    checked_rate(name, "header", float(header.fs or 0))
    _check_channel(header, name, channel)
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


def _check_channel(header: Any, file: Path | str, channel: int) -> None:
    if not header.n_sig:
        raise RecordingError(file, "header", "expected at least one signal, found none")
    if not 0 <= channel < header.n_sig:
        raise RecordingError(file, "header", f"expected channel 0 to {header.n_sig - 1}, asked for {channel}")


def _check_files(header: Any, header_file: Path, channel: int) -> None:
    """Each signal file must be there and hold what the header says; `channel` must be among the signals."""
    _check_channel(header, header_file, channel)
    if hasattr(header, "seg_name"):
        return  # segments have headers of their own, which rdrecord reads
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
    if not where:
        file = Path(f"{stem}.atr")
        if not file.is_file():
            return None
        read = read_marks(file.parent, file.stem)
    else:
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
