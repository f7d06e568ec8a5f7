"""Odd chunks of other sessions change nothing for the session that goes on, whoever reads it and from where."""

import random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ecgstream.messages import Chunk
from ecgstream.replay import Place
from logs import Log, Read, chunk, ecg, read

FS = 100


def going_on(seconds: int, seed: int) -> list[Chunk]:
    samples = ecg(seconds * FS, FS, seed)
    return [chunk(at, samples[at : at + FS]) for at in range(0, len(samples), FS)]


def with_strays(chunks: list[Chunk], seed: int) -> Log:
    """The chunks, one a second, and now and then up to four seconds of another session from its sample 0 or its middle."""
    rng = random.Random(seed)
    log: Log = []
    quiet = 12
    for second, c in enumerate(chunks):
        log.append((c, Place(len(log), 1000 * second)))
        quiet -= 1
        if quiet <= 0 and rng.random() < 0.2:
            quiet = 12
            first, n_chunks = rng.choice([0, 0, 300 * FS]), rng.choice([1, 1, 2])
            for k in range(n_chunks):
                odd = chunk(first + 2 * FS * k, ecg(2 * FS, FS, seed + 1), session=f"odd-{second}")
                log.append((odd, Place(len(log), 1000 * second)))
    return log


def of_the_session(found: Read) -> dict[int, object]:
    return {window: f for (_, session, window), f in found.by_identity().items() if session == "s"}


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 10_000), stop=st.floats(0.3, 1.0))
def test_strays_change_nothing_of_the_session_beside_them(seed: int, stop: float) -> None:
    chunks = going_on(300, seed)
    alone = read([(c, Place(k, 1000 * k)) for k, c in enumerate(chunks)], end=True, memoryless=True)
    log = with_strays(chunks, seed)
    whole = read(log, end=True, memoryless=True)
    assert of_the_session(whole) == of_the_session(alone)
    part = read(log, 0, round(stop * len(log)), memoryless=True)
    rest = read(log, part.committed, end=True, memoryless=True)
    together = Read(part.findings + rest.findings, [], 0)
    assert of_the_session(together) == of_the_session(alone)
