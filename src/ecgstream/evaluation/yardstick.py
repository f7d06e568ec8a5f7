"""Stanford's network on CinC 2017, learnt from and judged on the very records that ours is.

Raw signals at 200 Hz over one mean and spread, as its authors have it: it pays for no causal filter and no bounded receptive
field. The tenth on which ours is calibrated says here when to stop.
"""

from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly
from tqdm import tqdm

from ecgstream.evaluation import cinc2017
from ecgstream.evaluation.references import read_cinc_labels
from ecgstream.evaluation.results import Evaluation
from ecgstream.evaluation.sources import told_of
from ecgstream.model_folder import CINC_CLASSES
from ecgstream.recordings.wfdb_format import read_signals
from ecgstream.training.stanford import FS_HZ, Recordings, fit, predict

EPOCHS = 20


def read(data: Path, split: str) -> tuple[list[str], Recordings]:
    """Names and raw signals (µV, 200 Hz) of CinC 2017's records of a split, with their labels (N, A, O, ~)."""
    labels = read_cinc_labels(data, split)
    signals = []
    for record in tqdm(labels, desc=f"cinc2017 {split}", unit="record", leave=False):
        with told_of(cinc2017.DATABASE, record):
            found = read_signals(data / cinc2017.DATABASE / "training2017", record)
        raw_uv = np.nan_to_num(found.p_signal[:, 0]) * 1000.0
        signals.append(resample_poly(raw_uv, FS_HZ, int(found.fs)).astype(np.float32))
    return list(labels), Recordings(signals, np.array([CINC_CLASSES.index(x) for x in labels.values()]))


def measure(data: Path, run: Path, device: torch.device, epochs: int = EPOCHS, seed: int = 1) -> Evaluation:
    """Train it in `run` (a stopped run goes on there) and score it on the fixed fifth."""
    (_, train), (_, tune), (names, dev) = (read(data, split) for split in ("train", "tune", "dev"))
    every = np.concatenate(train.signals)
    mean, spread = float(every.mean(dtype=np.float64)), float(every.std(dtype=np.float64))
    train, tune, normalised = (part.normalised(mean, spread) for part in (train, tune, dev))
    run.mkdir(parents=True, exist_ok=True)
    network = fit(train, tune, len(CINC_CLASSES), epochs=epochs, seed=seed, device=device, run=run)
    prior = np.bincount(train.labels, minlength=len(CINC_CLASSES)) / len(train.labels)
    said = predict(network, normalised, prior, device)
    return cinc2017.evaluate(
        {name: CINC_CLASSES[label] for name, label in zip(names, dev.labels, strict=True)},
        dict(zip(names, said, strict=True)),
        dict.fromkeys(names, 0.0),
        model="Stanford's 34 layers",
        split="dev",
        duration_s={name: x.size / FS_HZ for name, x in zip(names, dev.signals, strict=True)},
    )
