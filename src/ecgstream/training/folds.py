"""Five networks, each tried on the fifth of CinC 2017 that it never saw: what one split can't tell.

Only encoder and rhythm head, on CinC 2017 alone, for fewer epochs than the network that serves: a figure for the
architecture and the recipe, beside that of the one fixed fifth. Nothing is chosen by the held-out fifth, not the epoch either:
calibration and the labels' weights come from an eighth of the others.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from ecgstream.training import corpus, course, learn, splits
from ecgstream.training.calibrate import calibrate, cinc_scores

N_FOLDS = 5
RECIPE = learn.Config(epochs=20, join_epoch=15, n_annotated=0)
CALIBRATES = 8  # one in so many of the learnt records is learnt late


def cross_validate(
    data: Path, run: Path, cache: Path, device: torch.device, folds: Sequence[int], seed: int = 1
) -> list[dict[str, float]]:
    """F1 of N, A, O, ~ and the mean of N, A and O on the fifths `folds`; each one's run is kept in `run/fold-K` and goes on there."""
    config = replace(RECIPE, seed=seed)
    records = corpus.load(data, splits.CINC2017, cache)
    noises = list(corpus.read_noise(data / "nstdb").values())
    scores = []
    for fold in folds:
        folder = run / f"fold-{fold}"
        course.claim(folder, config)
        parts = [splits.fold_of(r.database, r.record, N_FOLDS * CALIBRATES) for r in records]
        held = [r for r, part in zip(records, parts, strict=True) if part // CALIBRATES == fold]
        others = [(r, part) for r, part in zip(records, parts, strict=True) if part // CALIBRATES != fold]
        learnt = [r for r, part in others if part % CALIBRATES]
        kept = [r for r, part in others if not part % CALIBRATES]
        network = learn.train({splits.CINC2017: learnt}, kept, noises, config, folder, device)
        before = learn.calibrating(network, config, folder).to(device)
        calibration = calibrate(learn.predict_records(before, kept, device), kept)
        p = calibration.of(learn.predict_records(network, held, device))
        scores.append(cinc_scores(held, p, calibration.record_weights))
        (folder / "scores.json").write_text(json.dumps(scores[-1]) + "\n")
    return scores


def summary(scores: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over the folds, of each figure."""
    return {
        name: {
            "mean": round(float(np.mean([s[name] for s in scores])), 4),
            "sd": round(float(np.std([s[name] for s in scores], ddof=1)), 4)
            if len(scores) > 1
            else float("nan"),
        }
        for name in scores[0]
    }
