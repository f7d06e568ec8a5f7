"""A reader that stops anywhere and goes on from what it committed loses nothing and contradicts nothing."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from ecgstream.analysis import Analyzer
from ecgstream.commits import WARM_UP_S
from ecgstream.messages import Chunk, Finding
from ecgstream.pieces import Piece
from ecgstream.recordings import read_recording
from ecgstream.replay import Place
from ecgstream.simulator.scenarios import read_scenario
from fakes import FakeModel, FakeScorer
from logs import Log, Read, chunk, ecg, read

GALLERY = Path(__file__).parents[2] / "simulators" / "scenarios"


def device(name: str, fs_hz: float, seconds: int, seed: int) -> list[tuple[float, Chunk]]:
    """A device's chunks with the time at which each reaches the log: jitter, late ones, duplicates, gaps."""
    rng = random.Random(seed)
    samples = ecg(int(seconds * fs_hz), fs_hz, seed, 60 + 15 * (seed % 5))
    sent = []
    at = 0
    while at < len(samples):
        n = rng.choice([int(fs_hz * 0.3), int(fs_hz), int(fs_hz * 2.6)])
        time_s = (at + n) / fs_hz
        record = chunk(
            at,
            samples[at : at + n],
            fs_hz=fs_hz,
            device_id=name,
            session=f"s{seed}",
            lead_off=rng.random() < 0.02,
        )
        at += n
        if rng.random() < 0.02:
            continue
        if rng.random() < 0.01:
            at += int(fs_hz * rng.choice([3, 40, 100]))
        if record.first_sample == 0:  # see `ecgstream.sessions` on a first chunk that comes late
            sent.append((time_s, record))
            continue
        sent.append((time_s + (rng.choice([0, 0, 0, 0, 2.5, 6.0])), record))
        if rng.random() < 0.1:
            sent.append((time_s + rng.random() * 8, record))
    return sent


def log_of(seed: int, seconds: int = 260) -> Log:
    """Three devices' chunks in one log; the second begins another session, the third is away for a while."""
    rates = (100.0, 129.98, 250.0)
    sent = device("a", rates[seed % 3], seconds, seed) + device("c", 128.0, seconds, seed + 2)
    sent += device("b", 200.0, seconds // 2, seed + 1)
    sent += [(t + seconds // 2, record) for t, record in device("b", 100.0, seconds // 2, seed + 7)]
    away = range(90, 90 + [30, 150][seed % 2])
    sent = [(t, record) for t, record in sent if record.device_id != "c" or int(t) not in away]
    sent.sort(key=lambda item: item[0])
    return [(record, Place(k, int(t * 1000))) for k, (t, record) in enumerate(sent)]


def restarted(log: Log, stops: list[int], memoryless: bool) -> Read:
    """Read up to each stop, drop everything, and go on from what was committed; then to the end."""
    findings, start = [], 0
    for stop in sorted(stops):
        part = read(log, start, max(stop, start), batch=23, memoryless=memoryless)
        findings += part.findings
        assert part.committed >= start
        start = part.committed
    findings += read(log, start, end=True, batch=31, memoryless=memoryless).findings
    return Read(findings, [], 0)


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 10_000), stops=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4))
@example(seed=3241, stops=[0.605, 0.9624])  # read again, the old session takes over while the new one waits
def test_restarts_give_the_findings_of_an_uninterrupted_reader(seed: int, stops: list[float]) -> None:
    log = log_of(seed)
    whole = read(log, end=True, batch=50, memoryless=True)
    assert len(whole.findings) > 100
    together = restarted(log, [int(s * len(log)) for s in stops], memoryless=True)
    assert together.by_identity() == whole.by_identity()


@pytest.mark.parametrize("seed", [0, 5, 175, 2007])
def test_so_do_restarts_with_the_whole_front_end(seed: int) -> None:
    log = log_of(seed)
    whole = read(log, end=True, batch=50)
    together = restarted(log, [len(log) // 3, len(log) // 2], memoryless=False)
    assert together.by_identity() == whole.by_identity()


@pytest.mark.parametrize(("name", "n_samples"), [("asystole", 250), ("ventricular-fibrillation", 93)])
def test_where_a_reader_began_leaves_no_trace(name: str, n_samples: int) -> None:
    recording = read_scenario(GALLERY / f"{name}.yaml").signal()
    all_say_the_same(np.tile(recording.samples, 2), recording.fs_hz, recording.uv_per_lsb, n_samples)


def test_it_leaves_none_in_a_patient_who_fibrillates(data_folder: Path) -> None:
    recording = read_recording(data_folder / "vfdb" / "430")
    fs_hz = int(recording.fs_hz)
    all_say_the_same(recording.samples[300 * fs_hz : 600 * fs_hz], fs_hz, recording.uv_per_lsb, fs_hz)


def all_say_the_same(samples: NDArray[np.int16], fs_hz: float, uv_per_lsb: float, n_samples: int) -> None:
    """Each of many readers begins somewhere else in a patient's signal; once they are warm they say the same."""
    starts = [0, *range(1, int((len(samples) / fs_hz - WARM_UP_S - 10) * fs_hz / n_samples), 7)]
    model = FakeModel()
    analyzer = Analyzer(model, len(starts), FakeScorer(model, len(starts)))
    told: list[dict[int, Finding]] = [{} for _ in starts]
    for k in range(len(samples) // n_samples):
        first = k * n_samples
        cut = samples[first : first + n_samples]
        pieces = [
            Piece(str(i), "s", first, fs_hz, uv_per_lsb, 0, False, cut)
            for i, start in enumerate(starts)
            if k >= start
        ]
        for finding in analyzer.feed(pieces):
            told[int(finding.device_id)][finding.window] = replace(finding, device_id="0")
    assert len(starts) > 4
    for start, findings in zip(starts, told, strict=True):
        warm = start * n_samples / fs_hz + WARM_UP_S if start else 0
        assert findings == {window: f for window, f in told[0].items() if window >= warm - 1}


def test_a_rewind_is_about_two_minutes() -> None:
    samples = ecg(100 * 1000, 100.0)
    log = [(chunk(100 * k, samples[100 * k : 100 * k + 100]), Place(k, 1000 * k)) for k in range(1000)]
    behind = [k - read(log, 0, k, batch=97).committed for k in (50, 300, 1000)]
    assert behind[0] == 50
    assert all(116 <= n <= 125 for n in behind[1:])


def test_a_device_that_went_silent_holds_nothing_back() -> None:
    samples = ecg(100 * 400, 100.0)
    log: Log = [(chunk(0, samples[:100], device_id="gone"), Place(0, 0))]
    log += [(chunk(100 * k, samples[100 * k : 100 * k + 100]), Place(k + 1, 1000 * k)) for k in range(400)]
    assert read(log, 0, 110).committed == 0
    assert read(log, 0, 400).committed > 270


def test_findings_do_not_depend_on_batches() -> None:
    log = log_of(5)
    one = read(log, batch=1, end=True)
    many = read(log, batch=1000, end=True)
    assert one.by_identity() == many.by_identity()
    assert len(one.findings) == len(many.findings)
