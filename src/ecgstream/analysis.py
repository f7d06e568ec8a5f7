"""From pieces to findings, many sessions at once: front end, network, finding rules.

Pieces of all devices that came together run through one call of the front end; then, second by second, the seconds of
all sessions run through the network in one batch. What comes out for a session depends neither on how its samples were
cut nor on which others shared its batch.

Each session has a slot in the front end and in the scorer; the number of slots is fixed, and who may
have one is decided by `ecgstream.sessions`, before samples come here.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgstream import classifier, model_folder
from ecgstream.frontend import Block, FrontEnd
from ecgstream.messages import MISSING, Finding
from ecgstream.pieces import Event, Piece
from ecgstream.seen_beats import FS_HZ
from ecgstream.windows import WINDOW_S, SessionWindow

PROBABILITY_DIGITS = 3
LIMIT_UV = 32767


class Scores(Protocol):
    """Probabilities as of the end of a second: float32 (n, classes) each; rows of NaN where a head isn't warm."""

    @property
    def rhythm(self) -> NDArray[np.float32]: ...
    @property
    def acute(self) -> NDArray[np.float32]: ...


class Model(Protocol):
    """What the analysis asks of a model: its name and its classes."""

    @property
    def name(self) -> str: ...
    @property
    def beat_classes(self) -> tuple[str, ...]: ...
    @property
    def acute_classes(self) -> tuple[str, ...]: ...
    @property
    def rhythm_classes(self) -> tuple[str, ...]: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...


class Scorer(Protocol):
    """The network with a memory for each slot: `ecgstream.classifier.Scorer`, or a test's."""

    def reset(self, slot: int) -> None: ...
    def step(
        self,
        slots: NDArray[np.int64],
        blocks: NDArray[np.float32],
        peaks: Sequence[NDArray[np.float64]],
        seconds: NDArray[np.int64],
        /,
    ) -> Scores: ...
    def beat_probabilities(
        self, slot: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> NDArray[np.float32]: ...


class Front(Protocol):
    """The front end: `ecgstream.frontend.FrontEnd`, or a shell's that measures it."""

    def start(self, slot: int, fs_hz: float, first_sample: int) -> None: ...
    def feed(self, batch: Sequence[tuple[int, Piece]]) -> list[Block]: ...
    def finish(self, slot: int) -> list[Block]: ...


class Analyzer:
    """The sessions of up to `max_devices` devices: pieces in, findings out.

    Findings of one session come in the order of their windows.
    """

    def __init__(
        self, model: Model, max_devices: int, scorer: Scorer | None = None, front: Front | None = None
    ) -> None:
        self.model = model
        self.max_devices = max_devices
        self.network_batches: list[
            int
        ] = []  # of the last call of `feed`: streams in each call of the network
        self._scorer: Scorer
        if scorer is None:
            if not isinstance(model, model_folder.Model):
                raise TypeError(f"model: {type(model).__name__} needs a scorer of its own")
            self._scorer = classifier.Scorer(model, max_devices)
        else:
            self._scorer = scorer
        self._front: Front = front if front is not None else FrontEnd(max_devices)
        self._free = list(range(max_devices - 1, -1, -1))
        self._windows: list[SessionWindow | None] = [None] * max_devices
        self._slots: dict[str, int] = {}
        self._rings = np.zeros((max_devices, WINDOW_S, FS_HZ), np.int16)

    def feed(self, events: Sequence[Event]) -> list[Finding]:
        """Take pieces and ends of sessions, in order for each device; returns the findings to publish.

        Raises RuntimeError when a piece has no slot: sessions must be limited before they come here.
        """
        self.network_batches = []
        findings: list[Finding] = []
        batch: list[tuple[int, Piece]] = []
        for event in events:
            if isinstance(event, Piece):
                batch.append((self._slot(event), event))
            else:
                findings += self._blocks(self._front.feed(batch)) if batch else []
                batch = []
                findings += self.finish(event.device_id, event.session)
        if batch:
            findings += self._blocks(self._front.feed(batch))
        return findings

    def finish(self, device_id: str, session: str) -> list[Finding]:
        """End a session: complete its tail, free its slot; returns the findings to publish."""
        window = self._window_of(device_id)
        if window is None or window.session != session:
            return []
        findings = self._blocks(self._front.finish(window.slot))
        self.forget(device_id)
        return findings

    def forget(self, device_id: str) -> None:
        """Drop a device's state without completing anything: another process goes on with it."""
        slot = self._slots.pop(device_id, None)
        if slot is not None:
            self._windows[slot] = None
            self._free.append(slot)

    def next_windows(self) -> dict[str, int]:
        """The next undecided window of each device's session."""
        return {w.device_id: w.next_window for w in self._windows if w is not None}

    def _window_of(self, device_id: str) -> SessionWindow | None:
        slot = self._slots.get(device_id)
        return None if slot is None else self._windows[slot]

    def _slot(self, piece: Piece) -> int:
        slot = self._slots.get(piece.device_id)
        if slot is None:
            slot = self._open(piece)
        window = self._windows[slot]
        assert window is not None
        if window.session != piece.session:
            raise RuntimeError(
                f"{piece.device_id}: a piece of the session {piece.session!r} came before {window.session!r} ended"
            )
        window.take(piece)
        return slot

    def _open(self, piece: Piece) -> int:
        if not self._free:
            raise RuntimeError(f"{piece.device_id}: no slot is free, all {len(self._windows)} are taken")
        slot = self._slots[piece.device_id] = self._free.pop()
        self._windows[slot] = SessionWindow(
            piece.device_id, piece.session, slot, piece.fs_hz, piece.first_sample
        )
        self._front.start(slot, piece.fs_hz, piece.first_sample)
        self._scorer.reset(slot)
        self._rings[slot] = MISSING
        return slot

    def _blocks(self, blocks: list[Block]) -> list[Finding]:
        findings: list[Finding] = []
        while blocks:
            hop: list[Block] = []  # the next second of each slot that has one
            later: list[Block] = []
            seen: set[int] = set()
            for block in blocks:
                if block.slot in seen:
                    later.append(block)
                else:
                    seen.add(block.slot)
                    hop.append(block)
            self._hop(hop, findings)
            blocks = later
        return findings

    def _hop(self, blocks: list[Block], findings: list[Finding]) -> None:
        """One second of some slots, each at most once."""
        windows = [self._second(block) for block in blocks]
        scored = [block for block in blocks if block.signal is not None]
        rhythm_rows: dict[int, list[float]] = {}
        acute_rows: dict[int, list[float]] = {}
        if scored:
            slots = np.array([block.slot for block in scored], np.int64)
            signals = np.array([block.signal for block in scored], np.float32)
            seconds = np.array([block.index for block in scored], np.int64)
            in_uv = np.rint(np.clip(signals, -LIMIT_UV, LIMIT_UV)).astype(np.int16)
            self._rings[slots, seconds % WINDOW_S] = in_uv
            self.network_batches.append(len(slots))
            starts = [self._windows[block.slot].cnn_start or 0 for block in scored]  # type: ignore[union-attr]
            peaks = [block.beats - start for block, start in zip(scored, starts, strict=True)]
            scores = self._scorer.step(slots, signals, peaks, seconds)
            rhythm_rows = _rows(scored, scores.rhythm)
            acute_rows = _rows(scored, scores.acute)
            self._classify(windows)
        model = self.model
        for window, block in zip(windows, blocks, strict=True):
            finding = window.finding(
                model,
                rhythm_rows.get(block.slot),
                acute_rows.get(block.slot),
                block.silent_s,
                self._rings[block.slot],
            )
            if finding is not None:
                findings.append(finding)

    def _second(self, block: Block) -> SessionWindow:
        window = self._windows[block.slot]
        assert window is not None
        if block.index > window.next_window:
            self._rings[block.slot] = MISSING  # the front end jumped over a gap longer than a window
        if block.signal is None:
            self._rings[block.slot, block.index % WINDOW_S] = MISSING
            if window.cnn_start is not None:
                self._scorer.reset(block.slot)
                window.cnn_start = None
                window.pending = []
        elif window.cnn_start is None:
            window.cnn_start = block.index * FS_HZ
        window.second(block.index, block.beats, block.quality, block.reasons)
        return window

    def _classify(self, windows: list[SessionWindow]) -> None:
        """Ask for the classes of all beats that wait for theirs, in one call."""
        waiting = [window for window in windows if window.pending]
        if not waiting:
            return
        slots, positions = [], []
        for window in waiting:
            start = window.cnn_start or 0
            for beat in window.pending:
                slots.append(window.slot)
                positions.append(beat.position - start)
        found = self._scorer.beat_probabilities(np.array(slots, np.int64), np.array(positions, np.float64))
        unknown = np.isnan(found[:, 0])
        best = np.where(unknown, 0, np.argmax(np.where(unknown[:, None], 0.0, found), axis=1))
        probabilities = np.round(
            found[np.arange(len(best)), best].astype(np.float64), PROBABILITY_DIGITS
        ).tolist()
        names = self.model.beat_classes
        kinds = [None if u else names[b] for u, b in zip(unknown.tolist(), best.tolist(), strict=True)]
        at = 0
        for window in waiting:
            n = len(window.pending)
            window.classified(kinds[at : at + n], probabilities[at : at + n])
            at += n


def _rows(blocks: list[Block], scores: NDArray[np.float32]) -> dict[int, list[float]]:
    """Probabilities by slot, of the slots whose head is warm."""
    rows = np.round(scores.astype(np.float64), PROBABILITY_DIGITS).tolist()
    return {block.slot: row for block, row in zip(blocks, rows, strict=True) if row[0] == row[0]}
