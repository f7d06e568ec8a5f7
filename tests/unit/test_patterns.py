"""Rhythms that are sequences of beats, and what beats are in a rhythm."""

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstream.patterns import PATTERNS, find_pattern, kinds_in, rhythm_named, slows


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        ("NVNVNV", "bigeminy"),
        ("VNVNVN", "bigeminy"),
        ("SVNVSV", "bigeminy"),
        ("NNVNNVNNV", "trigeminy"),
        ("NVNNVNNVNNVN", "trigeminy"),
        ("NVNV", None),
        ("NNVNNV", None),
        ("NVVNVVNVV", None),
        ("NNNVNNNVNNNV", None),
        ("NVQVNVQV", None),
        ("NNNNNNNNNNNNNNNNNVNVNV", None),
        ("", None),
    ],
)
def test_a_window_is_called_by_the_pattern_that_takes_half_of_it(kinds: str, name: str | None) -> None:
    assert rhythm_named("sinus", range(len(kinds)), kinds) == (name or "sinus")


def at_s(*rhythms: tuple[int, float]) -> list[float]:
    """Times of beats, so many of each interval."""
    return list(accumulate(rr for n, rr in rhythms for _ in range(n)))


@pytest.mark.parametrize(
    ("kinds", "rr_s", "name"),
    [
        ("NNNNNSSSSSS", 0.4, "svt"),
        ("NNNNNSSQSSS", 0.4, "svt"),
        ("NNNNNSSSSSS", 0.61, None),
        ("NNNNSSSS", 0.4, None),
        ("NNNNNNNSSSSS", 0.4, None),
        ("NNSSSSNSSSS", 0.4, None),
        ("NNNNNVVVVVV", 0.4, "vt"),
        ("NNNNNVVVVVV", 0.61, None),
        ("NNNSSSVVVSS", 0.4, None),
    ],
)
def test_svt_and_vt_are_runs_of_five_beats_over_100(kinds: str, rr_s: float, name: str | None) -> None:
    assert rhythm_named("sinus", at_s((len(kinds), rr_s)), kinds) == (name or "sinus")


def test_a_pattern_knows_its_share_and_its_beats() -> None:
    found = find_pattern("bigeminy", "NNNNVNVNVNNNNQQ")
    assert found is not None
    assert (found.first, found.last) == (3, 9)
    assert found.share == pytest.approx(7 / 13)


@given(st.text("NSVQ", max_size=60))
def test_a_share_is_a_share_and_its_ends_are_beats(kinds: str) -> None:
    for name in PATTERNS:
        found = find_pattern(name, kinds)
        if found is not None:
            assert 0 < found.share <= 1
            assert 0 <= found.first < found.last < len(kinds)
            assert "V" in kinds[found.first : found.last + 1]


def test_idioventricular_rhythm_has_ventricular_beats() -> None:
    for kinds, name in (("NVVVVV", "idioventricular"), ("NNNNVV", "other"), ("QQQQ", "idioventricular")):
        assert rhythm_named("idioventricular", range(len(kinds)), kinds) == name


@pytest.mark.parametrize(
    ("kinds", "rr_s", "name"),
    [
        ("NNNNNNVNNNNN", 0.8, "sinus"),
        ("NNNSNNNVNNNNN", 0.5, "sinus"),
        ("NNNNNNNNNNNN", 0.8, "other"),  # nothing that the beats would explain
        ("NNNNNNQNNNNN", 0.8, "other"),
        ("NNSNSNNSNSNN", 0.8, "other"),  # too few intervals to tell
        ("NNNNNNVVVVVVV", 0.8, "other"),
        ("NNNNNNVNNNNN", 0.4, "other"),  # 150/min: flutter, perhaps
        ("NNNNNNVNNNNN", 1.6, "other"),  # 37/min: block, perhaps
    ],
)
def test_other_is_sinus_where_ectopic_beats_explain_it(kinds: str, rr_s: float, name: str) -> None:
    assert rhythm_named("other", at_s((len(kinds), rr_s)), kinds) == name


def test_an_uneven_rhythm_with_ectopic_beats_stays_other() -> None:
    kinds = "NNNNNNVNNNNN"
    times = list(accumulate((0.8, 1.1, 0.6, 0.9, 0.7, 1.2, 0.5, 1.0, 0.8, 0.6, 1.1, 0.7)))
    assert rhythm_named("other", times, kinds) == "other"


def test_in_af_an_early_beat_is_a_beat_like_any() -> None:
    assert kinds_in("af", range(4), "NSVQ") == ["N", "N", "V", "Q"]
    for rhythm in ("sinus", "other", None):
        assert kinds_in(rhythm, range(4), "NSVQ") == ["N", "S", "V", "Q"]


EARLY_BEATS = ((4, 0.8), (1, 0.5), (1, 1.0)) * 3  # even otherwise: the sinus node goes on below them


@pytest.mark.parametrize(
    ("kinds", "rr_s", "told"),
    [
        ("NNNNSN" * 3, EARLY_BEATS, "NNNNSN" * 3),
        ("NNNNSN" * 3, ((1, 0.8), (1, 1.1), (1, 0.6), (1, 0.9), (1, 0.5), (1, 1.2)) * 3, "N" * 18),  # AF
        ("NS" * 9, ((1, 0.9), (1, 0.6)) * 9, "N" * 18),  # no two normal ones in a row to know by
    ],
)
def test_early_beats_among_even_ones_are_ectopic_though_the_waves_look_like_af(
    kinds: str, rr_s: Sequence[tuple[int, float]], told: str
) -> None:
    assert "".join(kinds_in("af", at_s(*rr_s), kinds)) == told


@pytest.mark.parametrize(
    ("kinds", "rr_s", "told"),
    [
        ("NNSSSSSNNN", [(2, 0.8), (8, 0.4)], "NNSSSSSSSS"),
        ("NNSSSSSNNN", [(2, 0.8), (6, 0.4), (2, 0.6)], "NNSSSSSSNN"),  # it slows
        ("NNSSSSNNNN", [(2, 0.8), (8, 0.4)], "NNSSSSNNNN"),  # four aren't a run
        ("NNSSSSSVNN", [(2, 0.8), (8, 0.4)], "NNSSSSSVNN"),
        ("NNSSSSSQNN", [(2, 0.8), (8, 0.4)], "NNSSSSSQSS"),
        ("NNSSSSSNNN", [(2, 0.8), (1, 0.5), (7, 0.43)], "NNSSSSSSSS"),
    ],
)
def test_a_supraventricular_run_goes_on_until_the_heart_slows(
    kinds: str, rr_s: list[tuple[int, float]], told: str
) -> None:
    assert "".join(kinds_in("sinus", at_s(*rr_s), kinds)) == told


@pytest.mark.parametrize(
    ("kinds", "rr_s", "told"),
    [
        ("NNNNNNSNNN", [(6, 1.0), (1, 0.97), (3, 1.0)], "NNNNNNNNNN"),
        ("NNNNNNSNNN", [(6, 1.0), (1, 0.9), (3, 1.0)], "NNNNNNSNNN"),  # early
        ("NNNNNNSNNN", [(6, 1.0), (1, 1.4), (3, 1.0)], "NNNNNNNNNN"),  # an escape
        ("NNNNNNVNNN", [(6, 1.0), (1, 0.97), (3, 1.0)], "NNNNNNVNNN"),
        ("SSSSSSSSSS", [(10, 0.97)], "SNNNNNNNNN"),  # when the first was due isn't known
        ("SSSSSSSSSS", [(10, 0.5)], "SSSSSSSSSS"),  # fast
        ("NSNSNSNSNS", [(1, 1.0), (1, 0.7)] * 5, "NSNSNSNSNS"),  # every second one early
        ("NNSN", [(4, 1.0)], "NNSN"),  # too few to know what is usual
    ],
)
def test_a_beat_that_comes_when_it_is_due_is_not_supraventricular_ectopic(
    kinds: str, rr_s: list[tuple[int, float]], told: str
) -> None:
    assert "".join(kinds_in("sinus", at_s(*rr_s), kinds)) == told


@given(st.text("NSVQ", max_size=60), st.data())
def test_only_classed_beats_are_told_anew(kinds: str, data: st.DataObject) -> None:
    rr_s = data.draw(st.lists(st.floats(0.2, 3.0), min_size=len(kinds), max_size=len(kinds)))
    times = list(accumulate(rr_s))
    told = kinds_in("sinus", times, kinds)
    assert all(
        before == after or {before, after} == {"N", "S"} for before, after in zip(kinds, told, strict=True)
    )
    assert kinds_in("sinus", times, told) == told


def test_a_heart_slows_at_once_or_bit_by_bit() -> None:
    assert slows(at_s((20, 0.4), (1, 0.5)))
    assert not slows(at_s((20, 0.4), (10, 0.45), (10, 0.5), (10, 0.55)))
    assert not slows(at_s((20, 0.5), (20, 0.4)))
    assert not slows([])
