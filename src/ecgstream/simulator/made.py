"""Signals that were made or spoilt, written as a WFDB record with their truth as annotations."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.recordings import Recording

MISSING = -32768  # WFDB's mark of a missing sample of 16 bits; no real one may have it


def write(recording: Recording, folder: Path) -> Path:
    """Write the recording as a WFDB record, its annotations as ``.atr``; gives the header's path. What is missing stays so."""
    import wfdb

    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        recording.name,
        fs=recording.fs_hz,
        units=["mV"],
        sig_name=[recording.lead],
        d_signal=_digital(recording).reshape(-1, 1),
        fmt=["16"],
        adc_gain=[1000.0 / recording.uv_per_lsb],
        baseline=[0],
        write_dir=str(folder),
    )
    if recording.annotations:
        wfdb.wrann(
            recording.name,
            "atr",
            np.array([a.sample for a in recording.annotations]),
            [a.symbol for a in recording.annotations],
            aux_note=[a.text for a in recording.annotations],
            write_dir=str(folder),
        )
    return folder / f"{recording.name}.hea"


def _digital(recording: Recording) -> NDArray[np.int64]:
    samples = np.maximum(recording.samples.astype(np.int64), MISSING + 1)
    for start, end in recording.missing:
        samples[start:end] = MISSING
    return samples
