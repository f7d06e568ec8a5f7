"""The signal's envelope around 13 Hz, by a short complex Gabor wavelet, and the R peak under a maximum of it."""

import numba as nb
import numpy as np
from numpy.typing import NDArray

FS_HZ = 128
HALF = 20  # taps either side of the wavelet's centre
TAPS = 2 * HALF + 1
CENTRE_HZ = 13.0
WIDTH_S = 0.034  # standard deviation of the wavelet's envelope
R_PEAK_HALF = 10  # the R peak is looked for this near to the envelope's maximum


def wavelet() -> NDArray[np.float32]:
    """Real and imaginary part of the wavelet: float32 (2, 41), no gain at 0 Hz; a sine at the centre has its amplitude."""
    t = np.arange(-HALF, HALF + 1) / FS_HZ
    window = np.exp(-0.5 * (t / WIDTH_S) ** 2) * (0.5 + 0.5 * np.cos(np.pi * t * FS_HZ / (HALF + 1)))
    even = np.cos(2 * np.pi * CENTRE_HZ * t) * window
    even -= window * even.sum() / window.sum()
    odd = np.sin(2 * np.pi * CENTRE_HZ * t) * window
    gain = np.abs(np.sum((even + 1j * odd) * np.exp(-2j * np.pi * CENTRE_HZ * t)))
    kernel: NDArray[np.float32] = (np.stack([even, odd]) * 2 / gain).astype(np.float32)
    kernel.setflags(write=False)
    return kernel


@nb.njit(cache=True, nogil=True)
def envelope_of(kernel, line, n):  # type: ignore[no-untyped-def]
    """The envelope at `n` samples of `line` from `HALF` on: float32 (n,)."""
    even, odd = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for k in range(TAPS):
        a, b = kernel[0, k], kernel[1, k]
        for i in range(n):
            even[i] += a * line[k + i]
            odd[i] += b * line[k + i]
    for i in range(n):
        even[i] = np.sqrt(even[i] * even[i] + odd[i] * odd[i])
    return even


@nb.njit(cache=True, nogil=True)
def locate(line, centre):  # type: ignore[no-untyped-def]
    """Where the R peak lies, relative to `centre`, and the largest slope near it."""
    mean = 0.0
    for i in range(centre - 16, centre + 17):
        mean += line[i]
    mean /= 33
    best, at, slope = -1.0, centre, np.float32(0.0)
    for i in range(centre - R_PEAK_HALF, centre + R_PEAK_HALF + 1):
        height = abs(line[i] - mean)
        if height > best:
            best, at = height, i
        slope = max(slope, abs(line[i + 1] - line[i - 1]))
    before, top, after = line[at - 1], line[at], line[at + 1]
    curve = before - 2 * top + after
    shift = 0.0
    if curve != 0:
        shift = min(0.5, max(-0.5, 0.5 * (before - after) / curve))
    return (at - centre) + shift, slope
