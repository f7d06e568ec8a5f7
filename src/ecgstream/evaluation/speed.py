"""How fast a network serves: 30-s windows on one core, one finding a second from each of many streams."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ecgstream import classifier, model_folder

STREAMS, SECONDS, WARM_S, ROUNDS = 64, 20, 30, 5
KNOWN_S = 4  # after a beat its frame is known


def served(model: model_folder.Model, scorer: classifier.Scorer | None = None) -> Callable[[], int]:
    """`SECONDS` of each of `STREAMS` warm streams through the scorer (of that many slots) at each call, which gives the windows scored."""
    scorer = scorer or classifier.Scorer(model, STREAMS)
    slots = np.arange(STREAMS, dtype=np.int64)
    rng = np.random.default_rng(0)
    shape = (WARM_S + SECONDS, STREAMS, model.spec.fs_hz)
    blocks = (200 * rng.standard_normal(shape)).astype(np.float32)
    second = 0

    def step(block: NDArray[np.float32]) -> classifier.Scores:
        nonlocal second
        beat = np.array([(second + 0.5) * model.spec.fs_hz])  # one a second
        scores = scorer.step(slots, block, [beat] * STREAMS)
        if second > WARM_S // 2:
            judged = scorer.beat_probabilities(slots, np.repeat(beat - KNOWN_S * model.spec.fs_hz, STREAMS))
            assert not np.isnan(judged).any()
        second += 1
        return scores

    for block in blocks[:WARM_S]:
        scores = step(block)
    assert not np.isnan(scores.rhythm).any()
    assert not np.isnan(scores.acute).any()

    def run() -> int:
        for block in blocks[WARM_S:]:
            step(block)
        return STREAMS * SECONDS

    return run


def windows_a_second(model: model_folder.Model) -> float:
    """The median of `ROUNDS`."""
    run, rates = served(model), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        windows = run()
        rates.append(windows / (time.perf_counter() - start))
    return float(np.median(rates))
