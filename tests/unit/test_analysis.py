"""What becomes a finding, and what it says."""

import numpy as np
import pytest

from ecgstream.messages import MISSING, Beat, Finding, Quality, Reason
from ecgstream.replay import Place
from ecgstream.seen_beats import BeatSeen, heart_rate_bpm
from ecgstream.windows import SessionWindow
from fakes import FakeModel
from logs import chunk, ecg, read

EMPTY = np.empty(0)
MODEL = FakeModel()
RING = np.zeros((30, 128), np.int16)
SINUS = [0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]
CALM = [0.9, 0.1, 0.0, 0.0, 0.0]


def window(n_seconds: int, beat_every_s: float = 0.8, grade: Quality = Quality.FULL) -> SessionWindow:
    """A session of 128 Hz that is `n_seconds` old, with regular beats; all windows but the last are told."""
    made = SessionWindow("d", "s", 0, 128.0, 0)
    made.epochs.append((0, 0))
    beats = np.arange(0.5, n_seconds, beat_every_s) * 128
    for k in range(n_seconds):
        made.second(k, beats[(beats >= 128 * k) & (beats < 128 * k + 128)], grade, ())
        if k < n_seconds - 1:
            made.finding(MODEL, SINUS, CALM, 0.2, RING)
    return made


def finding(
    made: SessionWindow, acute: list[float] | None = None, silent_s: float | None = 0.2
) -> Finding | None:
    return made.finding(MODEL, SINUS, acute or CALM, silent_s, RING)


@pytest.mark.parametrize(("n_seconds", "published"), [(61, False), (64, False), (65, True), (66, False)])
def test_every_fifth_calm_window_is_published_without_its_signal(n_seconds: int, published: bool) -> None:
    found = finding(window(n_seconds))
    assert (found is not None) is published
    assert found is None or (found.signal is None and found.window == n_seconds - 1)


def test_every_tenth_calm_window_carries_its_signal() -> None:
    found = finding(window(70))
    assert found is not None
    assert found.signal is not None
    assert found.rhythm == "sinus"


def test_a_finding_holds_the_beats_of_its_thirty_seconds_and_the_rate() -> None:
    found = finding(window(65))
    assert found is not None
    assert found.heart_rate_bpm == 75.0
    assert (found.start_us, found.end_us) == (35_000_000, 65_000_000)
    assert all(35_000_000 <= beat.at_us < 65_000_000 for beat in found.beats)
    assert len(found.beats) == 37
    assert found.rhythm == "sinus"
    assert found.reasons == []


def test_notable_windows_are_published_at_once_with_their_signal() -> None:
    for found in (
        finding(window(63), acute=[0.5, 0.25, 0.25, 0.0, 0.0]),
        finding(window(63), silent_s=2.5),
        finding(window(63, beat_every_s=0.45)),
        finding(window(63, beat_every_s=1.4)),
    ):
        assert found is not None
        assert found.signal is not None
        assert len(found.signal.samples) == 2 * 30 * 128
    assert finding(window(63), acute=[0.76, 0.24, 0.0, 0.0, 0.0]) is None


@pytest.mark.parametrize(
    ("silent_from_s", "now_s", "is_notable"),
    [(57.4, 61, True), (57.4, 63, True), (57.4, 66, False), (58.2, 63, False)],
)
def test_a_beat_just_after_a_pause_is_notable(silent_from_s: float, now_s: int, is_notable: bool) -> None:
    made = window(now_s)
    for beat in [b for b in made.beats if silent_from_s < b.position / 128 < 60.4]:
        made.beats.remove(beat)  # the next ones are at 60.5, 61.3 s
    found = finding(made)
    assert (found is not None and found.signal is not None) is is_notable


def test_three_ventricular_beats_in_a_row_are_notable_and_two_are_not() -> None:
    for n, is_notable in ((2, False), (3, True)):
        made = window(63)
        for beat in made.beats[-n - 2 : -2]:
            beat.kind = "V"
        assert (finding(made) is not None) is is_notable


def test_the_rate_forgets_extremes_and_is_unknown_after_silence() -> None:
    made = window(63)
    made.beats.insert(-3, BeatSeen(made.beats[-3].position - 30))
    assert heart_rate_bpm(made.beats, made.next_window * 128, made.readable_from) == pytest.approx(
        75.0, rel=0.15
    )
    made.second(63, EMPTY, Quality.FULL, ())
    for k in range(64, 69):
        made.second(k, EMPTY, Quality.FULL, ())
    assert heart_rate_bpm(made.beats, made.next_window * 128, made.readable_from) is None


def test_unreadable_seconds_make_unknown_and_never_no() -> None:
    made = window(62)
    found = None
    for k in range(62, 66):
        made.second(k, EMPTY, Quality.UNREADABLE, (Reason.MOTION,))
        found = finding(made, silent_s=None) or found
    assert found is not None
    assert (found.quality, found.acute, found.heart_rate_bpm) == (Quality.UNREADABLE, None, None)
    assert found.acute_probabilities == {}
    assert found.reasons == [Reason.MOTION]
    assert found.rhythm == "sinus"


def test_not_warm_is_said_as_such() -> None:
    made = SessionWindow("d", "s", 0, 128.0, 0)
    made.epochs.append((0, 0))
    made.second(0, EMPTY, Quality.FULL, ())
    found = made.finding(MODEL, None, None, None, RING)
    assert found is not None
    assert (found.rhythm, found.acute, found.reasons) == (None, None, [Reason.WARM_UP])


def test_a_reader_that_begins_in_the_middle_is_silent_until_it_is_warm() -> None:
    samples = ecg(100 * 200, 100.0)
    log = [(chunk(100 * k, samples[100 * k : 100 * k + 100]), Place(k, 1000 * k)) for k in range(200)]
    assert min(f.window for f in read(log, 50).findings) in {164, 165, 166, 167, 168, 169}
    assert min(f.window for f in read(log, 0).findings) == 0


def test_a_finding_that_names_af_holds_no_supraventricular_ectopy() -> None:
    made = window(65, beat_every_s=0.5)  # so fast that a beat may be ectopic when it is due, too
    for i, beat in enumerate(made.beats):
        beat.kind, beat.probability = "NSNSV"[i % 5], 0.9
    for row, s_or_n in ((SINUS, "S"), ([0.1, 0.9, *SINUS[2:]], "N")):
        found = made.finding(MODEL, row, CALM, 0.2, RING)
        assert found is not None
        assert {beat.kind for beat in found.beats} == {"N", "V", s_or_n}
        own = [
            None if told.kind != seen.kind else 0.9
            for told, seen in zip(found.beats, made.beats, strict=True)
        ]
        assert [beat.probability for beat in found.beats] == own, "a class that the rhythm gave has none"


def test_a_gap_is_missing_in_the_strip_and_named() -> None:
    samples = ecg(100 * 60, 100.0)
    log = [
        (chunk(100 * k, samples[100 * k : 100 * k + 100]), Place(k))
        for k in range(60)
        if k not in range(30, 36)
    ]
    found = {f.window: f for f in read(log, end=True).findings}
    inside = found[34]
    assert (inside.quality, inside.rhythm, inside.acute) == (Quality.UNREADABLE, None, None)
    assert Reason.GAP in inside.reasons
    first = found[30]
    assert first.signal is not None
    strip = np.frombuffer(first.signal.samples, "<i2").reshape(30, 128)
    assert (strip[-1] == MISSING).all()
    assert np.isnan(first.signal.microvolts()[-128:]).all()
    assert not (strip[:-1] == MISSING).any()


def test_beats_get_their_class_when_their_frame_is_known() -> None:
    samples = ecg(100 * 60, 100.0)
    log = [(chunk(100 * k, samples[100 * k : 100 * k + 100]), Place(k)) for k in range(60)]
    last = read(log, end=True).findings[-1]
    kinds = {Beat(*b) if isinstance(b, tuple) else b for b in last.beats}
    old = [beat for beat in kinds if beat.at_us < last.end_us - 5_000_000]
    assert len(old) > 20
    assert {beat.kind for beat in old} <= {"N", "S", "V"}
    assert all(beat.probability is not None for beat in old)
    assert {beat.kind for beat in kinds if beat.at_us > last.end_us - 2_000_000} <= {"Q"}
