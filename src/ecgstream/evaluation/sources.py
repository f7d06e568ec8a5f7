"""Recordings as they are streamed: one lead, in pieces, with what is missing left out; and what else PhysioNet's folders hold.

What can't be read is refused with `BadReference`, which names the file, what was expected there and what was found.
"""

import csv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import BadReference
from ecgstream.model_folder import CINC_CLASSES
from ecgstream.recordings import RecordingError
from ecgstream.recordings.recording import from_digital
from ecgstream.recordings.wfdb_format import UV_OF, check_signals, read_signals

PIECE_S = 10


class SourcePiece(NamedTuple):
    first_sample: int
    uv_per_lsb: float
    lead_off: bool
    samples: NDArray[np.int16]


@dataclass(frozen=True)
class Source:
    """A recording: int16 (n,) in units of `uv_per_lsb` µV at `fs_hz`; stretches of it (first, end) may be missing.

    `n_let_go`: how many samples it had, where they aren't held any more.
    """

    database: str
    record: str
    patient: str
    fs_hz: float
    uv_per_lsb: float
    samples: NDArray[np.int16]
    missing: tuple[tuple[int, int], ...] = ()
    n_let_go: int = 0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (len(self.samples) or self.n_let_go) / self.fs_hz

    def without_samples(self) -> "Source":
        """What else is known of it, so that a day of samples isn't held for its name and length."""
        return replace(self, samples=np.empty(0, np.int16), n_let_go=len(self.samples))


def read_source(data: Path, database: str, record: str, patient: str, lead: int | None = None) -> Source:
    """One lead of a WFDB record, by default MLII where there is one, else the first; invalid samples hold the last valid one."""
    folder = data / database / ("training2017" if database == "cinc2017" else "")
    with told_of(database, record):
        read = read_signals(folder, record)
    lead = _lead_of(read) if lead is None else lead
    unit = _unit_of(read, lead, database, record)
    gain = read.adc_gain[lead]
    signal = held(read.p_signal[:, lead] * gain)
    values = np.rint(signal).astype(np.int64)
    samples, uv_per_lsb = from_digital(values, np.zeros(len(values), bool), UV_OF[unit.lower()] / gain)
    return Source(database, record, patient, float(read.fs), uv_per_lsb, samples)


def check_source(data: Path, database: str, record: str) -> None:
    """Raise `BadReference` where a record's header tells that `read_source` can't read it."""
    with told_of(database, record):
        header = check_signals(data / database, record)
    if not hasattr(header, "seg_name"):  # whose segments have headers of their own
        _unit_of(header, _lead_of(header), database, record)


def _lead_of(header: Any) -> int:
    return header.sig_name.index("MLII") if "MLII" in header.sig_name else 0


def _unit_of(header: Any, lead: int, database: str, record: str) -> str:
    unit = str(header.units[lead])
    if unit.lower() not in UV_OF:
        raise BadReference(
            f"{database}/{record}: signal {lead}: expected a voltage ({', '.join(UV_OF)}), found unit {unit!r}"
        )
    return unit


def held(signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """A signal (n,) whose missing values (NaN) are the last known one, 0 before the first."""
    missing = np.isnan(signal)
    if not missing.any():
        return signal
    known = np.maximum.accumulate(np.where(missing, 0, np.arange(signal.size)))
    whole: NDArray[np.floating[Any]] = np.nan_to_num(signal[known])
    return whole


def pieces_of(source: Source) -> Iterator[SourcePiece]:
    """The recording in pieces of `PIECE_S`, without what is missing."""
    step = round(PIECE_S * source.fs_hz)
    starts = [0, *(end for _, end in source.missing)]
    ends = [*(first for first, _ in source.missing), len(source.samples)]
    for start, end in zip(starts, ends, strict=True):
        for first in range(start, end, step):
            samples = source.samples[first : min(first + step, end)]
            yield SourcePiece(first, source.uv_per_lsb, False, samples)


@contextmanager
def told_of(database: str, record: str) -> Iterator[None]:
    """What can't be read of a record becomes `BadReference`."""
    try:
        yield
    except RecordingError as error:
        raise BadReference(f"{database}/{record}: {error}") from error


def read_labels(path: Path) -> dict[str, str]:
    """Record -> N, A, O or ~ of CinC 2017's ``REFERENCE-v3.csv``; blank lines are skipped."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected PhysioNet's challenge-2017 there")
    labels: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        try:
            for row in rows:
                if not "".join(row).strip():
                    continue
                if len(row) != 2:
                    raise BadReference(
                        f"{path}: line {rows.line_num}: expected a record and its label, got {row}"
                    )
                record, label = row
                if label not in CINC_CLASSES:
                    raise BadReference(f"{path}: {record}: expected a label of {CINC_CLASSES}, got {label!r}")
                labels[record] = label
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadReference(f"{path}: expected lines of a record and its label ({error})") from error
    return labels


def read_stored_noise(folder: Path, name: str) -> tuple[NDArray[Any], float]:
    """One of NSTDB's noises in `folder`, as its file has it: (n, channels), rate [Hz].

    From the WFDB record `name` where it is there, else from an archive ``name_*.npz`` that holds it as ``name`` and its
    rate as ``fs``.
    """
    archives = sorted(folder.glob(f"{name}_*.npz"))
    if (folder / f"{name}.hea").exists():
        with told_of(folder.name, name):
            read = read_signals(folder, name)
        return read.p_signal, float(read.fs)
    if not archives:
        raise FileNotFoundError(f"{folder}: neither {name}.hea nor {name}_*.npz there")
    try:
        with archives[0].open("rb") as file, np.load(file) as z:
            values, fs_hz = np.asarray(z[name]), float(z["fs"])
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise BadReference(f"{archives[0]}: expected arrays {name} and fs ({error})") from error
    if values.ndim != 2 or not values.size:
        raise BadReference(
            f"{archives[0]}: {name}: expected an array (n, channels), found shape {values.shape}"
        )
    return values, fs_hz
