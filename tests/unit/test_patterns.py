"""Bigeminy and trigeminy by the sequence of beats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstream.patterns import PATTERNS, find_pattern, kind_in, pattern_named


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
    assert pattern_named(kinds) == name


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


def test_in_af_an_early_beat_is_a_beat_like_any() -> None:
    assert [kind_in("af", kind) for kind in "NSVQ"] == ["N", "N", "V", "Q"]
    assert [kind_in(rhythm, "S") for rhythm in ("sinus", "other", None)] == ["S"] * 3
