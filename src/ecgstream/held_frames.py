"""The last frames of many streams, kept so that a window of them is one piece of memory.

Frames stand in time order, a stream's new ones behind its old ones; only when its line is full are the last frames moved to the
front. So a step writes eight frames a stream, and a window is read by one copy, not four.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

SPARE_STEPS = 8  # steps from one move to the next


class HeldFrames:
    """The last `frames` frames of up to `n_slots` streams; memory is fixed at the start."""

    def __init__(self, n_slots: int, frames: int, channels: int, step: int) -> None:
        self.frames, self.step, self.room = frames, step, frames + SPARE_STEPS * step
        self._lines = np.zeros((n_slots, self.room, channels), np.float32)
        self._end = np.full(n_slots, frames, np.int64)
        _, frame, channel = self._lines.strides
        self._windows = as_strided(
            self._lines,
            (max(0, n_slots * self.room - frames + 1), frames, channels),
            (frame, frame, channel),
            writeable=False,
        )

    def push(self, slots: NDArray[np.int64], new: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next frames of some streams, (n, step, channels); returns their windows, (n, frames, channels)."""
        full = slots[self._end[slots] == self.room]
        self._lines[full, : self.frames] = self._lines[full, self.room - self.frames :]
        self._end[full] = self.frames
        first = self._end[slots]
        self._lines[slots[:, None], first[:, None] + np.arange(self.step)] = new
        self._end[slots] = first + self.step
        windows: NDArray[np.float32] = self._windows[slots * self.room + first + self.step - self.frames]
        return windows
