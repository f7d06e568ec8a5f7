"""The served network and trees: a scorer that carries many streams through a model folder's graphs.

Each sample is convolved once: the encoder takes one second of each stream and the last inputs of its convolutions. The rhythm is judged
by sums over the frames of the last 30 s (`ecgstream.pooling`) and by trees on what can be measured in them
(`ecgstream.measurements`), a beat by its frame and by trees on what can be measured of it, the acute rhythm by the frames of the last
5 s. ONNX Runtime's result for a stream doesn't depend on which others share its batch (held by a test), so a replay gives the numbers that
the live system gave.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgstream.held_frames import HeldFrames
from ecgstream.measurements.held import HeldWindows
from ecgstream.model_folder import Horizon, Model
from ecgstream.pooling import HeldSums

KEPT_S = 6  # seconds of frames by which beats are judged: what is measured around the oldest is held, too
MEASURED_EVERY = 5  # seconds of a session: that of a published window is the last of them
_NO_PEAKS = np.empty(0)


def level_of(scale_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the acute head is told of the signal's scale [µV]: ln(scale / 100 µV)."""
    level: NDArray[np.float32] = np.log(scale_uv.astype(np.float64) / 100.0).astype(np.float32)
    return level


class Scores(NamedTuple):
    """What one hop of some streams shows: float32 (n, classes) each; rows of NaN where the head isn't warm."""

    rhythm: NDArray[np.float32]
    acute: NDArray[np.float32]


class Scorer:
    """Carries up to `n_slots` streams through a model, a second at a time; memory is fixed at the start (about 0.2 MB a slot)."""

    def __init__(self, model: Model, n_slots: int, batch: int = 64) -> None:
        spec = model.spec
        self.model, self.spec, self.batch = model, spec, batch
        self._memories = [
            np.zeros((n_slots, 1, reach, channels), np.float32) for channels, reach in spec.memories
        ]
        self._step_frames = step = spec.fs_hz // spec.frame_samples
        self._rhythm = HeldSums(
            n_slots, spec.rhythm.frames // step, spec.attentions, spec.rhythm.channels - spec.attentions
        )
        self._windows = HeldWindows(n_slots, spec.rhythm.window_s)
        self._trees = np.full((n_slots, len(spec.rhythm_offsets)), np.nan, np.float32)
        self._acute = HeldFrames(n_slots, spec.acute.frames, spec.acute.channels, step)
        self._told = np.zeros((n_slots, KEPT_S * step, spec.beat_width), np.float32)  # to the beat head
        self._n_frames = np.zeros(n_slots, np.int64)
        self._level = np.zeros((n_slots, spec.scale_blocks), np.float64)
        self._scale = np.zeros(n_slots, np.float32)
        self._names = [n.name for n in model.graphs["encoder.onnx"].get_inputs()]
        self._remembered = [np.empty((batch, *memory.shape[1:]), np.float32) for memory in self._memories]
        self._silence = self._after_silence()

    def reset(self, slot: int) -> None:
        """Forget a slot's stream: the next block is the first of a run, with silence before it."""
        self._n_frames[slot] = 0
        self._windows.reset(slot)
        self._rhythm.reset(slot)
        self._trees[slot] = np.nan

    def _after_silence(self) -> list[NDArray[np.float32]]:
        """What the convolutions remember of a stream that was silent for as long as they look back."""
        seconds = -(-self.spec.beat_field_samples // self.spec.fs_hz)
        memories = [np.zeros((1, *memory.shape[1:]), np.float32) for memory in self._memories]
        for _ in range(seconds):
            _, memories = self._encoded(np.zeros((1, self.spec.fs_hz), np.float32), memories)
        return [memory[0] for memory in memories]

    def step(
        self,
        slots: NDArray[np.int64],
        blocks: NDArray[np.float32],
        peaks: Sequence[NDArray[np.float64]] | None = None,
        seconds: NDArray[np.int64] | None = None,
    ) -> Scores:
        """Take one second of filtered signal of each of some streams; each slot at most once.

        blocks: float32 (n, 128), µV. peaks: of each the R peaks found since the step before, in samples since `reset`; none by default.
        seconds: the block's place in its session, int64 (n,); by default since `reset`. Returns the probabilities as of the
        blocks' end.
        """
        n = len(slots)
        if n == 0:
            return Scores(
                np.empty((0, len(self.spec.rhythm_classes)), np.float32),
                np.empty((0, len(self.spec.acute_classes)), np.float32),
            )
        if seconds is None:
            seconds = self._n_frames[slots] // self._step_frames
        self._windows.push(slots, blocks, peaks if peaks is not None else [_NO_PEAKS] * n)
        parts = [
            self._step(slots[i : i + self.batch], blocks[i : i + self.batch], seconds[i : i + self.batch])
            for i in range(0, n, self.batch)
        ]
        return Scores(np.concatenate([p.rhythm for p in parts]), np.concatenate([p.acute for p in parts]))

    def _step(
        self, slots: NDArray[np.int64], blocks: NDArray[np.float32], seconds: NDArray[np.int64]
    ) -> Scores:
        rhythm, acute, told = self.encode(slots, blocks)
        new_frames = self._n_frames[slots, None] + np.arange(-told.shape[1], 0)
        self._told[slots[:, None], new_frames % self._told.shape[1]] = told
        return Scores(self._rhythms(slots, rhythm, seconds), self._acutes(slots, acute))

    def encode(self, slots: NDArray[np.int64], blocks: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The next second's frames, (n, 8, channels) each: of the rhythm head, of the acute head, of the beat head."""
        first = slots[self._n_frames[slots] == 0]
        if first.size:
            for memory, silent in zip(self._memories, self._silence, strict=True):
                memory[first] = silent
        remembered = [
            memory.take(slots, axis=0, out=into[: len(slots)], mode="clip")
            for memory, into in zip(self._memories, self._remembered, strict=True)
        ]
        frames, memories = self._encoded(self._scaled(slots, blocks), remembered)
        for memory, new in zip(self._memories, memories, strict=True):
            memory[slots] = new
        self._n_frames[slots] += self._step_frames
        return frames

    def _encoded(
        self, scaled: NDArray[np.float32], memories: list[NDArray[np.float32]]
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """What the encoder makes of a second (n, 128) and its memories: three kinds of frames; and the memories after it."""
        feed = dict(zip(self._names, [scaled[:, None, :, None], *memories], strict=True))
        rhythm, acute, told, *read = self.model.graphs["encoder.onnx"].run(None, feed)
        after = [line[:, :, -reach:] for line, (_, reach) in zip(read, self.spec.memories, strict=True)]
        return [rhythm, acute, told], after

    def _scaled(self, slots: NDArray[np.int64], blocks: NDArray[np.float32]) -> NDArray[np.float32]:
        """The blocks over their streams' running scale; the twin of `training.network.scaled`."""
        spec = self.spec
        n_before = self._n_frames[slots] * spec.frame_samples // spec.fs_hz
        level = self._level[slots]
        level[:, :-1] = level[:, 1:]
        level[:, -1] = np.abs(blocks).mean(axis=1, dtype=np.float64)
        self._level[slots] = level
        n_levels = np.minimum(n_before + 1, spec.scale_blocks)
        counted = np.arange(spec.scale_blocks)[None, :] >= (spec.scale_blocks - n_levels)[:, None]
        mean = (level * counted).sum(axis=1) / n_levels
        after = np.maximum(mean, spec.scale_floor_uv).astype(np.float32)
        before = np.where(n_before == 0, after, self._scale[slots])
        self._scale[slots] = after
        ramp = (np.arange(spec.fs_hz, dtype=np.float32) / np.float32(spec.fs_hz))[None, :]
        line = before[:, None] + (after - before)[:, None] * ramp
        scaled: NDArray[np.float32] = np.clip(blocks / line, -spec.clip, spec.clip)
        return scaled

    def _rhythms(
        self, slots: NDArray[np.int64], new: NDArray[np.float32], seconds: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """What network and trees say; the trees are asked again every `MEASURED_EVERY` seconds of the session."""
        horizon = self.spec.rhythm
        n_known = self._n_known(slots, horizon)
        told = self._rhythm.push(slots, new, seconds, n_known // self._step_frames)
        is_warm = n_known >= horizon.min_frames
        is_due = (seconds % MEASURED_EVERY == MEASURED_EVERY - 1) | np.isnan(self._trees[slots, 0])
        asked = slots[is_warm & is_due]
        if asked.size:
            feed = {"measured": self._windows.measured(asked)}
            (self._trees[asked],) = self.model.graphs["trees.onnx"].run(None, feed)
        (probabilities,) = self.model.graphs["rhythm.onnx"].run(
            None, {"features": told, "trees": self._trees[slots]}
        )
        return np.where(is_warm[:, None], probabilities, np.float32(np.nan))

    def _acutes(self, slots: NDArray[np.int64], new: NDArray[np.float32]) -> NDArray[np.float32]:
        horizon = self.spec.acute
        feed = {"values": self._acute.push(slots, new), "level": level_of(self._scale[slots])}
        (probabilities,) = self.model.graphs["acute.onnx"].run(None, feed)
        is_warm = self._n_known(slots, horizon) >= horizon.min_frames
        return np.where(is_warm[:, None], probabilities, np.float32(np.nan))

    def _n_known(self, slots: NDArray[np.int64], horizon: Horizon) -> NDArray[np.int64]:
        """How many frames of the horizon's window read real signal alone."""
        return np.clip(self._n_frames[slots] - horizon.void_frames, 0, horizon.frames)

    def beat_probabilities(
        self, slot: int | NDArray[np.int64], positions: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Class probabilities of the beats at R-peak `positions` (float64 (m,), samples since `reset`): float32 (m, classes).

        `slot` is one slot, or one a position (int64 (m,)).
        Rows are NaN where the frame around the peak isn't known: not yet (it comes about 3.5 s after the peak), in the run's first
        seconds, or gone (`KEPT_S` later).
        """
        spec = self.spec
        end = np.asarray(positions, dtype=np.float64) + spec.beat_field_samples / 2
        frame = np.rint(end / spec.frame_samples).astype(np.int64) - 1
        size = self._told.shape[1]
        held = (
            (frame < self._n_frames[slot])
            & (frame >= self._n_frames[slot] - size)
            & (frame >= spec.rhythm.void_frames)
        )
        probabilities = np.full((len(positions), len(spec.beat_classes)), np.nan, np.float32)
        if held.any():
            slots = np.broadcast_to(slot, held.shape)[held]
            measured = self._windows.measured_beats(slots, positions[held])
            (trees,) = self.model.graphs["beat-trees.onnx"].run(None, {"measured": measured})
            feed = {"told": self._told[slots, frame[held] % size], "measured": measured, "trees": trees}
            (probabilities[held],) = self.model.graphs["beat.onnx"].run(None, feed)
        return probabilities
