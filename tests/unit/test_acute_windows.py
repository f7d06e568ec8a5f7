"""Which stretches of a recording the acute head learns, and as what."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
from ecgstream.training.examples import acute_windows
from ecgstream.training.network import ACUTE
from packed import record

pytestmark = pytest.mark.torch


def seconds(windows: list[tuple[int, int]], name: str) -> list[float]:
    """When the windows of a class end."""
    return [end / 128 for end, k in windows if k == ACUTE.index(name)]


def test_a_window_is_of_one_annotated_rhythm_throughout() -> None:
    rhythms = [
        (0, 10 * 128, "N"),
        (10 * 128, 17 * 128, "VT"),
        (17 * 128, 20 * 128, "N"),
        (20 * 128, 26 * 128, "VFL"),
    ]
    windows = acute_windows(record(database="vfdb", rhythms=rhythms))
    assert seconds(windows, "organised") == [5, 6, 7, 8, 9, 10]
    assert seconds(windows, "vt") == [15, 16, 17]
    assert seconds(windows, "vf") == [25, 26]


def test_where_beats_alone_are_annotated_all_but_ventricular_runs_is_organised() -> None:
    kinds = np.array(list("N" * 20 + "VFV" + "N" * 15 + "VV" + "N" * 20))  # beat k at k + 0.5 s
    windows = acute_windows(record(database="svdb", rhythms=[], kinds=kinds))
    assert seconds(windows, "organised") == [*range(5, 21), *range(28, 61)]
    assert len(windows) == 49
    assert acute_windows(record(rhythms=[], beats=np.empty(0), kinds=np.empty(0, "U1"))) == []
