"""The front end's one kernel: a batch of items through every stage, slot by slot, without the interpreter lock.

An item is a piece of one slot's samples or the end of its session. Signal goes through the stages in parts that reach no further
than a second's end, and a block is written as soon as the band-pass filter completes it; what is known then depends on the
samples alone, so neither cutting nor batching changes anything.

No call has True or False for an argument: numba would compile what is called, and all that it calls, once for each.
"""

import numba as nb
import numpy as np

from ecgstream import beats, curve_length, filtering, quality, reliability, resampling

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


@nb.njit(cache=True, nogil=True)
def _grade(slot, detector, other, gate):  # type: ignore[no-untyped-def]
    """Quality and reasons of the block that is complete, and whether its silence can be told."""
    end = (slot.next_block + 1) * BLOCK
    known, also, n, m = detector.recent, other.recent, detector.n_beats, other.n_beats
    agree_long = reliability.agreement(known, n, also, m, end - quality.LOOK_BACK_S * BLOCK, end)
    agree_short = reliability.agreement(known, n, also, m, end - quality.SHORT_S * BLOCK, end)
    noise, spread = reliability.noise_and_spread(detector, end - quality.SHORT_S * BLOCK, end)
    silent_s = (end - known[(n - 1) % known.size]) / FS_HZ if n else 0.0
    told = (agree_long, agree_short, noise, spread, reliability.level_kept(detector), silent_s)
    grade, reasons = quality.assess(gate, slot.next_block, slot.buffer, told)
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
        is_gap = slot.next_block < first_block
        _emit(s, slot, detectors[s], others[s], gates[s], outputs, counts, is_gap)
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
        _part(s, resampled[done : done + size], done == n, kernels, states, outputs, counts)
        done += size
    if is_end:
        _part(s, resampled[:0], done == n, kernels, states, outputs, counts)
        slot.running = False


@nb.njit(cache=True, nogil=True)
def feed(items, samples, tables, kernels, states, outputs):  # type: ignore[no-untyped-def]
    """Take a batch; returns how many blocks were written."""
    counts = np.zeros(3, np.int64)
    nothing = np.empty(0, np.float32)
    for item in items:
        s = item.slot
        slot = states[0][s]
        size = resampling.PHASES * item.table_width
        table = tables[item.table_at : item.table_at + size].reshape((resampling.PHASES, item.table_width))
        is_end = item.finish or item.first_sample != slot.expected
        if slot.running and is_end:
            _samples(s, table, nothing, is_end, kernels, states, outputs, counts)
        if item.finish:
            continue
        if not slot.running:
            _begin_run(item, s, states, outputs, counts)
        second = np.int64(
            np.ceil(slot.fs_hz)
        )  # at a time: what `quality` keeps of each must last until its block is graded
        for done in range(0, item.n_samples, second):
            raw = samples[item.at + done : item.at + min(done + second, item.n_samples)]
            quality.step(states[5][s], slot.expected, raw, slot.fs_hz, item.uv_per_lsb)
            if item.lead_off:
                slot.lead_off_until = np.int64(np.ceil((slot.expected + raw.size) * FS_HZ / slot.fs_hz))
            x = np.empty(raw.size, np.float32)
            for i in range(raw.size):
                x[i] = np.float32(raw[i] * item.uv_per_lsb)
            _samples(s, table, x, item.finish, kernels, states, outputs, counts)
    return counts[0]
