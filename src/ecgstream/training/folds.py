"""Five networks, each tried on the fifth of CinC 2017 that it never saw: what one split can't tell.

Only encoder, rhythm head and trees, on CinC 2017 alone, for fewer epochs than the network that serves: a figure for the
architecture and the recipe, beside that of the one fixed fifth. Nothing is chosen by the held-out fifth, not the epoch either:
calibration and the labels' weights come from an eighth of the others.

Each network becomes a model folder, too, so that it can be judged on databases of which it never saw a record.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from ecgstream.training import beat_trees, corpus, course, learn, splits, trees
from ecgstream.training.calibrate import cinc_scores
from ecgstream.training.export import export
from ecgstream.training.network import Network
from ecgstream.training_settings import claim

N_FOLDS = 5
RECIPE = learn.Config(epochs=20, join_epoch=15, n_annotated=0, ectopy=0.0)
SURE = 10.0  # a logit
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
        parts = [splits.fold_of(r.database, r.record, N_FOLDS * CALIBRATES) for r in records]
        held = [r for r, part in zip(records, parts, strict=True) if part // CALIBRATES == fold]
        others = [(r, part) for r, part in zip(records, parts, strict=True) if part // CALIBRATES != fold]
        learnt = [r for r, part in others if part % CALIBRATES]
        kept = [r for r, part in others if not part % CALIBRATES]
        learn.check(config, {splits.CINC2017: learnt})
        claim(folder, config, course.names_of({splits.CINC2017: [*learnt, *kept]}))
        network = learn.train(
            {splits.CINC2017: learnt}, {splits.CINC2017: kept}, noises, config, folder, device
        )
        before = learn.calibrating(network, config, folder).to(device)
        second, calibration = trees.opinion(learnt, kept, learn.predict_records(before, kept, device), config)
        p = calibration.of(learn.predict_records(network, held, device), trees.said_of(second, held))
        scores.append(cinc_scores(held, p, calibration.record_weights))
        (folder / "scores.json").write_text(json.dumps(scores[-1]) + "\n")
        training = {
            "config": msgspec.to_builtins(config),
            "data": f"CinC 2017 without fifth {fold}",
            "records": {splits.CINC2017: len(learnt) + len(kept)},
            "split": "by record",
        }
        export(
            _silenced(network),
            second,
            beat_trees.without_opinion(),
            [],
            folder / f"cinc2017-without-{fold}",
            rhythm_calibration=calibration,
            acute_temperature=1.0,
            training=training,
            metrics={"cinc2017": scores[-1]},
        )
    return scores


@torch.no_grad()
def _silenced(network: Network) -> Network:
    """The network with the heads that CinC 2017 can't teach made to say N and organised, whatever they see."""
    for last in (network.beat.classify[-1], network.acute.classify[-1]):
        assert isinstance(last, nn.Conv2d | nn.Linear)
        last.weight.zero_()
        assert last.bias is not None
        last.bias.fill_(-SURE)
        last.bias[0] = SURE
    return network


def summary(scores: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation of each figure over the folds, of which there are two or more."""
    over = {name: [s[name] for s in scores] for name in scores[0]}
    return {
        name: {"mean": round(float(np.mean(xs)), 4), "sd": round(float(np.std(xs, ddof=1)), 4)}
        for name, xs in over.items()
    }
