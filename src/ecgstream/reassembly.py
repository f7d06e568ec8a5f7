"""From chunks to pieces: one session's samples in order, each once.

Chunks come duplicated, late, overlapping or not at all. What arrives out of order is held, at most `HOLD_S`
seconds of samples or `MAX_HELD_CHUNKS` chunks of it; at that bound what is missing becomes a gap, and what
comes later still is dropped. An overlap must agree sample for sample with what is known, as far as the last
`HOLD_S` seconds are remembered: an agreeing one is trimmed and counted, a contradicting one refused. The
rate, the gain and the lead belong to the session.

A session read from its first sample begins at once. One first seen in its middle (the log is read again, the
device was away, its first chunks changed places) begins when `HOLD_S` of samples were seen, so that one odd chunk at
the front sets neither the rate nor the place.

Nothing is lost in silence: `Counts` counts what was dropped, and what is refused goes back with its reason.
"""

from bisect import insort
from collections import Counter, deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Chunk
from ecgstream.pieces import Counts, Event, Piece, Refusal, Source

HOLD_S = 10
MAX_HELD_CHUNKS = 256
SAME_CLOCK_US = 10_000_000  # a repeated chunk's times agree within this


class Held(msgspec.Struct, frozen=True):
    """A chunk that waits for what comes before it."""

    chunk: Chunk
    source: Source
    delivered: int  # samples that the stream had delivered when it came


def by_place(held: Held) -> int:
    """Sort key of held chunks."""
    return held.chunk.first_sample


def epoch_us(chunk: Chunk) -> int:
    """UTC time of the session's sample 0 by this chunk's clock, rounded to whole ms."""
    return round((chunk.start_us - chunk.first_sample * 1e6 / chunk.fs_hz) / 1000) * 1000


def settings(chunk: Chunk) -> tuple[float, float, str]:
    """What must not change inside a session: rate, gain, lead."""
    return chunk.fs_hz, chunk.uv_per_lsb, chunk.lead


class Stream:
    """One session of one device, put in order."""

    __slots__ = (
        "counts",
        "delivered",
        "device_id",
        "epoch",
        "expected",
        "fs_hz",
        "gaps",
        "head",
        "held",
        "held_samples",
        "recent",
        "session",
        "settings",
        "start",
    )

    def __init__(self, chunk: Chunk, counts: Counts) -> None:
        self.device_id = chunk.device_id
        self.session = chunk.session
        self.settings = settings(chunk)
        self.fs_hz = chunk.fs_hz
        self.counts = counts
        self.start = 0 if chunk.first_sample == 0 else -1  # where delivery begins; -1: not known yet
        self.expected = self.start  # next sample to deliver
        self.head = 0  # index after the furthest sample seen
        self.gaps: list[tuple[int, int]] = []  # (first missing sample, how many), for the caller to take
        self.held: list[Held] = []  # by place; by arrival until the stream has begun
        self.held_samples = 0
        self.delivered = 0
        self.epoch = epoch_us(chunk)
        self.recent: deque[tuple[int, NDArray[np.int16]]] = deque()  # what was delivered in the last HOLD_S

    @property
    def begun(self) -> bool:
        """Whether the place to begin at is known."""
        return self.start >= 0

    @property
    def arrived(self) -> int:
        """How many samples have come, delivered or held."""
        return self.delivered + self.held_samples

    def push(self, chunk: Chunk, source: Source, pieces: list[Event], refused: list[Refusal]) -> bool:
        """Take one chunk of this session: append what is now in order to `pieces`, what can't be to `refused`.

        Returns whether the chunk was taken and lies wholly beyond all that was seen before: reading again
        from there sees all that follows.
        """
        self.counts.chunks += 1
        n_samples = chunk.n_samples
        if n_samples == 0:
            return False
        first = chunk.first_sample
        n_refused = len(refused)
        if self.expected < 0:
            self._pile(chunk, source, pieces, refused)
        elif settings(chunk) != self.settings:
            refused.append(Refusal(source, self._change(chunk)))
        elif first <= self.expected:
            self._place(chunk, source, pieces, refused)
            if self.held:
                self._drain(pieces, refused)
        else:
            insort(self.held, Held(chunk, source, self.delivered), key=by_place)
            self.held_samples += n_samples
            self._drain(pieces, refused)
        ahead = first >= self.head and len(refused) == n_refused
        self.head = max(self.head, first + n_samples) if len(refused) == n_refused else self._furthest()
        return ahead

    def end(self, pieces: list[Event], refused: list[Refusal]) -> None:
        """Nothing more will come: deliver what is held, with its gaps."""
        if not self.begun:
            self._begin(pieces, refused)
        while self.held:
            self._declare_gap()
            self._drain(pieces, refused)

    def _deliver(self, chunk: Chunk, samples: NDArray[np.int16], first: int, pieces: list[Event]) -> None:
        self.epoch = epoch_us(chunk)
        pieces.append(
            Piece(
                self.device_id,
                self.session,
                first,
                self.fs_hz,
                chunk.uv_per_lsb,
                self.epoch,
                chunk.lead_off,
                samples,
            )
        )
        self.expected = end = first + samples.size
        self.delivered += samples.size
        recent = self.recent
        recent.append((first, samples))
        known_from = end - HOLD_S * self.fs_hz
        while recent[0][0] + recent[0][1].size <= known_from:
            recent.popleft()

    def _place(self, chunk: Chunk, source: Source, pieces: list[Event], refused: list[Refusal]) -> None:
        """Deliver a chunk that begins at or before the expected sample."""
        samples = chunk.array()
        known = self.expected - chunk.first_sample
        if known == 0:
            self._deliver(chunk, samples, chunk.first_sample, pieces)
            return
        if reason := self._contradiction(chunk, samples):
            refused.append(Refusal(source, reason))
        elif known < samples.size:
            self.counts.trimmed += 1
            self._deliver(chunk, samples[known:], self.expected, pieces)

    def _contradiction(self, chunk: Chunk, samples: NDArray[np.int16]) -> str | None:
        """Why the known part of a chunk can't be, or None; counts duplicates and late chunks."""
        first, end = chunk.first_sample, chunk.first_sample + samples.size
        compared = 0
        for known_first, known in self.recent:
            low, high = max(first, known_first), min(end, known_first + known.size)
            if low >= high:
                continue
            ours, theirs = known[low - known_first : high - known_first], samples[low - first : high - first]
            if not np.array_equal(ours, theirs):
                at = int(np.flatnonzero(ours != theirs)[0])
                return (
                    f"samples: sample {low + at} is {theirs[at]}, but {ours[at]} was received before "
                    f"(overlap of {high - low} samples from {low} on)"
                )
            compared += high - low
        if end > self.expected:
            return None
        if compared:
            self.counts.duplicates += 1
            return None
        if abs(epoch_us(chunk) - self.epoch) > SAME_CLOCK_US:
            return (
                f"first_sample: {first} is {(self.expected - first) / self.fs_hz:.1f} s behind the stream, which "
                f"is at {self.expected}, though start_us is not; a device that restarts its counter takes a new "
                "session"
            )
        self.counts.late += 1
        return None

    def _drain(self, pieces: list[Event], refused: list[Refusal]) -> None:
        """Deliver held chunks whose turn has come; keep what is held within its bound."""
        while self.held:
            over = self.held_samples > HOLD_S * self.fs_hz or len(self.held) > MAX_HELD_CHUNKS
            if self.held[0].chunk.first_sample > self.expected:
                if not over:
                    break
                self._declare_gap()
            held = self.held.pop(0)
            self.held_samples -= held.chunk.n_samples
            self.counts.reordered += 1
            self._place(held.chunk, held.source, pieces, refused)
        reach = HOLD_S * self.fs_hz
        while self.held:
            held = self.held[-1]
            if self.delivered - held.delivered <= reach or by_place(held) - self.expected <= reach:
                break
            self.held.pop()
            self.held_samples -= held.chunk.n_samples
            refused.append(
                Refusal(
                    held.source,
                    f"first_sample: {held.chunk.first_sample} is "
                    f"{(held.chunk.first_sample - self.expected) / self.fs_hz:.1f} s ahead of the stream, which "
                    f"went on for more than {HOLD_S} s without reaching it",
                )
            )

    def _declare_gap(self) -> None:
        missing = self.held[0].chunk.first_sample - self.expected
        if missing > 0:
            self.counts.gaps += 1
            self.counts.gap_s += missing / self.fs_hz
            self.gaps.append((self.expected, missing))
            self.expected += missing

    def _furthest(self) -> int:
        ends = [held.chunk.end_sample for held in self.held]
        return max([self.expected, *ends])

    def _pile(self, chunk: Chunk, source: Source, pieces: list[Event], refused: list[Refusal]) -> None:
        self.held.append(Held(chunk, source, 0))
        self.held_samples += chunk.n_samples
        if self.held_samples >= HOLD_S * chunk.fs_hz or len(self.held) >= MAX_HELD_CHUNKS:
            self._begin(pieces, refused)

    def _begin(self, pieces: list[Event], refused: list[Refusal]) -> None:
        """Begin with what is piled up, with the settings that most of the pile have.

        It begins with the chunk that came first, unless most of the others lie far behind that one; or with the session's first
        sample, if all from there to that chunk came later: chunks that changed places in a session's first seconds.
        """
        pile, self.held, self.held_samples = self.held, [], 0
        if not pile:
            return
        self.settings = Counter(settings(held.chunk) for held in pile).most_common(1)[0][0]
        self.fs_hz = self.settings[0]
        fitting = []
        for held in pile:
            if settings(held.chunk) == self.settings:
                fitting.append(held)
            else:
                refused.append(Refusal(held.source, self._change(held.chunk)))
        middle = sorted(map(by_place, fitting))[len(fitting) // 2]
        reach = HOLD_S * self.fs_hz
        first = next(place for place in map(by_place, fitting) if place - middle <= reach)
        known = 0
        for held in sorted(fitting, key=by_place):
            if held.chunk.first_sample <= known:
                known = max(known, held.chunk.end_sample)
        self.start = self.expected = 0 if known >= first else first
        self.epoch = epoch_us(fitting[0].chunk)
        for held in fitting:
            if held.chunk.end_sample > self.expected:
                insort(self.held, held, key=by_place)
                self.held_samples += held.chunk.n_samples
            else:
                self.counts.late += 1
        self._drain(pieces, refused)

    def _change(self, chunk: Chunk) -> str:
        names = ("fs_hz", "uv_per_lsb", "lead")
        changes = [
            f"{name}: {new!r}, but the session {self.session!r} has {old!r}"
            for name, old, new in zip(names, self.settings, settings(chunk), strict=True)
            if old != new
        ]
        return "; ".join(changes) + " (a device that changes its settings takes a new session)"
