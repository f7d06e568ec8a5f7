"""A log in memory, and a reader of it as the monitor is one: sessions, analysis, commits; no Kafka."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.analysis import Analyzer
from ecgstream.frontend import Block, FrontEnd
from ecgstream.messages import Chunk, Finding, Quality, Reason
from ecgstream.pieces import Event, Refusal
from ecgstream.replay import Place
from ecgstream.sessions import Sessions
from fakes import FakeModel, FakeScorer

START_US = 1_700_000_000_000_000
Log = list[tuple[Chunk, Place]]
Identity = tuple[str, str, int]


def chunk(first: int, samples: Any, **fields: Any) -> Chunk:
    """A chunk of device ``d``, session ``s``, at 100 Hz unless told otherwise."""
    fs_hz = fields.pop("fs_hz", 100.0)
    given: dict[str, Any] = {
        "device_id": "d",
        "session": "s",
        "first_sample": first,
        "start_us": START_US + round(first * 1e6 / fs_hz),
        "fs_hz": fs_hz,
        "uv_per_lsb": 2.0,
        "samples": np.asarray(samples, dtype="<i2").tobytes(),
    }
    return Chunk(**(given | fields))


def ecg(n_samples: int, fs_hz: float, seed: int = 0, rate_bpm: float = 80.0) -> NDArray[np.int16]:
    """Something like an ECG: int16, spikes on a wandering, noisy line; its size and rate change with time."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_samples) / fs_hz
    phase = (rate_bpm / 60 * t * (1 + 0.1 * np.sin(t / 17 + seed))) % 1
    spikes = 600 * np.exp(-((phase - 0.5) ** 2) / 0.0006) * (1 + 0.4 * np.sin(t / 11))
    signal: NDArray[np.float64] = np.round(spikes + 50 * np.sin(t) + rng.normal(0, 8, n_samples))
    return signal.astype(np.int16)


class Memoryless(FrontEnd):
    """The front end with beats and quality that depend on each second alone: nothing to rebuild but the signal."""

    def feed(self, batch: Any) -> list[Block]:
        return [_alone(block) for block in super().feed(batch)]

    def finish(self, slot: int) -> list[Block]:
        return [_alone(block) for block in super().finish(slot)]


def _alone(block: Block) -> Block:
    beats, quality = np.empty(0), Quality.UNREADABLE
    if block.signal is not None:
        beats = np.array([block.index * 128.0 + float(np.argmax(block.signal))])
        quality = Quality.RATE_ONLY if block.signal.max() < 300 else Quality.FULL
    reasons = (Reason.GAP,) if block.signal is None else ()
    return replace(block, beats=beats, quality=quality, reasons=reasons, silent_s=None)


@dataclass
class Read:
    """What a reader left behind."""

    findings: list[Finding]
    refused: list[Refusal]
    committed: int

    def by_identity(self) -> dict[Identity, Finding]:
        """The findings; a repeated one must equal the first."""
        found: dict[Identity, Finding] = {}
        for finding in self.findings:
            identity = (finding.device_id, finding.session, finding.window)
            assert found.setdefault(identity, finding) == finding
        return found


def read(
    log: Log,
    start: int = 0,
    stop: int | None = None,
    batch: int = 7,
    end: bool = False,
    memoryless: bool = False,
) -> Read:
    """Read the log from offset `start` up to `stop` in batches, as one process; `end` completes the tails."""
    sessions = Sessions(max_devices=16)
    model = FakeModel()
    analyzer = Analyzer(model, 16, FakeScorer(model, 16), Memoryless(16) if memoryless else None)
    stop = len(log) if stop is None else stop
    findings: list[Finding] = []
    refused: list[Refusal] = []
    for at in range(start, stop, batch):
        events: list[Event] = []
        for record, place in log[at : min(at + batch, stop)]:
            sessions.push(record, place, events, refused)
        sessions.sweep(events, refused)
        findings += analyzer.feed(events)
    committed = sessions.committable({("", 0): stop}, analyzer.next_windows())["", 0]
    if end:
        events = []
        sessions.end_all(events, refused)
        findings += analyzer.feed(events)
    return Read(findings, refused, committed)
