"""The front end: from pieces of device samples to blocks of one second at the model's rate, many devices in one call.

A piece runs through resampling, the band-pass filter, the beat detectors and the quality gate; a block of 128 filtered samples
comes out when its last sample is known, about 1.1 s after it (0.1 s resampler, 1.0 s filter). Sample `m` of a session is at
`m / 128` s after its sample 0, and block `b` is samples `[128 b, 128 b + 128)`, wherever reading began. Nothing here depends
on how the samples were cut into pieces or batched over devices.

A gap ends a run: the tail is completed by holding the last sample, the blocks that no run covers wholly are gap blocks, and a
new run begins. A gap longer than `MAX_GAP_BLOCKS` emits that many and then jumps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgstream import beats, curve_length, filtering, quality, resampling
from ecgstream.front_end_kernel import (
    BLOCK,
    BLOCK_OUT,
    FS_HZ,
    ITEM,
    MAX_GAP_BLOCKS,
    MAX_PENDING,
    NONE,
    SLOT,
    feed,
)
from ecgstream.messages import MAX_FS_HZ, MIN_FS_HZ, Quality, Reason

QUALITIES = (Quality.FULL, Quality.RATE_ONLY, Quality.UNREADABLE)
REASONS = tuple(Reason)
_reasons: dict[int, tuple[Reason, ...]] = {}


class Piece(Protocol):
    """What the front end reads of a piece."""

    @property
    def first_sample(self) -> int: ...
    @property
    def uv_per_lsb(self) -> float: ...
    @property
    def lead_off(self) -> bool: ...
    @property
    def samples(self) -> NDArray[np.int16]: ...


@dataclass(frozen=True, slots=True)
class Block:
    """One second of one session.

    signal: float32 (128,), µV, filtered; None for a gap. beats: float64 (n,), R peaks in model samples of the session that were
    decided since the block before; they may lie in earlier seconds, and at the session's end in later ones. silent_s: time
    from the latest beat to the block's end; None when unknown. mains_hz: the hum that was found, 50 or 60.
    """

    slot: int
    index: int
    signal: NDArray[np.float32] | None
    beats: NDArray[np.float64]
    quality: Quality
    reasons: tuple[Reason, ...]
    silent_s: float | None
    mains_hz: int | None


class FrontEnd:
    """The front ends of up to `n_slots` sessions, one to a slot."""

    def __init__(self, n_slots: int) -> None:
        self._slots = np.zeros(n_slots, SLOT)
        self._states = (
            self._slots,
            np.zeros(n_slots, resampling.STATE),
            np.zeros(n_slots, filtering.STATE),
            np.zeros(n_slots, beats.STATE),
            np.zeros(n_slots, curve_length.STATE),
            np.zeros(n_slots, quality.STATE),
        )
        self._tables: NDArray[np.float32] = np.empty(0, np.float32)
        self._table_of: dict[int, tuple[int, int]] = {}  # whole fs_hz -> where its phases begin, their width
        self._kernels = (filtering.band_pass(), filtering.band_pass_without_mains(), beats.wavelet())

    def start(self, slot: int, fs_hz: float, first_sample: int) -> None:
        """Begin a session in a slot whose first sample to come has index `first_sample`; forgets what was there.

        Raises ValueError for a rate that no chunk may have: the kernels' memory is as long as those need.
        """
        if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
            raise ValueError(f"fs_hz: expected {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz, got {fs_hz:g}")
        state = self._slots[slot]
        state["running"] = False
        state["fs_hz"] = fs_hz
        state["expected"] = first_sample
        state["next_block"] = int(np.ceil(first_sample * FS_HZ / fs_hz - 1e-9)) // BLOCK
        state["lead_off_until"] = 0
        state["silent_from"] = 0.0
        state["n_pending"] = 0
        self._table(fs_hz)

    def feed(self, batch: Sequence[tuple[int, Piece]]) -> list[Block]:
        """Take pieces, in order for each slot, and return the blocks that are now complete, in order for each slot."""
        items = np.zeros(len(batch), ITEM)
        at, n_blocks = 0, 0
        expected: dict[int, int] = {}
        for i, (slot, piece) in enumerate(batch):
            n = len(piece.samples)
            fs_hz = float(self._slots[slot]["fs_hz"])
            items[i] = (
                slot,
                piece.first_sample,
                at,
                n,
                piece.uv_per_lsb,
                piece.lead_off,
                False,
                *self._table(fs_hz),
            )
            if expected.get(slot, int(self._slots[slot]["expected"])) != piece.first_sample:
                n_blocks += MAX_GAP_BLOCKS + 3
            expected[slot] = piece.first_sample + n
            n_blocks += int(n / fs_hz) + 2
            at += n
        samples = np.concatenate([piece.samples for _, piece in batch]) if batch else np.empty(0, np.int16)
        return self._run(items, samples, n_blocks)

    def finish(self, slot: int) -> list[Block]:
        """End the session in a slot: the blocks that its last samples complete. A last part of a second gives no block."""
        items = np.zeros(1, ITEM)
        items[0]["slot"], items[0]["finish"] = slot, True
        items[0]["table_at"], items[0]["table_width"] = self._table(float(self._slots[slot]["fs_hz"]))
        return self._run(items, np.empty(0, np.int16), 4)

    def _table(self, fs_hz: float) -> tuple[int, int]:
        whole = round(fs_hz)  # the nearest whole rate's phases differ by less than the table's own grid
        place = self._table_of.get(whole)
        if place is None:
            table = resampling.phase_table(float(whole))
            place = self._table_of[whole] = (self._tables.size, table.shape[1])
            self._tables = np.concatenate([self._tables, table.ravel()])
        return place

    def _run(self, items: NDArray[np.void], samples: NDArray[np.int16], n_blocks: int) -> list[Block]:
        out = np.zeros(n_blocks, BLOCK_OUT)
        signals = np.empty((n_blocks, BLOCK), np.float32)
        beats_out = np.empty(n_blocks * 8 + MAX_PENDING * len(items), np.float64)
        n = feed(items, samples, self._tables, self._kernels, self._states, (out, signals, beats_out))
        return [_block(row, signals, beats_out) for row in out[:n].tolist()]


def _block(
    row: tuple[int, int, int, int, int, int, int, float, int],
    signals: NDArray[np.float32],
    found: NDArray[np.float64],
) -> Block:
    slot, index, place, first_beat, n_beats, grade, mask, silent_s, mains_hz = row
    reasons = _reasons.get(mask)
    if reasons is None:
        reasons = _reasons[mask] = tuple(reason for k, reason in enumerate(REASONS) if mask >> k & 1)
    return Block(
        slot,
        index,
        None if place == NONE else signals[place],
        found[first_beat : first_beat + n_beats],
        QUALITIES[grade],
        reasons,
        None if math.isnan(silent_s) else silent_s,
        mains_hz or None,
    )
