"""How strong the noise of the noise stress test is, and where it stands."""

from pathlib import Path

import numpy as np
import pytest

from ecgstream.evaluation import BadReference
from ecgstream.evaluation.noise_stress import noise_rms, read_noises, stressed
from ecgstream.evaluation.sources import Source

FS_HZ, NOISE_HZ = 200.0, 250.0
SECONDS = np.arange(round(700 * NOISE_HZ)) / NOISE_HZ
HUM = np.sin(2 * np.pi * 20 * SECONDS)
WANDER = 50 * np.sin(2 * np.pi * SECONDS / 100)


def added(noise: np.ndarray, snr_db: float, power: float = 5000.0**2 / 8) -> np.ndarray:
    """What becomes of a flat line of 12 minutes, whose QRS complexes would be 5,000 high."""
    flat = Source("mitdb", "118", "118", FS_HZ, 1.0, np.zeros(round(720 * FS_HZ), np.int16))
    return stressed(flat, power, noise, NOISE_HZ, snr_db).samples.astype(np.float64)


def seconds_rms(x: np.ndarray) -> float:
    return float(np.median(x.reshape(-1, round(FS_HZ)).std(axis=1)))


def test_a_noise_is_as_strong_as_it_is_about_the_mean_of_a_second() -> None:
    assert noise_rms(HUM, NOISE_HZ) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert noise_rms(HUM + WANDER / 50, NOISE_HZ) == pytest.approx(np.sqrt(0.5), rel=0.01)
    spike = np.where(SECONDS < 1, 1000.0, 1.0) * HUM
    assert noise_rms(spike, NOISE_HZ) == pytest.approx(np.sqrt(0.5), rel=0.01), "trimmed"


def test_the_ratio_is_that_of_nst_whatever_wanders() -> None:
    for noise in (HUM, HUM + WANDER / 50, 7 * HUM):
        for snr_db in (6.0, 0.0):
            line = added(noise, snr_db)[round(300 * FS_HZ) : round(420 * FS_HZ)]
            assert 5000 / seconds_rms(line) == pytest.approx(np.sqrt(8) * 10 ** (snr_db / 20), rel=0.03)


def test_noise_stands_in_every_other_two_minutes_and_makes_no_step() -> None:
    line = added(HUM + WANDER, 6.0)
    for start_s, end_s in ((0, 300), (420, 540), (660, 700)):
        assert np.ptp(line[round(start_s * FS_HZ) : round(end_s * FS_HZ) - 1]) == 0
    for start_s, end_s in ((300, 420), (540, 660)):
        assert np.ptp(line[round(start_s * FS_HZ) : round(end_s * FS_HZ)]) > 1000
    longest = np.abs(np.diff(HUM + WANDER)).max() * np.ptp(line) / np.ptp(HUM + WANDER)
    assert np.abs(np.diff(line)).max() < 2 * longest, "nor where the noise begins anew, at 700 s"


def test_what_is_no_noise_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "bw_x.npz", bw=np.zeros((900, 1)), fs=300)
    with pytest.raises(BadReference, match="bw: expected a second of noise"):
        read_noises(tmp_path)
