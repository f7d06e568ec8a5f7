"""Noise as wearables have it: real, from the Noise Stress Test Database where it is at hand, else modelled.

Real noise (``ECGSTREAM_DATA/nstdb``, Moody et al. 1984): `bw` baseline wander, `ma` muscle artefact, `em` electrode
motion, at a random place. The models: wander is white noise below 0.5 Hz; muscle is white noise between 20 and
100 Hz with a strength that swells within seconds; motion is wander up to 5 Hz with steps that decay, as an
electrode gives that is moved.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RECORDS = {"wander": "bw", "muscle": "ma", "motion": "em"}
REAL_FS_HZ = 360.0


def noise(
    kind: str, n_samples: int, fs_hz: float, rng: np.random.Generator, real: bool | None = None
) -> NDArray[np.float64]:
    """`n_samples` of noise at `fs_hz`: float64 (n_samples,), no unit, mean 0.

    `kind`: wander, muscle or motion. `real`: from the database (True; raises FileNotFoundError without it), modelled (False),
    or as it comes.
    """
    file = None if real is False else _find(RECORDS[kind])
    if file is not None:
        return _real(file, n_samples, fs_hz, rng)
    if real:
        raise FileNotFoundError(f"ECGSTREAM_DATA: no noise recording nstdb/{RECORDS[kind]}")
    return _MODELS[kind](n_samples, fs_hz, rng)


def _real(file: Path, n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    source = _load(file)
    n_source = int(np.ceil(n_samples * REAL_FS_HZ / fs_hz)) + 2
    start = int(rng.integers(len(source)))
    part = np.take(source, np.arange(start, start + n_source), mode="wrap")
    if fs_hz < REAL_FS_HZ:
        part = _band(part, REAL_FS_HZ, 0.0, 0.45 * fs_hz)
    values = np.interp(np.arange(n_samples) * (REAL_FS_HZ / fs_hz), np.arange(n_source), part)
    centred: NDArray[np.float64] = values - values.mean()
    return centred


def _find(record: str) -> Path | None:
    """The noise record below `ECGSTREAM_DATA`; `em` also as an archive of arrays, where it had to be reconstructed."""
    folder = os.environ.get("ECGSTREAM_DATA")
    if not folder:
        return None
    database = Path(folder).expanduser() / "nstdb"
    found = [database / f"{record}.hea", *sorted(database.glob(f"{record}_*.npz"))]
    return next((file for file in found if file.is_file()), None)


@lru_cache(maxsize=4)
def _load(file: Path) -> NDArray[np.float64]:
    if file.suffix == ".npz":
        values = np.load(file)[file.stem.split("_")[0]]
        return np.asarray(values[:, 0], dtype=np.float64)
    from ecgstream.recordings import read_recording

    return read_recording(file).samples.astype(np.float64)


def _wander(n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return _band(rng.standard_normal(n), fs_hz, 0.05, 0.5)


def _muscle(n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    swelling = np.exp(_unit(_band(rng.standard_normal(n), fs_hz, 0.0, 0.5)) * 0.5)
    return _unit(_band(rng.standard_normal(n), fs_hz, 20.0, 100.0)) * swelling


def _motion(n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    slow = _unit(_band(rng.standard_normal(n), fs_hz, 0.1, 5.0))
    steps = np.zeros(n)
    for at in rng.integers(0, max(1, n), rng.poisson(n / fs_hz / 2.0)):
        length = n - at
        steps[at:] += rng.normal(0.0, 3.0) * np.exp(-np.arange(length) / (fs_hz * rng.uniform(0.1, 0.6)))
    values: NDArray[np.float64] = slow + steps
    centred: NDArray[np.float64] = values - values.mean()
    return centred


def _band(values: NDArray[np.float64], fs_hz: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Keep the band `low_hz` to `high_hz`, by the spectrum of the whole stretch."""
    spectrum = np.fft.rfft(values)
    f_hz = np.fft.rfftfreq(len(values), 1.0 / fs_hz)
    spectrum[(f_hz < low_hz) | (f_hz > high_hz)] = 0.0
    kept: NDArray[np.float64] = np.fft.irfft(spectrum, len(values))
    return kept


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = float(values.std())
    return values / spread if spread > 0 else values


_MODELS = {"wander": _wander, "muscle": _muscle, "motion": _motion}
