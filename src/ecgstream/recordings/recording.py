"""What every reader gives, and how physical values become int16."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor, log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import MAX_FS_HZ, MIN_FS_HZ

SMALLEST_STEP_UV = 0.01
MAX_UV_PER_LSB = 1000.0  # as much as a chunk may say
FULL_SCALE = 32_000  # leaves room below int16's end, so that no sample reads as clipped
MAX_LEAD = 16
MAX_ZERO = 2**32  # a digital zero beyond it would leave int64 no room
MAX_SAMPLES = 1_000_000_000
LAST_US = 2**53  # of what a chunk's time may be


class RecordingError(ValueError):
    """A recording that can't be read. Its text names the file, the place and what was expected there."""

    def __init__(self, file: Path | str, place: str, expected: str) -> None:
        self.file, self.place, self.expected = str(file), place, expected
        super().__init__(f"{file}: {place}: {expected}")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation of a recording: a beat's or event's symbol and its text, as WFDB has them."""

    sample: int
    symbol: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """One lead of one recording.

    `samples`: int16 (n_samples,), in units of `uv_per_lsb` µV. `start_us`: UTC time of sample 0 [µs], None where
    it isn't known. `annotations`: None where there are none to read. `missing`: half-open spans of samples
    that the recording doesn't hold, in order; what stands there means nothing.
    """

    name: str
    fs_hz: float
    lead: str
    uv_per_lsb: float
    samples: NDArray[np.int16]
    start_us: int | None = None
    annotations: tuple[Annotation, ...] | None = None
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def duration_s(self) -> float:
        """How long the recording is [s]."""
        return len(self.samples) / self.fs_hz


def from_microvolts(
    values_uv: NDArray[np.float64], name: str, fs_hz: float, lead: str, start_us: int | None = None
) -> Recording:
    """A recording from physical values, float64 (n_samples,) µV; NaN where a sample is missing."""
    samples, uv_per_lsb = digitised(values_uv)
    missing = spans(~np.isfinite(values_uv))
    return Recording(name, fs_hz, lead, uv_per_lsb, samples, start_us, missing=missing)


def digitised(values_uv: NDArray[np.float64]) -> tuple[NDArray[np.int16], float]:
    """Physical values, float64 (n_samples,) µV, as int16 and their unit [µV]; 0 where a value is missing (NaN).

    The unit is the finest of 1, 2, 5 × 10^k µV that holds the largest value, 0.01 µV at the finest; whole values keep
    1 µV where that does.
    """
    known = np.isfinite(values_uv)
    peak = float(np.abs(values_uv[known]).max(initial=0.0))
    step = _step_uv(peak)
    if step < 1.0 and bool(np.all(values_uv[known] == np.round(values_uv[known]))):
        step = 1.0
    samples = np.zeros(len(values_uv), dtype=np.int16)
    samples[known] = np.round(values_uv[known] / step).astype(np.int16)
    return samples, step


def from_digital(
    values: NDArray[np.int64], missing: NDArray[np.bool_], uv_per_lsb: float
) -> tuple[NDArray[np.int16], float]:
    """Digital values as int16 and their unit [µV]; rescaled only where int16 is too small for them."""
    kept = np.where(missing, 0, values)
    peak = int(np.abs(kept).max(initial=0))
    if peak > 32767:
        factor = ceil(peak / FULL_SCALE)
        return np.round(kept / factor).astype(np.int16), uv_per_lsb * factor
    return kept.astype(np.int16), uv_per_lsb


def spans(flags: NDArray[np.bool_] | Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """Half-open spans in which `flags` hold: bool (n_samples,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=np.int8), [0]])))
    return tuple((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def checked_rate(file: Path | str, place: str, fs_hz: float) -> float:
    """The rate [Hz], where the monitor reads such; raises `RecordingError` otherwise."""
    if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
        raise RecordingError(
            file,
            place,
            f"expected a sampling rate of {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz, found {fs_hz:g} Hz; resample it",
        )
    return float(fs_hz)


def checked_unit(file: Path | str, place: str, uv_per_lsb: float) -> float:
    """The unit of the samples [µV], where a chunk may have it; raises `RecordingError` otherwise."""
    if not 0.0 < uv_per_lsb <= MAX_UV_PER_LSB:
        raise RecordingError(
            file,
            place,
            f"expected samples in steps above 0 and up to {MAX_UV_PER_LSB:g} µV, found steps of {uv_per_lsb:g} µV",
        )
    return float(uv_per_lsb)


def checked_zero(file: Path | str, place: str, zero: float) -> int:
    """The digital value of 0 µV; raises `RecordingError` where no converter could have it."""
    if not abs(zero) <= MAX_ZERO:
        raise RecordingError(file, place, f"expected a digital zero of 32 bits, found {zero:g}")
    return round(zero)


def lead_name(text: str) -> str:
    """A lead's name as a chunk may have it: the letters of `text` that can be printed, 16 at most; ``I`` where there is none."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:MAX_LEAD] or "I"


def utc_us(at: datetime) -> int | None:
    """A date as UTC [µs], taken as UTC where it names no zone; None where no device's clock could show it."""
    us = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6)
    return us if 0 <= us <= LAST_US else None


@contextmanager
def reading(file: Path | str, place: str, expected: str) -> Iterator[None]:
    """Whatever a format's library raises on a file that isn't what it says becomes `RecordingError`, in one line."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:  # libraries raise anything there
        raise RecordingError(file, place, f"{expected} ({in_a_line(error)})") from error


def in_a_line(error: BaseException) -> str:
    """An error's type and text."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _step_uv(peak_uv: float) -> float:
    least = max(peak_uv / FULL_SCALE, SMALLEST_STEP_UV)
    decade = 10.0 ** floor(log10(least) + 1e-9)
    return next(round(m * decade, 12) for m in (1, 2, 5, 10) if m * decade >= least * (1 - 1e-9))
