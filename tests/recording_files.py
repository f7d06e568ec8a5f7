"""One wave, written as each kind of file that a recording may come in."""

import struct
from pathlib import Path

import numpy as np
import pytest

edfio = pytest.importorskip("edfio")
wfdb = pytest.importorskip("wfdb")

FS_HZ = 300.0
WAVE_UV = np.round(800.0 * np.sin(np.arange(900) / 7.0)) + np.arange(900) % 5


def write_wfdb(
    folder: Path,
    name: str = "r1",
    values: np.ndarray | None = None,
    fs_hz: float = FS_HZ,
    gain: float = 1000.0,
) -> Path:
    digital = np.asarray(WAVE_UV if values is None else values, dtype=np.int64).reshape(-1, 1)
    wfdb.wrsamp(
        name, fs=fs_hz, units=["mV"], sig_name=["II"], d_signal=digital, fmt=["16"], adc_gain=[gain],
        baseline=[0], write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{name}.hea"


def write_edf(path: Path, unit: str = "uV", notes: tuple[str, ...] = ("felt it",)) -> Path:
    signal = edfio.EdfSignal(
        WAVE_UV, FS_HZ, label="ECG II", physical_dimension=unit, physical_range=(-2000, 2000)
    )
    told = [edfio.EdfAnnotation(1.0 + k, None, note) for k, note in enumerate(notes)]
    edfio.Edf([signal], annotations=told).write(path)
    return path


def atc_block(name: bytes, content: bytes) -> bytes:
    block = name + struct.pack("<I", len(content)) + content
    return block + struct.pack("<I", sum(block))


def atc_bytes(*leads: bytes) -> bytes:
    info = b"2024-05-06T07:08:09.000+02:00".ljust(32, b"\0") + bytes(232)
    samples = (WAVE_UV * 2).astype("<i2").tobytes()
    blocks = [atc_block(b"info", info), atc_block(b"fmt ", struct.pack("<BHHBH", 1, 300, 500, 0, 0))]
    return (
        b"ALIVE\0\0\0"
        + struct.pack("<I", 2)
        + b"".join([*blocks, *(atc_block(lead, samples) for lead in leads)])
    )


def apple_text(comma: bool = False) -> str:
    def number(v: float) -> str:
        return f"{v:.3f}".replace(".", ",") if comma else f"{v:.3f}"

    header = (
        ["Name,Ada", 'Geburtsdatum,"10.12.1815"', "Aufnahmedatum,2024-01-02 03:04:05 +0100", "Klassifizierung,Sinusrhythmus",
         'Abtastrate,"512,41 Hertz"', "", "Ableitung,Ableitung I", "Einheit,µV", ""]
        if comma
        else ["Name,Ada", "Recorded Date,2024-01-02 03:04:05 +0100", 'Device,"Watch6,2"', "Sample Rate,512 hertz", "", "",
              "Lead,Lead I", "Unit,µV", ""]
    )  # fmt: skip
    return "\n".join([*header, *(number(v) for v in WAVE_UV)]) + "\n"


def polar_text() -> str:
    lines = ["Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"]
    for i, value in enumerate(WAVE_UV):
        at_ns = 599_616_000_000_000_000 + round((i + (50 if i >= 500 else 0)) * 1e9 / 130.0)
        lines.append(
            f"2024-01-02T03:04:05.{i % 1000:03d};{at_ns};{(at_ns - 599_616_000_000_000_000) / 1e6:.3f};{value:.0f}"
        )
    return "\n".join(lines)
