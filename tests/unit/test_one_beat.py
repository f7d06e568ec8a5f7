"""What is measured of one beat among those around it."""

import numpy as np
import pytest

from drawn_heart import FS_HZ, REGULAR, drawn
from ecgstream.measurements.held import HeldWindows
from ecgstream.measurements.one_beat import AFTER_S, NAMES, measure_beat, measure_beats

EARLY = 20  # place of the beat that comes before its time


def figures(x: np.ndarray, peaks: np.ndarray, k: int) -> dict[str, float]:
    out = np.empty(len(NAMES))
    measure_beat(x, peaks, k, out)
    return dict(zip(NAMES, out.tolist(), strict=True))


def with_an_early_beat(**how: object) -> tuple[np.ndarray, np.ndarray]:
    beats = [*REGULAR]
    beats[EARLY] -= 0.3
    return drawn(beats, **how)  # type: ignore[arg-type]


def test_a_beat_like_all_others() -> None:
    found = figures(*drawn(REGULAR), EARLY)
    for name in (
        "prev_median",
        "next_median",
        "prev_next",
        "pair_median",
        "prev_before",
        "early_share",
        "p_moved",
    ):
        assert found[name] == pytest.approx(0.0, abs=0.01), name
    for name in ("beat_alike", "qrs_alike", "p_alike", "t_alike", "like_share", "t_before_alike"):
        assert found[name] > 0.95, name
    assert found["qrs_width"] == pytest.approx(found["qrs_width_usual"], abs=0.01)


def test_an_early_wide_beat() -> None:
    found = figures(*with_an_early_beat(wide=(EARLY,)), EARLY)
    assert found["prev_median"] == pytest.approx(np.log(0.5 / 0.8), abs=0.01)
    assert found["next_median"] == pytest.approx(np.log(1.1 / 0.8), abs=0.01)
    assert found["pair_median"] == pytest.approx(0.0, abs=0.01), "a full compensatory pause"
    assert found["prev_rank"] == 0.0
    assert found["qrs_alike"] < 0.5
    assert found["qrs_alike_before"] < 0.5
    assert found["like_share"] == 0.0
    assert found["width_usual"] > 0.3
    assert found["polarity"] < 0


def test_an_early_beat_whose_p_wave_stands_on_the_t_wave_before_it() -> None:
    x, peaks = with_an_early_beat(with_p=True)
    early, usual = figures(x, peaks, EARLY), figures(x, peaks, EARLY - 3)
    assert early["qrs_alike"] > 0.9
    assert early["p_alike"] < usual["p_alike"] - 0.1
    assert early["t_before_most"] > 3 * usual["t_before_most"]
    assert early["like_early"] == 0.0, "the beats that look like it aren't early"


def test_neither_gain_nor_rate_says_what_a_beat_is() -> None:
    x, peaks = with_an_early_beat(wide=(EARLY,))
    once, loud = figures(x, peaks, EARLY), figures(8 * x, peaks, EARLY)
    np.testing.assert_allclose(list(loud.values()), list(once.values()), atol=0.03)


def test_what_is_not_known_is_nan() -> None:
    x, peaks = drawn(REGULAR)
    assert np.isnan(list(figures(x, peaks[:3], 1).values())).all(), "too few beats"
    last = figures(x[: int(peaks[-1]) + 10], peaks, len(peaks) - 1)
    assert np.isnan(last["qrs_alike"]), "it isn't seen whole"
    assert np.isnan(last["next_median"])
    assert last["prev_median"] == pytest.approx(0.0, abs=0.01)


def test_a_stream_measures_what_a_whole_recording_does() -> None:
    x, peaks = with_an_early_beat()
    whole = np.empty((len(peaks), len(NAMES)))
    measure_beats(x, peaks, whole)
    held = HeldWindows(2, 30)
    slot, judged = np.array([1]), 0
    for s in range(30):
        inside = peaks[(peaks >= s * FS_HZ) & (peaks < (s + 1) * FS_HZ)]
        held.push(slot, x[None, s * FS_HZ : (s + 1) * FS_HZ], [inside])
        due = [k for k, at in enumerate(peaks) if s * FS_HZ < at + (AFTER_S + 0.2) * FS_HZ <= (s + 1) * FS_HZ]
        found = held.measured_beats(np.full(len(due), 1), peaks[due])
        np.testing.assert_array_equal(found, whole[due].astype(np.float32))
        judged += len(due)
    assert judged > 30
    assert np.isnan(held.measured_beats(slot, np.array([2000.5]))).all(), "no R peak stands there"
