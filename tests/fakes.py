"""What stands in for others: a small network of finite memory, without weights, with the same calls; a full disk."""

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRAME = 16
LAG_FRAMES = 20


class FakeModel(NamedTuple):
    """Classes as the trained models have them."""

    name: str = "fake-1@00000000"
    beat_classes: tuple[str, ...] = ("N", "S", "V")
    acute_classes: tuple[str, ...] = ("organised", "vt", "vf", "asystole", "noise")
    rhythm_classes: tuple[str, ...] = ("sinus", "af", "svt", "bigeminy", "trigeminy", "other", "noise")
    thresholds: Mapping[str, float] = MappingProxyType({"af": 0.4})
    record_weights: Mapping[str, float] = MappingProxyType({})


class FakeScores(NamedTuple):
    """As `ecgstream.classifier.Scores`."""

    rhythm: NDArray[np.float32]
    acute: NDArray[np.float32]


class FakeScorer:
    """Probabilities from the spread of the last 5 and 30 seconds; a beat's class from its place in its second."""

    def __init__(self, model: FakeModel, n_slots: int) -> None:
        self.model = model
        self.seconds = np.full((n_slots, 30), np.nan)
        self.n = np.zeros(n_slots, np.int64)
        self.batches: list[int] = []

    def reset(self, slot: int) -> None:
        self.seconds[slot] = np.nan
        self.n[slot] = 0

    def step(self, slots: NDArray[np.int64], blocks: NDArray[np.float32], *_: object) -> FakeScores:
        assert len(set(slots.tolist())) == len(slots)
        self.batches.append(len(slots))
        self.seconds[slots] = np.roll(self.seconds[slots], -1, axis=1)
        self.seconds[slots, -1] = blocks.astype(np.float64).std(axis=1)
        self.n[slots] += 1
        rhythm = self._probabilities(np.nanmean(self.seconds[slots], axis=1), len(self.model.rhythm_classes))
        acute = self._probabilities(
            np.nanmean(self.seconds[slots, -5:], axis=1), len(self.model.acute_classes)
        )
        rhythm[self.n[slots] < 12] = np.nan
        acute[self.n[slots] < 6] = np.nan
        return FakeScores(rhythm, acute)

    def _probabilities(self, level: NDArray[np.float64], n: int) -> NDArray[np.float32]:
        logits = 3.0 * np.cos(level[:, None] / 40.0 * np.arange(1, n + 1))
        weights = np.exp(logits)
        probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return probabilities.astype(np.float32)

    def beat_probabilities(
        self, slot: int | NDArray[np.int64], positions: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        frames = positions // FRAME + LAG_FRAMES
        known = frames < self.n[slot] * 8
        ventricular = (np.floor(positions / FRAME) % 8 == 0).astype(np.float32) * 0.8
        found = np.stack([0.9 - ventricular, np.full(len(positions), 0.1), ventricular], axis=1)
        found[~known] = np.nan
        return found.astype(np.float32)


def is_full(*_: object, **__: object) -> None:
    """What a full disk does in place of anything."""
    raise OSError(errno.ENOSPC, "full")
