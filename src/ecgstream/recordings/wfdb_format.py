"""WFDB records (PhysioNet's format, CinC's `.mat` with `.hea` among them), from a folder or from PhysioNet.

A header (`.hea`) tells rate, gain and zero of each signal; the signal files hold digital values. What the
header and the files say of each other is checked before reading, since a short file would otherwise be read as
far as it goes. What the values mean is read by `wfdb_signal`.
"""

from pathlib import Path
from typing import Any

from ecgstream.recordings.recording import (
    Annotation,
    Recording,
    RecordingError,
    checked_rate,
    in_a_line,
    lead_name,
    reading,
    utc_us,
)
from ecgstream.recordings.wfdb_signal import UV_OF, signal_of

__all__ = [
    "UV_OF",
    "check_signals",
    "read_header",
    "read_marks",
    "read_physionet",
    "read_signals",
    "read_wfdb",
]

BYTES_PER_SAMPLE = {"8": 1.0, "16": 2.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
                    "24": 3.0, "32": 4.0}  # fmt: skip
EXPECTED = "expected samples as the header says"
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

    with reading(file, "header", "expected a WFDB header"):
        return wfdb.rdheader(str(file.with_suffix("")))


def check_signals(folder: Path, record: str) -> Any:
    """The header of a record with signals, whose files hold what it says."""
    file = folder / f"{record}.hea"
    header = read_header(file)
    checked_rate(file, "header", float(header.fs or 0))
    _check_files(header, file, 0)
    return header


def read_signals(folder: Path, record: str) -> Any:
    """All signals of a record in physical values, as wfdb has them."""
    check_signals(folder, record)
    import wfdb

    with reading(folder / f"{record}.hea", "signals", EXPECTED):
        return wfdb.rdrecord(str(folder / record))


def read_marks(folder: Path, record: str) -> Any:
    """The `.atr` annotations of a record, as wfdb has them."""
    file = folder / f"{record}.atr"
    if not file.is_file():
        raise RecordingError(file, "annotations", "expected WFDB annotations, found no such file")
    _check_end(file)
    import wfdb

    with reading(file, "annotations", "expected WFDB annotations"):
        return wfdb.rdann(str(folder / record), "atr")


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
            name, "record", f"no such file here and none on PhysioNet ({in_a_line(error)})"
        ) from error
    except Exception as error:  # whatever the network library of the day raises
        raise RecordingError(name, "record", f"{NETWORK_HINT} ({type(error).__name__})") from error
    _check_channel(header, name, channel)
    return _record(wfdb, record, {"pn_dir": database}, name, name, channel)


def _record(
    wfdb: Any, stem: str, where: dict[str, Any], name: str, file: Path | str, channel: int
) -> Recording:
    place = f"signal {channel}"
    with reading(file, place, EXPECTED):
        record = wfdb.rdrecord(
            stem, channels=[channel], physical=False, smooth_frames=False, m2s=False, **where
        )
    signal = signal_of(record, file, place)
    started = record.base_datetime
    return Recording(
        name=name,
        fs_hz=checked_rate(file, "header", float(record.fs) * signal.per_frame),
        lead=lead_name(signal.name),
        uv_per_lsb=signal.uv_per_lsb,
        samples=signal.samples,
        start_us=None if started is None else utc_us(started),
        annotations=_annotations(wfdb, stem, where, signal.per_frame),
        missing=signal.missing,
    )


def _check_channel(header: Any, file: Path | str, channel: int) -> None:
    """The signal must be there, and at a rate that can be read; that of segments stands in headers of their own."""
    if not header.n_sig:
        raise RecordingError(file, "header", "expected at least one signal, found none")
    if not 0 <= channel < header.n_sig:
        raise RecordingError(file, "header", f"expected channel 0 to {header.n_sig - 1}, asked for {channel}")
    if hasattr(header, "seg_name"):
        return
    n_told = len(header.file_name or [])
    if n_told != header.n_sig:
        raise RecordingError(file, "header", f"expected lines of {header.n_sig} signals, found {n_told}")
    checked_rate(file, "header", float(header.fs or 0) * int(header.samps_per_frame[channel] or 1))


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
        with reading(f"{stem}.atr", "annotations", "expected WFDB annotations"):
            try:
                read = wfdb.rdann(stem, "atr", **where)
            except FileNotFoundError:
                return None
    texts = read.aux_note or [""] * len(read.sample)
    return tuple(
        Annotation(int(sample) * per_frame, symbol, text.rstrip("\x00"))
        for sample, symbol, text in zip(read.sample, read.symbol, texts, strict=True)
    )
