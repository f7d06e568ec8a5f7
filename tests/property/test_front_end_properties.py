"""The front end, stage by stage and whole: how samples are cut changes nothing, and what a signal is worth is said."""

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgstream import filtering, resampling
from ecgstream.frontend import Block, FrontEnd
from ecgstream.messages import Quality, Reason

signal = pytest.importorskip("scipy.signal")

RATES = (100.0, 129.98, 250.0, 360.0, 512.41, 1000.0)
LSB_UV = 2.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A piece of a stream, as the front end reads it."""

    first_sample: int
    samples: NDArray[np.int16]
    uv_per_lsb: float = LSB_UV
    lead_off: bool = False


def peaks(n_seconds: int, rr_s: float = 0.8) -> Floats:
    return np.arange(0.4, n_seconds - 0.2, rr_s)


def heart(times_s: Floats, n_seconds: int, fs_hz: float, noise_uv: float = 5.0, seed: int = 0) -> Floats:
    """P, QRS and T waves [µV] around given R peaks, with a little white noise."""
    t = np.arange(int(n_seconds * fs_hz)) / fs_hz
    x = np.random.default_rng(seed).normal(0, noise_uv, t.size)
    for r in times_s:
        for height, at, width in (
            (1000, 0, 0.011),
            (-150, 0.028, 0.01),
            (220, 0.27, 0.05),
            (90, -0.17, 0.02),
        ):
            x += height * np.exp(-((t - r - at) ** 2) / (2 * width**2))
    return x


def as_samples(x_uv: Floats, uv_per_lsb: float = LSB_UV) -> NDArray[np.int16]:
    return np.clip(np.rint(x_uv / uv_per_lsb), -32768, 32767).astype(np.int16)


def cut(n: int, seed: int) -> list[tuple[int, int]]:
    """Cuts of `n` samples: none, one, a few, seconds."""
    rng, edges = random.Random(seed), [0]
    while edges[-1] < n:
        edges.append(min(n, edges[-1] + rng.choice([0, 1, 3, 60, 250, 1000, 4000])))
    return list(pairwise(edges))


def run(parts: list[Part], fs_hz: float) -> list[Block]:
    front_end = FrontEnd(1)
    front_end.start(0, fs_hz, parts[0].first_sample)
    blocks = [block for part in parts for block in front_end.feed([(0, part)])]
    return blocks + front_end.finish(0)


def whole(samples: NDArray[np.int16], fs_hz: float, **fields: float) -> list[Block]:
    """The blocks of a recording in pieces of a second."""
    step = round(fs_hz)
    return run([Part(a, samples[a : a + step], **fields) for a in range(0, samples.size, step)], fs_hz)  # type: ignore[arg-type]


def beats_s(blocks: list[Block]) -> Floats:
    return np.sort(np.concatenate([block.beats for block in blocks])) / 128


def told(block: Block) -> tuple[object, ...]:
    line = None if block.signal is None else block.signal.tobytes()
    return (
        block.index,
        line,
        block.beats.tolist(),
        block.quality,
        block.reasons,
        block.silent_s,
        block.mains_hz,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), fs_hz=st.sampled_from(RATES))
def test_any_cutting_gives_the_same_blocks(seed: int, fs_hz: float) -> None:
    samples = as_samples(heart(peaks(25), 25, fs_hz, noise_uv=40.0, seed=seed))
    samples.flags.writeable = False
    parts = [Part(a, samples[a:b]) for a, b in cut(samples.size, seed)]
    found = [told(block) for block in run(parts, fs_hz)]
    assert len(found) == 25
    assert found == [told(block) for block in whole(samples, fs_hz)]


def test_a_chunk_of_a_minute_is_graded_as_its_seconds_are() -> None:
    n, fs_hz = 60, 250.0
    x = heart(peaks(n), n, fs_hz)
    t = np.arange(x.size) / fs_hz
    x += np.where((t >= 10) & (t < 20), 100 * np.sin(2 * np.pi * 50 * t), 0)
    samples = as_samples(x)
    samples[int(30 * fs_hz) : int(32 * fs_hz)] = 32767
    samples.flags.writeable = False
    found = whole(samples, fs_hz)
    assert {block.index for block in found if block.mains_hz} == set(range(12, 22))
    assert {block.index for block in found if block.quality is Quality.UNREADABLE} >= {30, 31}
    assert [told(block) for block in run([Part(0, samples)], fs_hz)] == [told(block) for block in found]


def resampled(x: NDArray[np.float32], fs_hz: float, cuts: list[tuple[int, int]]) -> NDArray[np.float32]:
    state = np.zeros(1, resampling.STATE)
    resampling.start(state[0], fs_hz, 0)
    out, n = np.empty(int(x.size * 128 / fs_hz) + 64, np.float32), 0
    for a, b in cuts:
        n += resampling.step(state[0], resampling.phase_table(fs_hz), a, x[a:b], b == x.size, out[n:])
    return out[:n]


def filtered(x: NDArray[np.float32], cuts: list[tuple[int, int]]) -> NDArray[np.float32]:
    state = np.zeros(1, filtering.STATE)
    filtering.start(state[0], 0)
    out, n = np.empty(x.size + filtering.TAPS, np.float32), 0
    for a, b in cuts:
        n += filtering.step(state[0], filtering.band_pass(), x[a:b], b == x.size, out[n:])
    return out[:n]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), fs_hz=st.sampled_from(RATES))
def test_each_linear_stage_is_blind_to_cuts(seed: int, fs_hz: float) -> None:
    x = np.random.default_rng(seed).normal(0, 300, int(6 * fs_hz)).astype(np.float32)
    cuts = [part for part in cut(x.size, seed) if part[0] < part[1]]
    np.testing.assert_array_equal(resampled(x, fs_hz, cuts), resampled(x, fs_hz, [(0, x.size)]))
    np.testing.assert_array_equal(filtered(x, cuts), filtered(x, [(0, x.size)]))


def test_the_filter_is_scipys_convolution() -> None:
    x = np.random.default_rng(1).normal(0, 300, 3000).astype(np.float32)
    expected = signal.convolve(x.astype(np.float64), filtering.band_pass().astype(np.float64), mode="same")
    inner = slice(filtering.DELAY, x.size - filtering.DELAY)
    np.testing.assert_allclose(filtered(x, [(0, x.size)])[inner], expected[inner], atol=0.02)


@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
def test_the_resampler_agrees_with_scipys_within_the_band(fs_hz: float) -> None:
    t = np.arange(int(8 * fs_hz)) / fs_hz
    x = 500 * np.sin(2 * np.pi * 3 * t) + 200 * np.sin(2 * np.pi * 17 * t + 1)
    expected = signal.resample_poly(x, 128, int(fs_hz))
    found = resampled(x.astype(np.float32), fs_hz, [(0, x.size)])
    inner = slice(128, 7 * 128)
    np.testing.assert_allclose(found[inner], expected[inner], atol=5)  # 1 % of 500


@pytest.mark.parametrize("fs_hz", RATES)
def test_a_constant_stays_constant_and_is_no_signal(fs_hz: float) -> None:
    x = np.full(int(5 * fs_hz), 1234.0, np.float32)
    line = resampled(x, fs_hz, [(0, x.size)])
    np.testing.assert_allclose(line, 1234.0, rtol=1e-6)
    np.testing.assert_allclose(filtered(line, [(0, line.size)]), 0.0, atol=0.05)


@pytest.mark.parametrize("fs_hz", RATES)
def test_r_peaks_are_found_where_they_are_at_every_rate(fs_hz: float) -> None:
    truth = peaks(40, rr_s=0.83)
    found = beats_s(whole(as_samples(heart(truth, 40, fs_hz)), fs_hz))
    assert len(found) == len(truth)
    assert np.abs(found - truth).max() < 0.006


@pytest.mark.parametrize("gain", [0.01, 0.1, 10.0, 100.0])
def test_gain_and_offset_change_no_beat(gain: float) -> None:
    samples = as_samples(heart(peaks(30), 30, 250.0))
    expected = beats_s(whole(samples, 250.0))
    np.testing.assert_allclose(beats_s(whole(samples, 250.0, uv_per_lsb=LSB_UV * gain)), expected, atol=1e-3)
    np.testing.assert_allclose(beats_s(whole(samples + 3000, 250.0)), expected, atol=1e-3)


def test_a_turned_electrode_changes_no_beat() -> None:
    samples = as_samples(heart(peaks(30), 30, 250.0))
    upright, turned = beats_s(whole(samples, 250.0)), beats_s(whole(-samples, 250.0))
    np.testing.assert_allclose(turned, upright, atol=0.03)


def test_tall_t_waves_are_no_beats() -> None:
    truth = peaks(40, rr_s=1.0)
    t = np.arange(40 * 250) / 250
    tall = sum(600 * np.exp(-((t - r - 0.3) ** 2) / (2 * 0.045**2)) for r in truth)
    found = beats_s(whole(as_samples(heart(truth, 40, 250.0) + tall), 250.0))
    assert len(found) == len(truth)


def test_a_small_beat_among_tall_ones_is_searched_back() -> None:
    truth = peaks(40, rr_s=0.9)
    x = heart(np.delete(truth, 25), 40, 250.0) + 0.35 * heart(truth[25:26], 40, 250.0, noise_uv=0.0)
    assert np.abs(beats_s(whole(as_samples(x), 250.0)) - truth[25]).min() < 0.02


def test_silence_is_noticed_by_the_clock() -> None:
    truth = peaks(40)
    truth = truth[truth < 25]
    blocks = whole(as_samples(heart(truth, 40, 250.0)), 250.0)
    assert blocks[24].silent_s is not None
    assert blocks[24].silent_s < 1.0
    for block in blocks[27:35]:
        assert block.silent_s == pytest.approx(block.index + 1 - truth[-1], abs=0.05)


def parts_of(x: Floats, **fields: float) -> list[Part]:
    samples = as_samples(x)
    return [Part(a, samples[a : a + 250], **fields) for a in range(0, samples.size, 250)]  # type: ignore[arg-type]


def grades(blocks: list[Block], begin: int, end: int) -> tuple[set[Quality], set[Reason]]:
    chosen = blocks[begin:end]
    return {b.quality for b in chosen}, {reason for b in chosen for reason in b.reasons}


def test_a_clean_signal_is_fully_readable() -> None:
    assert grades(run(parts_of(heart(peaks(40), 40, 250.0)), 250.0), 15, 38)[0] == {Quality.FULL}


def test_each_trouble_has_its_name() -> None:
    clean = heart(peaks(40), 40, 250.0)
    t = np.arange(clean.size) / 250
    rng = np.random.default_rng(5)
    flat = np.where(t < 20, clean, clean[20 * 250])
    clipped = np.clip(np.where(t < 20, clean, clean + 60000 * np.sin(7 * t)), -30000, 30000)
    hum = clean + 150 * np.sin(2 * np.pi * 50 * t)
    noise = rng.normal(0, 1, clean.size)
    muscle = clean + np.where(
        t < 20, 0, signal.sosfilt(signal.butter(4, 20, "high", fs=250, output="sos"), noise) * 900
    )
    slow = signal.sosfilt(signal.butter(2, [1, 7], "band", fs=250, output="sos"), noise) * 4000
    motion = clean + np.where(t < 20, 0, slow)
    for x, reason, worst in (
        (flat, Reason.FLAT, Quality.UNREADABLE),
        (clipped, Reason.CLIPPED, Quality.UNREADABLE),
        (hum, Reason.MAINS, Quality.FULL),
        (muscle, Reason.MUSCLE, Quality.UNREADABLE),
        (motion, Reason.MOTION, Quality.UNREADABLE),
        (motion, Reason.DETECTORS_DISAGREE, Quality.UNREADABLE),
    ):
        found, reasons = grades(run(parts_of(x), 250.0), 24, 38)
        assert reason in reasons, reason
        assert worst in found, reason


def test_lead_off_and_gaps_are_unreadable_while_they_last() -> None:
    parts = parts_of(heart(peaks(40), 40, 250.0))
    off = [Part(p.first_sample, p.samples, lead_off=20 <= k < 24) for k, p in enumerate(parts)]
    blocks = run(off, 250.0)
    assert all(Reason.LEAD_OFF in b.reasons and b.quality is Quality.UNREADABLE for b in blocks[20:24])
    assert blocks[30].quality is Quality.FULL
    blocks = run([p for k, p in enumerate(parts) if not 20 <= k < 24], 250.0)
    assert [b.index for b in blocks] == list(range(40))
    assert all(b.signal is None and b.reasons == (Reason.GAP,) for b in blocks[20:24])
    assert blocks[38].quality is Quality.FULL


def test_an_electrode_that_lets_go_and_settles_is_no_silence() -> None:
    truth = peaks(40)
    t = np.arange(40 * 250) / 250
    x = heart(truth[(truth < 20) | (truth > 26)], 40, 250.0)
    x += np.where(t > 20, 3000 * np.exp(-(t - 20) / 1.5), 0)
    blocks = run(parts_of(x), 250.0)
    assert all(b.quality is Quality.UNREADABLE and Reason.MOTION in b.reasons for b in blocks[22:24])
    assert all(b.silent_s is None or b.silent_s < 4.0 for b in blocks)
