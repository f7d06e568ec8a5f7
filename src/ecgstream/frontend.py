"""The front end: from pieces of device samples to blocks of one second at the model's rate, many devices in one call.

A piece runs through resampling, the band-pass filter, the beat detector and the quality gate; a block of 128 filtered samples
comes out when its last sample is known, about 1.1 s after it (0.1 s resampler, 1.0 s filter). Sample `m` of a session
is at `m / 128` s after its sample 0, and block `b` is samples `[128 b, 128 b + 128)`, wherever reading began. Nothing here depends on how the
samples were cut into pieces or batched over devices.

A gap ends a run: the tail is completed by holding the last sample, the blocks that no run covers
wholly are gap blocks, and a new run begins. A gap longer than `MAX_GAP_BLOCKS` emits that many and then jumps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ecgstream import beats, curve_length, filtering, quality, resampling
from ecgstream.messages import Quality, Reason

FS_HZ = resampling.MODEL_FS_HZ
BLOCK = FS_HZ
MAX_GAP_BLOCKS = 60
MAX_PENDING = 64
NONE = -1

SLOT = np.dtype(
    [
        ("running", np.bool_),
        ("fs_hz", np.float64),
        ("expected", np.int64),  # input index after the last one
        ("next_block", np.int64),
        ("run_first", np.int64),  # first model sample of the run
        ("buffer", np.float32, (BLOCK,)),  # filtered samples of the next block
        ("lead_off_until", np.int64),  # model sample after the last one that came with the lead off
        ("silent_from", np.float64),  # model sample: the latest beat, or from when on beats could be seen
        ("n_pending", np.int64),
        ("pending", np.float64, (MAX_PENDING,)),  # beats decided since the last block
    ]
)

BLOCK_OUT = np.dtype(
    [
        ("slot", np.int64),
        ("index", np.int64),
        ("row", np.int64),  # in the batch's signals; -1 for a gap
        ("first_beat", np.int64),
        ("n_beats", np.int64),
        ("quality", np.int64),
        ("reasons", np.int64),
        ("silent_s", np.float64),
        ("mains_hz", np.int64),
    ]
)

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

    signal: float32 (128,), µV, filtered; None for a gap. beats: float64 (n,), R peaks in model samples of the session that were decided since
    the block before, which may lie in earlier seconds. silent_s: time from the latest beat to the block's end; None when unknown.
    """

    slot: int
    index: int
    signal: NDArray[np.float32] | None
    beats: NDArray[np.float64]
    quality: Quality
    reasons: tuple[Reason, ...]
    silent_s: float | None
    mains_hz: int | None


@nb.njit(cache=True, nogil=True)
def _grade(slot, detector, other, gate):  # type: ignore[no-untyped-def]
    """Quality and reasons of the block that is complete, and whether its silence can be told."""
    end = (slot.next_block + 1) * BLOCK
    known, also, n, m = detector.recent, other.recent, detector.n_beats, other.n_beats
    agree_long = quality.agreement(known, n, also, m, end - quality.LOOK_BACK_S * BLOCK, end)
    agree_short = quality.agreement(known, n, also, m, end - 4 * BLOCK, end)
    noise = beats.noise_ratio(detector, end - 4 * BLOCK, end)
    grade, reasons = quality.assess(gate, slot.next_block, slot.buffer, agree_long, agree_short, noise)
    if slot.lead_off_until > end - BLOCK:
        return quality.UNREADABLE, reasons | quality.LEAD_OFF
    return grade, reasons


@nb.njit(cache=True, nogil=True)
def _emit(slot_index, slot, detector, other, gate, outputs, counts, is_gap):  # type: ignore[no-untyped-def]
    """Write the slot's next block; `counts` holds how many blocks, signals and beats were written."""
    out, signals, beats_out = outputs
    block = out[counts[0]]
    end = (slot.next_block + 1) * BLOCK
    block.slot, block.index = slot_index, slot.next_block
    block.first_beat, block.n_beats = counts[2], slot.n_pending
    for k in range(slot.n_pending):
        beats_out[counts[2] + k] = slot.pending[k]
        slot.silent_from = max(slot.silent_from, slot.pending[k])
    counts[2] += slot.n_pending
    slot.n_pending = 0
    block.row, block.silent_s, block.mains_hz = NONE, np.nan, 0
    block.quality, block.reasons = quality.UNREADABLE, quality.GAP
    if not is_gap:
        block.row = counts[1]
        signals[counts[1]] = slot.buffer
        counts[1] += 1
        block.mains_hz = quality.mains_hz(gate, slot.next_block)
        block.quality, block.reasons = _grade(slot, detector, other, gate)
    if block.quality == quality.UNREADABLE:
        slot.silent_from = end  # nobody knows what went before
    elif not block.reasons & quality.WARM_UP:
        block.silent_s = max(0.0, (end - slot.silent_from) / FS_HZ)
    counts[0] += 1
    slot.next_block += 1


@nb.njit(cache=True, nogil=True)
def _begin_run(item, s, states, outputs, counts):  # type: ignore[no-untyped-def]
    """Start every stage at the item's first sample, and emit the blocks between as gaps."""
    slots, resamplers, filters, detectors, others, gates = states
    slot = slots[s]
    resampling.start(resamplers[s], slot.fs_hz, item.first_sample)
    slot.run_first = resamplers[s].n_out
    first_block = slot.run_first // BLOCK
    for _ in range(min(MAX_GAP_BLOCKS, first_block - slot.next_block)):
        _emit(s, slot, detectors[s], others[s], gates[s], outputs, counts, True)
    slot.next_block = max(slot.next_block, first_block)
    slot.expected = item.first_sample
    filtering.start(filters[s], slot.run_first)
    beats.start(detectors[s], slot.run_first)
    curve_length.start(others[s], slot.run_first)
    quality.start(gates[s], slot.run_first)
    slot.silent_from = slot.run_first
    slot.running = True


@nb.njit(cache=True, nogil=True)
def _part(s, part, is_end, kernels, states, outputs, counts):  # type: ignore[no-untyped-def]
    """Take resampled signal that reaches no further than the end of a second; at a run's end complete the rest."""
    slots, _, filters, detectors, others, gates = states
    slot, band, gate = slots[s], filters[s], gates[s]
    plain, without_mains, wavelet = kernels
    slot.n_pending += beats.step(detectors[s], wavelet, part, is_end, slot.pending[slot.n_pending :])
    curve_length.step(others[s], part)
    filtered = np.empty(part.size + BLOCK, np.float32)
    at = band.n_out
    kernel = plain if quality.mains_hz(gate, at // BLOCK) == 0 else without_mains
    for i in range(filtering.step(band, kernel, part, is_end, filtered)):
        place = (at + i) % BLOCK
        slot.buffer[place] = filtered[i]
        if place == BLOCK - 1:
            is_gap = slot.run_first > slot.next_block * BLOCK
            _emit(s, slot, detectors[s], others[s], gate, outputs, counts, is_gap)


@nb.njit(cache=True, nogil=True)
def _samples(s, table, x, is_end, kernels, states, outputs, counts):  # type: ignore[no-untyped-def]
    """Take device samples (float32, µV) of the present run, or end it."""
    slot, resampler = states[0][s], states[1][s]
    at = resampler.n_out
    resampled = np.empty(np.int64((x.size + 2) * FS_HZ / slot.fs_hz) + BLOCK, np.float32)
    n = resampling.step(resampler, table, slot.expected, x, is_end, resampled)
    slot.expected += x.size
    done = 0
    while done < n:
        size = min(n - done, BLOCK - (at + done) % BLOCK)
        _part(s, resampled[done : done + size], False, kernels, states, outputs, counts)
        done += size
    if is_end:
        _part(s, resampled[:0], True, kernels, states, outputs, counts)
        slot.running = False


@nb.njit(cache=True, nogil=True)
def _feed(items, samples, tables, kernels, states, outputs):  # type: ignore[no-untyped-def]
    """Take a batch; returns how many blocks were written."""
    counts = np.zeros(3, np.int64)
    nothing = np.empty(0, np.float32)
    for item in items:
        s = item.slot
        slot = states[0][s]
        size = resampling.PHASES * item.table_width
        table = tables[item.table_at : item.table_at + size].reshape((resampling.PHASES, item.table_width))
        is_gap = item.first_sample != slot.expected
        if slot.running and (item.finish or is_gap):
            _samples(s, table, nothing, True, kernels, states, outputs, counts)
        if item.finish:
            continue
        if not slot.running:
            _begin_run(item, s, states, outputs, counts)
        raw = samples[item.at : item.at + item.n_samples]
        quality.step(states[5][s], item.first_sample, raw, slot.fs_hz, item.uv_per_lsb)
        if item.lead_off:
            slot.lead_off_until = np.int64(np.ceil((slot.expected + raw.size) * FS_HZ / slot.fs_hz))
        x = np.empty(raw.size, np.float32)
        for i in range(raw.size):
            x[i] = np.float32(raw[i] * item.uv_per_lsb)
        _samples(s, table, x, False, kernels, states, outputs, counts)
    return counts[0]


ITEM = np.dtype(
    [
        ("slot", np.int64),
        ("first_sample", np.int64),
        ("at", np.int64),
        ("n_samples", np.int64),
        ("uv_per_lsb", np.float64),
        ("lead_off", np.bool_),
        ("finish", np.bool_),
        ("table_at", np.int64),
        ("table_width", np.int64),
    ]
)


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
        """Begin a session in a slot whose first sample to come has index `first_sample`; forgets what was there."""
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
        n = _feed(items, samples, self._tables, self._kernels, self._states, (out, signals, beats_out))
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
