"""The clinical definitions: each with a case that is it and a case that nearly is."""

from typing import Any

import numpy as np
import pytest

from clinical import at, beats, finding, strip, unreadable
from ecgstream.device_state import State
from ecgstream.events import assess
from ecgstream.limits import load_limits
from ecgstream.messages import Quality, Reason, Strip
from ecgstream.readings import Reading, Sight, Sign
from ecgstream.technical import readings as technical

LIMITS = load_limits().limits
NOT_BEATS = beats(*[("Q", 0.4, 1), ("Q", 0.9, 1)] * 48)  # what a detector finds in noise


def readings(
    window: int, heart: list[tuple[float, str]], last_beat_s: float | None = None, **more: Any
) -> dict[str, Reading]:
    seen = finding(window, heart, **more)
    last = seen.beats[-1].at_us if seen.beats else None if last_beat_s is None else at(last_beat_s)
    physiological = assess(seen, LIMITS, Sight(at(0), last))
    return {r.kind: r for r in (*physiological, *technical(State("chest-7"), seen, LIMITS, None))}


def test_sinus_rhythm_is_nothing() -> None:
    seen = readings(60, beats(("N", 0.8, 100)))
    assert {k for k, r in seen.items() if r.sign is not Sign.OFF} == set()


@pytest.mark.parametrize(
    ("n_beats", "rr_s", "is_vt"), [(5, 0.4, True), (4, 0.4, False), (5, 0.62, False), (12, 0.58, True)]
)
def test_vt_is_five_ventricular_beats_over_100(n_beats: int, rr_s: float, is_vt: bool) -> None:
    heart = beats(("N", 0.8, 25), ("V", rr_s, n_beats), ("N", 0.8, 5))
    vt = readings(30, heart)["vt"]
    assert (vt.sign is Sign.ON) == is_vt
    if is_vt:
        assert vt.complete
        assert vt.rate_bpm == pytest.approx(60 / rr_s)
        assert (vt.since_us, vt.until_us) == (at(20 + rr_s), at(20 + n_beats * rr_s))


@pytest.mark.parametrize(
    ("run", "is_vt"), [("VVVSS", True), ("VVSSS", False), ("SSSVV", False), ("VVVNSS", False)]
)
def test_a_ventricular_run_does_not_turn_supraventricular_without_a_normal_beat(
    run: str, is_vt: bool
) -> None:
    heart = beats(("N", 0.8, 25), *((kind, 0.4, 1) for kind in run), ("N", 0.8, 5))
    assert (readings(30, heart)["vt"].sign is Sign.ON) == is_vt


def test_vt_by_the_network_needs_the_rate_too() -> None:
    acute = {"vt": 0.9, "organised": 0.1}
    assert readings(40, beats(("Q", 0.4, 120)), acute_probabilities=acute)["vt"].sign is Sign.ON
    assert readings(40, beats(("Q", 0.8, 60)), acute_probabilities=acute)["vt"].sign is Sign.HOLD
    assert not readings(40, beats(("Q", 0.4, 120)), acute_probabilities=acute)["vt"].complete
    unsure: dict[str, Any] = {
        "quality": Quality.RATE_ONLY,
        "reasons": [Reason.DETECTORS_DISAGREE],
        "acute_probabilities": acute,
    }
    assert readings(40, beats(("Q", 0.8, 60)), **unsure)["vt"].sign is Sign.ON, "their rate can't deny it"


def test_asystole_is_four_seconds_without_a_beat() -> None:
    heart = beats(("N", 0.8, 50))  # the last one at 40 s
    acute: dict[str, Any] = {"acute_probabilities": {"asystole": 0.9}}
    assert readings(42, heart, **acute)["asystole"].sign is Sign.OFF
    now = readings(43, heart, **acute)["asystole"]
    assert (now.sign, now.since_us, now.complete) == (Sign.ON, at(40), True)


def test_asystole_needs_a_signal_that_can_be_read() -> None:
    heart = beats(("N", 0.8, 50))
    silent: dict[str, Any] = {"acute": "asystole", "acute_probabilities": {"asystole": 0.9}}
    assert readings(46, heart, **silent)["asystole"].sign is Sign.ON
    for reason in (Reason.LEAD_OFF, Reason.GAP, Reason.MOTION, Reason.CLIPPED):
        assert readings(46, heart, **unreadable(reason))["asystole"].sign is Sign.BLIND
    assert readings(46, heart)["asystole"].sign is Sign.HOLD  # the network sees organised rhythm


def test_a_heart_that_moves_under_noise_is_not_still() -> None:
    def sign(**acute: float) -> Sign:
        noisy = unreadable(Reason.MOTION) | {"quality": Quality.RATE_ONLY, "acute_probabilities": acute}
        return readings(46, beats(("N", 0.8, 50)), **noisy)["asystole"].sign

    assert sign(vf=0.6, vt=0.3, asystole=0.1) is Sign.OFF
    assert sign(organised=0.9, noise=0.1) is Sign.OFF
    assert sign(vf=0.4, noise=0.5, asystole=0.1) is Sign.BLIND
    assert sign(vf=0.2, noise=0.4, asystole=0.4) is Sign.HOLD


@pytest.mark.parametrize(
    ("burst_s", "height_uv", "now_uv", "sign"),
    [
        (56.0, 3000, 200, Sign.HOLD),
        (50.0, 3000, 200, Sign.ON),  # it has left the network's view
        (56.0, 1000, 200, Sign.ON),  # no movement is so low
        (56.0, 3000, 900, Sign.ON),  # all of it is noise
        (60.5, 3000, 200, Sign.ON),  # it is going on: nothing has been seen after it
    ],
)
def test_the_network_finds_no_stillness_in_the_seconds_after_an_electrode_moved(
    burst_s: float, height_uv: int, now_uv: int, sign: Sign
) -> None:
    samples = np.full(30 * 128, now_uv, "<i2")
    first = round((burst_s - 31) * 128)
    samples[first : first + 64] = height_uv
    seen = Strip(start_us=at(31), fs_hz=128.0, uv_per_lsb=1.0, samples=samples.tobytes())
    still: dict[str, Any] = {"quality": Quality.RATE_ONLY, "reasons": [Reason.DETECTORS_DISAGREE]}
    still |= {"acute_probabilities": {"asystole": 0.9}, "signal": seen}
    assert readings(60, NOT_BEATS, **still)["asystole"].sign is sign


def test_a_signal_too_short_to_show_a_burst_hides_no_stillness() -> None:
    still: dict[str, Any] = {"quality": Quality.RATE_ONLY, "reasons": [Reason.DETECTORS_DISAGREE]}
    still |= {"acute_probabilities": {"asystole": 0.9}}
    for length_s in (0, 0.5, 3):
        short = strip(61 - length_s, 61)
        assert readings(60, NOT_BEATS, **still, signal=short)["asystole"].sign is Sign.ON
    assert readings(60, NOT_BEATS, **still, signal=None)["asystole"].sign is Sign.ON


def test_the_network_finds_no_stillness_while_beats_come_evenly() -> None:
    still: dict[str, Any] = {"quality": Quality.RATE_ONLY, "reasons": [Reason.DETECTORS_DISAGREE]}
    still |= {"acute_probabilities": {"asystole": 0.9}}

    def sign(found: list[tuple[float, str]]) -> Sign:
        return readings(60, found, **still)["asystole"].sign

    slow, fast = beats(("Q", 1.5, 40)), beats(("Q", 0.5, 120))
    assert sign(slow) is Sign.HOLD
    assert sign(fast) is Sign.HOLD
    assert sign(NOT_BEATS) is Sign.ON
    assert sign(slow[:38]) is Sign.ON, "three in the last eight seconds are too few"
    assert sign([beat for beat in fast if beat[0] < 52]) is Sign.ON, "they were before"


def test_a_line_that_goes_flat_after_beats_is_asystole_and_one_flat_from_the_start_is_technical() -> None:
    went = readings(46, beats(("N", 0.8, 50)), **unreadable(Reason.FLAT))
    assert went["asystole"].sign is Sign.ON
    always = readings(46, [], **unreadable(Reason.FLAT))
    assert always["asystole"].sign is Sign.BLIND
    assert always["flat"].sign is Sign.ON


def test_vf_is_a_wave_and_not_a_lead_off() -> None:
    acute = {"vf": 0.9, "noise": 0.1}
    assert readings(40, [], acute_probabilities=acute)["vf"].sign is Sign.ON
    shaky: dict[str, Any] = {
        "quality": Quality.UNREADABLE,
        "reasons": [Reason.MOTION],
        "acute_probabilities": acute,
    }
    assert (
        readings(40, [], **shaky)["vf"].sign is Sign.ON
    )  # fibrillation looks like noise to a detector of beats
    assert readings(40, [], **unreadable(Reason.LEAD_OFF))["vf"].sign is Sign.BLIND


def test_extreme_rates_take_5_and_17_beats() -> None:
    slow = beats(("N", 0.8, 20), ("N", 1.6, 5))
    assert readings(25, slow)["extreme-bradycardia"].sign is Sign.ON
    assert readings(25, beats(("N", 0.8, 20), ("N", 1.6, 3)))["extreme-bradycardia"].sign is not Sign.ON
    fast = beats(("N", 0.8, 30), ("N", 0.4, 17))
    assert readings(31, fast)["extreme-tachycardia"].sign is Sign.ON
    assert readings(28, fast)["extreme-tachycardia"].sign is not Sign.ON


def test_a_pause_is_three_seconds_between_two_beats() -> None:
    assert readings(40, beats(("N", 0.8, 30), ("N", 3.1, 1), ("N", 0.8, 9)))["pause"].sign is Sign.ON
    assert readings(40, beats(("N", 0.8, 30), ("N", 2.9, 1), ("N", 0.8, 9)))["pause"].sign is Sign.OFF


@pytest.mark.parametrize(
    ("burst_s", "height_uv", "beat_uv", "is_hidden"),
    [
        (23.8, 4000, 400, True),  # up to the beat at 24 s, the last one before the pause
        (17.0, 4000, 400, True),
        (15.0, 4000, 400, False),  # too long ago
        (23.8, 1200, 200, False),  # as low as a beat
        (23.8, 4000, 1500, False),  # the beats are as high
    ],
)
def test_neither_pause_nor_slow_heart_is_told_of_beats_that_a_burst_hid(
    burst_s: float, height_uv: int, beat_uv: int, is_hidden: bool
) -> None:
    heart = beats(("N", 0.8, 30), ("N", 3.1, 4))
    samples = np.zeros(30 * 128, "<i2")
    for at_s, _ in heart:
        samples[max(0, round((at_s - 8) * 128))] = beat_uv
    samples[round((burst_s - 8) * 128)] = height_uv
    seen = Strip(start_us=at(8), fs_hz=128.0, uv_per_lsb=1.0, samples=samples.tobytes())
    found = readings(37, heart[:-3] + beats(("N", 2.9, 3), start_s=27.1), signal=seen)
    assert found["pause"].sign is (Sign.OFF if is_hidden else Sign.ON)
    assert found["extreme-bradycardia"].sign is (Sign.BLIND if is_hidden else Sign.ON)


def test_a_pause_is_told_with_the_signal_that_shows_it() -> None:
    heart = beats(("N", 0.8, 30), ("N", 3.1, 1), ("N", 0.8, 9))
    assert readings(40, heart, signal=None)["pause"].sign is Sign.OFF


def test_a_run_is_told_when_it_is_over_and_whole() -> None:
    heart = beats(("N", 0.8, 40), ("V", 0.5, 3), ("N", 0.8, 60))
    assert readings(32, heart)["v-run"].sign is Sign.OFF
    assert readings(36, heart)["v-run"].sign is Sign.ON
    assert readings(62, heart)["v-run"].sign is Sign.OFF  # the window's start cuts it
    assert readings(36, beats(("N", 0.8, 40), ("V", 0.5, 2), ("N", 0.8, 60)))["v-run"].sign is Sign.OFF


def test_bigeminy_and_trigeminy_are_told_by_the_order_of_the_beats() -> None:
    def signs(pattern: str) -> tuple[Sign, Sign]:
        beats = [(0.6 * i, pattern[i % len(pattern)]) for i in range(1, 80)]
        found = readings(40, beats, rhythm_probabilities={"bigeminy": 0.9, "trigeminy": 0.9})
        return found["bigeminy"].sign, found["trigeminy"].sign

    assert signs("NV") == (Sign.ON, Sign.OFF)
    assert signs("NNV") == (Sign.OFF, Sign.ON)
    assert signs("NNNV") == (Sign.OFF, Sign.OFF), "as many ventricular beats, but in no such order"
    assert signs("NVV") == (Sign.OFF, Sign.OFF)
    assert signs("NVNVNVNVNNNN") == (Sign.ON, Sign.OFF)
    assert signs("NVNVNVNNNNNNN")[0] is Sign.HOLD


@pytest.mark.parametrize(
    ("n_beats", "rr_s", "is_svt"), [(5, 0.4, True), (4, 0.4, False), (5, 0.62, False), (40, 0.5, True)]
)
def test_svt_is_five_supraventricular_beats_over_100(n_beats: int, rr_s: float, is_svt: bool) -> None:
    svt = readings(30, beats(("N", 0.8, 12), ("S", rr_s, n_beats), ("N", 0.8, 5)))["svt"]
    assert (svt.sign is Sign.ON) == is_svt
    if is_svt:
        assert not svt.complete, "it must last"
        assert svt.rate_bpm == pytest.approx(60 / rr_s)
        assert (svt.since_us, svt.until_us) == (at(9.6 + rr_s), at(9.6 + n_beats * rr_s))


def test_a_fast_heart_alone_is_no_svt_but_keeps_one_open_until_it_slows() -> None:
    assert readings(40, beats(("N", 0.4, 100)))["svt"].sign is Sign.HOLD
    assert readings(40, beats(("N", 0.8, 50)))["svt"].sign is Sign.OFF
    assert readings(40, beats(("N", 0.4, 80), ("N", 0.55, 15)))["svt"].sign is Sign.OFF, (
        "fast, but it has slowed"
    )


def test_what_is_not_known_is_blind_and_never_no() -> None:
    seen = readings(40, [], **unreadable(Reason.MOTION))
    for kind in ("asystole", "vf", "vt", "af", "svt", "high-rate", "low-rate", "pause", "v-run"):
        assert seen[kind].sign is Sign.BLIND, kind
    assert seen["unreadable"].sign is Sign.ON
