"""Five networks, each tried on the fifth of CinC 2017 that it never saw: what one split can't tell.

Only encoder and rhythm head, on CinC 2017 alone, for fewer epochs than the network that serves: a figure for the
architecture and the recipe, beside that of the one fixed fifth. Nothing is chosen by the held-out fifth, not the epoch either.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from ecgstream.training import corpus, learn, splits

N_FOLDS = 5
RECIPE = learn.Config(epochs=20, join_epoch=20, n_annotated=0)


def cross_validate(
    data: Path, run: Path, cache: Path, device: torch.device, seed: int = 1
) -> list[dict[str, float]]:
    """F1 of N, A, O, ~ and the mean of N, A and O on each fifth; each fold's run is kept in `run/fold-K` and goes on from there."""
    config = replace(RECIPE, seed=seed)
    records = corpus.load(data, splits.CINC2017, cache)
    noises = list(corpus.read_noise(data / "nstdb").values())
    scores = []
    for fold in range(N_FOLDS):
        folder = run / f"fold-{fold}"
        folder.mkdir(parents=True, exist_ok=True)
        held = [r for r in records if splits.fold_of(r.database, r.record, N_FOLDS) == fold]
        learnt = [r for r in records if splits.fold_of(r.database, r.record, N_FOLDS) != fold]
        network = learn.train({splits.CINC2017: learnt}, [], noises, config, folder, device)
        scores.append(learn.cinc_scores(held, learn.predict_records(network, held, device)))
        (run / "folds.json").write_text(json.dumps(scores, indent=2))
    return scores


def summary(scores: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over the folds, of each figure."""
    return {
        name: {
            "mean": round(float(np.mean([s[name] for s in scores])), 4),
            "sd": round(float(np.std([s[name] for s in scores], ddof=1)), 4),
        }
        for name in scores[0]
    }
