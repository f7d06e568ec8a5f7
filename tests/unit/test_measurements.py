"""What is measured in a window: known hearts give known figures, and what can't be measured stays unknown."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drawn_heart import FS_HZ, REGULAR, drawn
from ecgstream.measurements import NAMES, measure, one_beat
from ecgstream.measurements.few_values import median, ordered, quantile
from ecgstream.measurements.held import MAX_PEAKS, HeldWindows


def figures(x: np.ndarray, peaks: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, measure(x, peaks).tolist(), strict=True))


def test_a_regular_heart() -> None:
    found = figures(*drawn(REGULAR))
    assert found["seconds"] == 30.0
    assert found["beats_a_second"] == pytest.approx(1.2)
    for name in ("rr_mean", "rr_median", "rr_min", "rr_max"):
        assert found[name] == pytest.approx(0.8, abs=1e-4)
    for name in (
        "rr_sd",
        "rmssd",
        "pnn20",
        "early",
        "late",
        "pauses",
        "turns",
        "qrs_unlike_80",
        "early_unlike",
        "wide_unlike",
    ):
        assert found[name] == pytest.approx(0.0, abs=1e-4), name
    assert found["qrs_alike_min"] > 0.95, "but for the places of samples"
    assert found["polarity"] > 0.9
    assert found["p_max"] == pytest.approx(0.15, abs=0.05)
    assert found["p_at"] == pytest.approx(0.26 - 0.16, abs=0.03)


def test_an_early_wide_beat_with_its_pause_is_ventricular_and_an_early_narrow_one_is_not() -> None:
    beats = [*REGULAR]
    beats[10] -= 0.3
    ventricular = figures(*drawn(beats, wide=(10,)))
    assert [
        ventricular[n] for n in ("early", "compensated", "early_unlike", "early_like", "ventricular_like")
    ] == [1, 1, 1, 0, 1]
    assert ventricular["early_width"] > 0.03
    assert ventricular["wide_unlike"] == 1
    atrial = figures(*drawn(beats))
    assert [atrial[n] for n in ("early", "early_unlike", "early_like", "ventricular_like")] == [1, 0, 1, 0]
    assert atrial["early_width"] == pytest.approx(0.0, abs=0.01)


def test_fibrillation_is_irregular_and_has_no_p_wave() -> None:
    rr = np.random.default_rng(5).uniform(0.45, 1.1, 34)
    irregular = list(0.5 + np.cumsum(rr))
    irregular = [at for at in irregular if at < 29]
    fibrillating, sinus = figures(*drawn(irregular, with_p=False)), figures(*drawn(REGULAR))
    for name in ("rmssd", "pnn50", "cos_en", "rr_entropy", "sd1_to_sd2", "turns"):
        assert fibrillating[name] > sinus[name], name
    assert fibrillating["p_to_noise"] < sinus["p_to_noise"] - 1
    t = np.arange(30 * FS_HZ) / FS_HZ
    x, peaks = drawn(irregular, with_p=False)
    with_f_waves = figures((x + 60 * np.sin(2 * np.pi * 6 * t)).astype(np.float32), peaks)
    assert with_f_waves["rest_f_waves"] > fibrillating["rest_f_waves"] + 1


def test_gain_does_not_matter_nor_where_peaks_outside_are() -> None:
    x, peaks = drawn(REGULAR)
    plain = measure(x, peaks)
    np.testing.assert_allclose(measure(4 * x, peaks), plain, rtol=0.05, atol=0.05)
    np.testing.assert_array_equal(measure(x, np.concatenate([[-50.0], peaks, [x.size + 3.0]])), plain)


@pytest.mark.parametrize("n_peaks", [0, 1, 2, 4, 5])
def test_what_cannot_be_measured_is_unknown(n_peaks: int) -> None:
    x, peaks = drawn(REGULAR)
    found = figures(x[: 10 * FS_HZ], peaks[:n_peaks])
    assert np.isnan(found["rr_mean"]) == (n_peaks < 5), "four intervals at least"
    assert np.isnan(found["p_max"]) == (n_peaks < 4), "four beats at least"
    assert not np.isnan(found["kurtosis"])
    level = figures(np.zeros(10 * FS_HZ, np.float32), np.empty(0))
    assert not np.isinf(list(level.values())).any()


def test_held_windows_are_those_of_the_stream_whoever_shares_them() -> None:
    x, peaks = drawn(REGULAR)
    held = HeldWindows(3, 12)
    other = np.random.default_rng(0).normal(0, 100, x.size).astype(np.float32)
    for s in range(30):
        blocks = np.stack([other[s * FS_HZ : (s + 1) * FS_HZ], x[s * FS_HZ : (s + 1) * FS_HZ]])
        # a beat is told a second after its peak
        new = peaks[(peaks >= (s - 1) * FS_HZ) & (peaks < s * FS_HZ)]
        held.push(np.array([0, 2]), blocks, [np.empty(0), new])
    [found] = held.measured(np.array([2]))
    start = 18 * FS_HZ
    np.testing.assert_array_equal(found, measure(x[start:], peaks[peaks < 29 * FS_HZ] - start))
    held.reset(2)
    held.push(np.array([2]), x[None, :FS_HZ], [np.empty(0)])
    [fresh] = held.measured(np.array([2]))
    np.testing.assert_array_equal(fresh, measure(x[:FS_HZ], np.empty(0)))


def test_more_peaks_than_a_heart_has_forget_the_earliest() -> None:
    held = HeldWindows(1, 30)
    for s in range(30):
        held.push(np.array([0]), np.zeros((1, FS_HZ), np.float32), [s * FS_HZ + np.arange(0.0, 128.0, 16.0)])
    [found] = held.measured(np.array([0]))
    assert found[NAMES.index("beats_a_second")] == pytest.approx(MAX_PEAKS / 30)


def test_order_and_quantiles() -> None:
    values = np.random.default_rng(2).normal(0, 1, 37)
    np.testing.assert_array_equal(ordered(values), np.sort(values))
    for q in (0.0, 0.05, 0.5, 0.95, 1.0):
        assert quantile(np.sort(values), q) == pytest.approx(np.quantile(values, q))
    assert median(values) == np.median(values)


def test_compiled_kernels_are_the_python_functions(tmp_path: Path) -> None:
    x, peaks = drawn([at for at in REGULAR if at < 10], wide=(3, 5))
    np.savez(tmp_path / "window.npz", x=x[: 10 * FS_HZ], peaks=peaks)
    code = (
        "import sys, numpy as np; from ecgstream.measurements import measure, one_beat;"
        "z = np.load(sys.argv[1]); of_beats = np.empty((z['peaks'].size, len(one_beat.NAMES)));"
        "one_beat.measure_beats(z['x'], z['peaks'], of_beats);"
        "np.savez(sys.argv[2], of_window=measure(z['x'], z['peaks']), of_beats=of_beats)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "window.npz"), str(tmp_path / "found.npz")]
    subprocess.run(command, check=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})
    of_beats = np.empty((peaks.size, len(one_beat.NAMES)))
    one_beat.measure_beats(x[: 10 * FS_HZ], peaks, of_beats)
    with np.load(tmp_path / "found.npz") as in_python:
        np.testing.assert_allclose(
            measure(x[: 10 * FS_HZ], peaks), in_python["of_window"], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(of_beats, in_python["of_beats"], rtol=1e-5, atol=1e-6)
