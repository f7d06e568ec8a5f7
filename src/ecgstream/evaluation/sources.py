"""Recordings as they are streamed: one lead, in pieces, with what is missing left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import wfdb
from numpy.typing import NDArray

PIECE_S = 10


class SourcePiece(NamedTuple):
    first_sample: int
    uv_per_lsb: float
    lead_off: bool
    samples: NDArray[np.int16]


@dataclass(frozen=True)
class Source:
    """A recording: int16 (n,) in units of `uv_per_lsb` µV at `fs_hz`; stretches of it (first, end) may be missing."""

    database: str
    record: str
    patient: str
    fs_hz: float
    uv_per_lsb: float
    samples: NDArray[np.int16]
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.fs_hz


def read_source(data: Path, database: str, record: str, patient: str) -> Source:
    """One lead of a WFDB record: MLII where there is one, else the first; invalid samples hold the last
    valid one.
    """
    folder = data / database / ("training2017" if database == "cinc2017" else "")
    read = wfdb.rdrecord(str(folder / record))
    lead = read.sig_name.index("MLII") if "MLII" in read.sig_name else 0
    gain = read.adc_gain[lead]
    signal = read.p_signal[:, lead] * gain
    missing = np.isnan(signal)
    if missing.any():
        last_known = np.maximum.accumulate(np.where(missing, 0, np.arange(len(signal))))
        signal = np.nan_to_num(signal[last_known])
    samples = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    uv_per_unit = {"mV": 1000.0, "uV": 1.0, "V": 1e6}[read.units[lead]]
    return Source(database, record, patient, float(read.fs), uv_per_unit / gain, samples)


def pieces_of(source: Source) -> Iterator[SourcePiece]:
    """The recording in pieces of `PIECE_S`, without what is missing."""
    step = round(PIECE_S * source.fs_hz)
    starts = [0, *(end for _, end in source.missing)]
    ends = [*(first for first, _ in source.missing), len(source.samples)]
    for start, end in zip(starts, ends, strict=True):
        for first in range(start, end, step):
            samples = source.samples[first : min(first + step, end)]
            yield SourcePiece(first, source.uv_per_lsb, False, samples)
