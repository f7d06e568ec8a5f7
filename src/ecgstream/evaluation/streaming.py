"""Recordings through the path that serves: front end and scorer, second by second, many records side by side.

What comes out is what the monitor would have known about each second, no more: no filter looks ahead beyond
its stated delay and no score is computed that the stream would not compute.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.sources import Source, SourcePiece, pieces_of
from ecgstream.messages import Quality, Reason

FS_HZ = 128
BEAT_WAIT_BLOCKS = 12  # a beat whose frame isn't known by then is given up as unclassified


class Model(Protocol):
    """What an evaluation needs to know of a model."""

    @property
    def name(self) -> str: ...
    @property
    def beat_classes(self) -> Sequence[str]: ...
    @property
    def acute_classes(self) -> Sequence[str]: ...
    @property
    def rhythm_classes(self) -> Sequence[str]: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...
    @property
    def record_weights(self) -> Mapping[str, float]: ...


class Scorer(Protocol):
    """The scorer that serves (`ecgstream.classifier.Scorer`)."""

    def reset(self, slot: int) -> None:
        """Forget the slot's stream."""

    def step(
        self,
        slots: NDArray[np.int64],
        blocks: NDArray[np.float32],
        peaks: Sequence[NDArray[np.float64]],
        seconds: NDArray[np.int64],
        /,
    ) -> Any:
        """One block of 128 samples for each slot; `.rhythm` and `.acute`, rows NaN while not warm."""

    def beat_probabilities(self, slot: int, positions: NDArray[np.float64]) -> NDArray[np.float32]:
        """(m, n_beat_classes) at positions in samples since the reset; rows NaN where not known yet."""


class FrontEnd(Protocol):
    """The front end that serves (`ecgstream.frontend.FrontEnd`)."""

    def start(self, slot: int, fs_hz: float, first_sample: int) -> None:
        """Begin a run."""

    def feed(self, batch: Sequence[tuple[int, Any]]) -> list[Any]:
        """Take pieces, give the blocks that are now complete."""

    def finish(self, slot: int) -> list[Any]:
        """End the slot's session and give the rest."""


@dataclass
class Stream:
    """What the monitor knew of one recording, a row for each second b, known once second b had ended.

    acute: float32 (n_s, n_acute); rhythm: float32 (n_s, n_rhythm); NaN rows while not warm. readable: bool
    (n_s,), False where the front end calls the second unreadable or there is no signal. beats_s: float64
    (m,), R peak times; beats: float32 (m, n_beat_classes), NaN rows where no class was given; found, classed: int64
    (m,), the seconds in which a beat was found and its class came. signal:
    float32 (n_s * 128,), µV, filtered, NaN in gaps; only when asked for. grades, reasons: the quality of each second.
    """

    source: Source
    acute: NDArray[np.float32]
    rhythm: NDArray[np.float32]
    readable: NDArray[np.bool_]
    beats_s: NDArray[np.float64]
    beats: NDArray[np.float32]
    found: NDArray[np.int64]
    classed: NDArray[np.int64]
    signal: NDArray[np.float32] | None = None
    grades: list[Quality] = field(default_factory=list)
    reasons: list[tuple[Reason, ...]] = field(default_factory=list)


class _Beat(NamedTuple):
    """An R peak [model samples], its class's probabilities (NaN where none came), the blocks in which it was found and these came."""

    at: float
    share: NDArray[np.float32]
    found: int
    classed: int


@dataclass
class _Recorder:
    """Collects one record's rows, and asks for each beat's class until its frame is known."""

    source: Source
    n_classes: int
    reset_at: int = 0  # model sample at which the scorer's slot began
    acute: list[NDArray[np.float32]] = field(default_factory=list)
    rhythm: list[NDArray[np.float32]] = field(default_factory=list)
    grades: list[Quality] = field(default_factory=list)
    reasons: list[tuple[Reason, ...]] = field(default_factory=list)
    signal: list[NDArray[np.float32]] = field(default_factory=list)
    known: list[_Beat] = field(default_factory=list)
    pending: list[tuple[float, int]] = field(default_factory=list)  # position, block in which it was found

    def ask(self, scorer: Scorer, slot: int, block: int) -> None:
        """Move pending beats whose probabilities are known, or whose time is up, to the known ones."""
        if not self.pending:
            return
        positions = np.array([at for at, _ in self.pending])
        shares = scorer.beat_probabilities(slot, positions - self.reset_at)
        waiting = []
        for (at, found), share in zip(self.pending, shares, strict=True):
            if np.isnan(share).any() and block - found < BEAT_WAIT_BLOCKS:
                waiting.append((at, found))
            else:
                self.known.append(_Beat(at, share, found, block))
        self.pending = waiting

    def abandon(self) -> None:
        """Give up what is still pending: the scorer has lost its frames."""
        unknown = np.full(self.n_classes, np.nan, np.float32)
        self.known += [_Beat(at, unknown, found, found) for at, found in self.pending]
        self.pending = []

    def stream(self, keep_signal: bool) -> Stream:
        self.abandon()
        self.known.sort(key=lambda beat: beat.at)
        return Stream(
            self.source if keep_signal else self.source.without_samples(),
            np.array(self.acute, np.float32),
            np.array(self.rhythm, np.float32),
            np.array([grade is not Quality.UNREADABLE for grade in self.grades], bool),
            np.array([beat.at for beat in self.known]) / FS_HZ,
            np.array([beat.share for beat in self.known], np.float32).reshape(-1, self.n_classes),
            np.array([beat.found for beat in self.known], np.int64),
            np.array([beat.classed for beat in self.known], np.int64),
            np.concatenate([np.empty(0, np.float32), *self.signal]) if keep_signal else None,
            self.grades,
            self.reasons,
        )


class Unscored:
    """A scorer that knows nothing: for running the front end alone."""

    def __init__(self, n_acute: int, n_rhythm: int, n_beats: int) -> None:
        self.sizes = n_acute, n_rhythm, n_beats

    def reset(self, slot: int) -> None:
        """Nothing to forget."""

    def step(self, slots: NDArray[np.int64], *_: object) -> "Unscored":
        """NaN for every slot."""
        self.acute = np.full((len(slots), self.sizes[0]), np.nan, np.float32)
        self.rhythm = np.full((len(slots), self.sizes[1]), np.nan, np.float32)
        return self

    def beat_probabilities(self, slot: int, positions: NDArray[np.float64]) -> NDArray[np.float32]:
        """NaN for every beat."""
        return np.full((len(positions), self.sizes[2]), np.nan, np.float32)


def unscored(model: Model) -> Scorer:
    """A scorer that knows nothing, in the model's sizes."""
    return Unscored(len(model.acute_classes), len(model.rhythm_classes), len(model.beat_classes))


def stream_records(
    model: Model,
    sources: Iterable[Source],
    *,
    n_slots: int = 8,
    keep_signal: bool = False,
    front_end: FrontEnd | None = None,
    scorer: Scorer | None = None,
    done: Callable[[Stream], None] = lambda _stream: None,
) -> list[Stream]:
    """Stream recordings through front end and scorer, `n_slots` at a time; `done` is told of each as it
    ends. The streams come in the order in which they end, without their samples unless signals are kept.
    """
    if front_end is None or scorer is None:
        serving_front_end, serving_scorer = _serving(model, n_slots, scorer)
        front_end, scorer = front_end or serving_front_end, scorer or serving_scorer
    waiting = iter(sources)
    streams: list[Stream] = []
    running: dict[int, tuple[_Recorder, Iterator[SourcePiece]]] = {}
    free = list(range(n_slots))
    exhausted = False
    while running or not exhausted:
        while free and not exhausted:
            source = next(waiting, None)
            if source is None:
                exhausted = True
                break
            slot = free.pop()
            front_end.start(slot, source.fs_hz, 0)
            scorer.reset(slot)
            running[slot] = (_Recorder(source, len(model.beat_classes)), pieces_of(source))
        batch, ended = [], []
        for slot, (_, pieces) in running.items():
            piece = next(pieces, None)
            if piece is None:
                ended.append(slot)
            else:
                batch.append((slot, piece))
        blocks = front_end.feed(batch) if batch else []
        for slot in ended:
            blocks += front_end.finish(slot)
        _score(
            model, scorer, blocks, {slot: recorder for slot, (recorder, _) in running.items()}, keep_signal
        )
        for slot in ended:
            recorder, _ = running.pop(slot)
            streams.append(recorder.stream(keep_signal))
            done(streams[-1])
            free.append(slot)
    return streams


def _serving(model: Model, n_slots: int, scorer: Scorer | None) -> tuple[FrontEnd, Scorer]:
    from ecgstream import classifier, frontend, model_folder

    front_end: FrontEnd = frontend.FrontEnd(n_slots)
    return front_end, scorer or classifier.Scorer(cast("model_folder.Model", model), n_slots)


def _score(
    model: Model, scorer: Scorer, blocks: list[Any], recorders: dict[int, _Recorder], keep_signal: bool
) -> None:
    """Take the blocks of many slots in rounds of one block a slot, so that the scorer sees batches."""
    queues: dict[int, list[Any]] = {}
    for block in blocks:
        queues.setdefault(block.slot, []).append(block)
    while queues:
        heads = [queue.pop(0) for queue in queues.values()]
        queues = {slot: queue for slot, queue in queues.items() if queue}
        live = [block for block in heads if block.signal is not None]
        if live:
            scores = scorer.step(
                np.array([block.slot for block in live], np.int64),
                np.stack([block.signal for block in live]).astype(np.float32),
                [block.beats - recorders[block.slot].reset_at for block in live],
                np.array([block.index for block in live], np.int64),
            )
        for row, block in enumerate(live):
            recorder = recorders[block.slot]
            recorder.acute.append(np.array(scores.acute[row]))
            recorder.rhythm.append(np.array(scores.rhythm[row]))
            recorder.grades.append(block.quality)
            recorder.reasons.append(block.reasons)
            if keep_signal:
                recorder.signal.append(np.array(block.signal))
            recorder.pending += [(float(at), block.index) for at in block.beats]
            recorder.ask(scorer, block.slot, block.index)
        for block in heads:
            if block.signal is None:
                _gap(model, scorer, block, recorders[block.slot], keep_signal)


def _gap(model: Model, scorer: Scorer, block: Any, recorder: _Recorder, keep_signal: bool) -> None:
    recorder.ask(scorer, block.slot, block.index)
    recorder.pending += [(float(at), block.index) for at in block.beats]
    recorder.abandon()
    scorer.reset(block.slot)
    recorder.reset_at = (block.index + 1) * FS_HZ
    recorder.acute.append(np.full(len(model.acute_classes), np.nan, np.float32))
    recorder.rhythm.append(np.full(len(model.rhythm_classes), np.nan, np.float32))
    recorder.grades.append(Quality.UNREADABLE)
    recorder.reasons.append(block.reasons)
    if keep_signal:
        recorder.signal.append(np.full(FS_HZ, np.nan, np.float32))
