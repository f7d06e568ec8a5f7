"""One training run from folders to a model folder: read, train, calibrate on records kept for it, export, measure."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from ecgstream.training import acute, beat_trees, corpus, learn, splits, trees
from ecgstream.training.calibrate import cinc_scores, label_scores
from ecgstream.training.card import write_card
from ecgstream.training.corpus import Packed
from ecgstream.training.examples import MITDB_RHYTHM
from ecgstream.training.export import export
from ecgstream.training.network import RHYTHMS
from ecgstream.training_settings import check_folder, claim


@dataclass(frozen=True)
class Material:
    """All that a run reads, split by patient."""

    train: learn.Databases
    tune: learn.Databases
    dev: list[Packed]
    vfdb: list[Packed]
    noises: list[NDArray[np.float32]]


def gather(data: Path, cache: Path) -> Material:
    """Read (or take from `cache`) CinC 2017, MIT-BIH, SVDB, VFDB and the noises of NSTDB below `data`."""
    records = {
        d: corpus.load(data, d, cache) for d in (splits.CINC2017, splits.MITDB, splits.SVDB, splits.VFDB)
    }

    def part(database: str, name: str) -> list[Packed]:
        return [r for r in records[database] if splits.split_of(database, r.record) == name]

    noises = corpus.read_noise(data / "nstdb")
    learnt = (splits.CINC2017, splits.MITDB, splits.SVDB)
    return Material(
        {d: part(d, "train") for d in learnt},
        {d: part(d, "tune") for d in learnt},
        part(splits.CINC2017, "dev"),
        records[splits.VFDB],
        list(noises.values()),
    )


def train_model(
    data: Path, out: Path, config: learn.Config, run: Path, cache: Path, device: torch.device
) -> dict[str, Any]:
    """Train and export; goes on from `run` where an earlier run of the same configuration stopped. Returns the metrics.

    `ConfigError` before anything is learnt, or kept in `run`, where the settings, the folders or the records don't fit.
    """
    check_folder(out)
    check_folder(run)
    material = gather(data, cache)
    learn.check(config, material.train)
    learnt, kept = learn.both(material.train, material.tune), material.tune[splits.CINC2017]
    claim(run, config, names_of({**learnt, splits.VFDB: material.vfdb}))
    network = learn.train(material.train, material.tune, material.noises, config, run, device)
    heads_started = time.monotonic()
    head, folds, (logits, classes, records) = acute.train_acute(
        network,
        material.vfdb,
        [learnt[splits.MITDB], learnt[splits.SVDB]],
        material.noises,
        config.seed,
        device,
        config.acute_epochs,
    )
    network.acute = head
    calibrating = learn.calibrating(network, config, run).to(device)
    tuned = learn.predict_records(calibrating, kept, device)
    judged = [*material.train[splits.CINC2017], *learnt[splits.MITDB]]
    second, rhythm = trees.opinion(judged, kept, tuned, config)
    annotated = [*learnt[splits.MITDB], *learnt[splits.SVDB]]
    normal = [r for r in learnt[splits.CINC2017] if r.label == "N"]
    of_beats = beat_trees.fit(
        beat_trees.rows_of(annotated, normal, config.seed), config.seed, config.n_beat_trees
    )
    of_network = learn.predict_records(network, material.dev, device)
    of_trees = trees.said_of(second, material.dev)
    weights = rhythm.record_weights
    metrics = {
        "cinc2017_dev": cinc_scores(material.dev, rhythm.of(of_network, of_trees), weights),
        "cinc2017_dev_network_alone": cinc_scores(material.dev, of_network),
        "cinc2017_dev_trees_alone": label_scores(material.dev, of_trees),
        "cinc2017_tune_network_alone": cinc_scores(kept, tuned),
        "acute_windows_out_of_fold": acute.summary(logits, classes, records),
    }
    training = {
        "config": msgspec.to_builtins(config),
        "seconds": _seconds(run) + round(time.monotonic() - heads_started),
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {device.type}",
        "split": "by patient (MIT-BIH, SVDB), by record (CinC 2017), VFDB by five patient-wise folds; ecgstream.training.splits",
        "dev_records": {d: sorted({r.record for r in rs}) for d, rs in _dev(material, data, cache).items()},
        "records": {d: len({r.record for r in rs}) for d, rs in learnt.items()}
        | {"vfdb": len({r.record for r in material.vfdb})},
        "rhythm_patients": rhythm_patients(learnt[splits.MITDB]),
        "data": "PhysioNet CinC 2017 (REFERENCE-v3), MIT-BIH Arrhythmia, MIT-BIH Supraventricular, MIT-BIH Malignant Ventricular Ectopy, "
        "MIT-BIH Noise Stress Test; ODC-By 1.0",
    }
    export(
        network,
        second,
        of_beats,
        folds,
        out,
        rhythm_calibration=rhythm,
        acute_temperature=acute.temperature_of(logits, classes),
        training=training,
        metrics=metrics,
    )
    write_card(out)
    return metrics


def names_of(learnt: learn.Databases) -> dict[str, list[str]]:
    """The records' names by database."""
    return {database: sorted({r.record for r in records}) for database, records in learnt.items()}


def rhythm_patients(records: list[Packed]) -> dict[str, int]:
    """Of how many patients of MIT-BIH each rhythm is learnt."""
    of = {
        (MITDB_RHYTHM[note], splits.patient_of(r.database, r.record))
        for r in records
        for _, _, note in r.rhythms
        if note in MITDB_RHYTHM
    }
    return {rhythm: sum(name == rhythm for name, _ in of) for rhythm in RHYTHMS}


def _dev(material: Material, data: Path, cache: Path) -> dict[str, list[Packed]]:
    return {
        d: [r for r in corpus.load(data, d, cache) if splits.split_of(d, r.record) == "dev"]
        for d in (splits.MITDB, splits.SVDB)
    }


def _seconds(run: Path) -> int:
    """How long the epochs of a run took, over all its sittings."""
    lines = (run / "progress.jsonl").read_text().splitlines()
    return round(sum(float(msgspec.json.decode(line)["seconds"]) for line in lines))
