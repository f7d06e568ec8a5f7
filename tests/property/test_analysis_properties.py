"""Chunking does not matter: any cutting and order of the same samples gives the same pieces and findings."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstream.pieces import Counts, Event, Piece, Refusal
from ecgstream.reassembly import Stream
from ecgstream.replay import Place
from logs import Log, chunk, ecg, read

RATES = (100.0, 129.98, 250.0, 360.0, 512.41)


def cuts(n_samples: int, seed: int) -> list[tuple[int, int]]:
    """Parts of `n_samples`: empty, one sample, a second, many seconds."""
    rng = random.Random(seed)
    parts, at = [], 0
    while at < n_samples:
        n = min(n_samples - at, rng.choice([0, 1, 7, 100, 250, 999, 5000]))
        parts.append((at, at + n))
        at += n
    return parts


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.sampled_from(RATES))
def test_any_cutting_gives_the_same_findings(seed: int, rate: float) -> None:
    samples = ecg(int(40 * rate), rate, seed)

    def log(parts: list[tuple[int, int]]) -> Log:
        return [(chunk(a, samples[a:b], fs_hz=rate), Place(k)) for k, (a, b) in enumerate(parts)]

    seconds = [(a, min(a + 100, len(samples))) for a in range(0, len(samples), 100)]
    expected = read(log(seconds), end=True).by_identity()
    assert len(expected) >= 8
    assert read(log(cuts(len(samples), seed)), end=True, batch=1 + seed % 9).by_identity() == expected


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_disorder_within_the_bound_and_repetitions_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    samples = rng.choices(range(-1000, 1000), k=3000)
    parts = [(a, min(a + rng.choice([50, 100, 130]), 3000)) for a in range(0, 3000, 50)]
    sent = [parts[0], *sorted(parts + rng.sample(parts, 10), key=lambda part: part[0] + rng.random() * 400)]
    stream = Stream(chunk(0, []), Counts())
    events: list[Event] = []
    refused: list[Refusal] = []
    for k, (a, b) in enumerate(sent):
        stream.push(chunk(a, samples[a:b]), Place(k), events, refused)
    pieces = [event for event in events if isinstance(event, Piece)]
    assert not refused
    assert np.concatenate([piece.samples for piece in pieces]).tolist() == samples
    assert [piece.first_sample for piece in pieces[1:]] == [
        p.first_sample + p.samples.size for p in pieces[:-1]
    ]
