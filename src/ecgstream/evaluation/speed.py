"""How fast a network serves: 30-s windows on one core, one finding a second from each of many streams."""

import time
from collections.abc import Callable

import numpy as np

from ecgstream import classifier

STREAMS, SECONDS, WARM_S, ROUNDS = 64, 20, 30, 5


def served(model: classifier.Model) -> Callable[[], int]:
    """`SECONDS` of each of `STREAMS` warm streams through the scorer at each call, which gives the windows scored."""
    scorer = classifier.Scorer(model, STREAMS)
    slots = np.arange(STREAMS, dtype=np.int64)
    rng = np.random.default_rng(0)
    shape = (WARM_S + SECONDS, STREAMS, model.spec.fs_hz)
    blocks = (200 * rng.standard_normal(shape)).astype(np.float32)
    for block in blocks[:WARM_S]:
        scores = scorer.step(slots, block)
    assert not np.isnan(scores.rhythm).any()
    assert not np.isnan(scores.acute).any()

    def run() -> int:
        for block in blocks[WARM_S:]:
            scorer.step(slots, block)
        return STREAMS * SECONDS

    return run


def windows_a_second(model: classifier.Model) -> float:
    """The median of `ROUNDS`."""
    run, rates = served(model), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        windows = run()
        rates.append(windows / (time.perf_counter() - start))
    return float(np.median(rates))
