"""A heart drawn from Gaussian waves, for what is measured of it."""

import numpy as np

FS_HZ = 128
P_WAVE, QRS, T_WAVE = (
    (-0.16, 0.025, 0.15),
    (0.0, 0.012, 1.0),
    (0.26, 0.05, 0.3),
)  # at (s), width (s), height (mV)
WIDE = ((0.0, 0.045, -1.4), (0.3, 0.06, 0.6))


def drawn(
    beats_s: list[float], wide: tuple[int, ...] = (), with_p: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """30 s of a drawn heart, µV, and its R peaks in samples."""
    t = np.arange(30 * FS_HZ) / FS_HZ
    x = np.random.default_rng(3).normal(0, 0.005, t.size)
    for k, at in enumerate(beats_s):
        waves = WIDE if k in wide else ((P_WAVE,) if with_p else ()) + (QRS, T_WAVE)
        for offset, width, height in waves:
            x += height * np.exp(-0.5 * ((t - at - offset) / width) ** 2)
    return (1000 * x).astype(np.float32), np.array(beats_s) * FS_HZ


REGULAR = [0.5 + 0.8 * k for k in range(36)]
