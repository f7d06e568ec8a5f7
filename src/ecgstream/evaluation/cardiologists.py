"""The public cardiologist test set: 328 recordings, a committee's labels, six cardiologists' (Hannun et al.
2019, doi:10.1038/s41591-018-0268-3).

Layout, as its authors publish it: `<id>.ecg` (int16, 200 Hz, about 30 s), `<id>_grpN.episodes.json` (the
committee), `<id>_rev0.episodes.json` to `_rev5` (the cardiologists). An episode file holds `{"episodes":
[{"onset": sample, "offset": sample, "rhythm_name": ...}]}`, counted from 1. There is one label per 256
samples (1.28 s); onsets are rounded to the nearest such step.

- Sequence F1: every step of every record against the committee's.
- Set F1: of each record the set of rhythms that occur, against the committee's set.

Both per class, and their mean weighted by support (how often the committee gave the class). The
cardiologists are judged the same way, all against the same committee. Classes follow the 2019 paper: AFIB
and AFL are AF, AVB_TYPE2, SUDDEN_BRADY and CHB are AVB.

Departures: our model has no ectopic atrial rhythm and doesn't tell Wenckebach from other blocks, so EAR and
WENCKEBACH are never called and count with F1 0; `paced` and `other` have no class there and count as a miss
of whatever was there. A step's rhythm is the one known 15 s after it, or at the record's end. The layout
states no amplitude unit: each record gets the gain that makes its first to 99th percentile 1 mV.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import BadReference, statistics
from ecgstream.evaluation.labels import CENTRE_S, labels_of
from ecgstream.evaluation.results import Cell, Confusion, Evaluation, Prediction, Table, Worst
from ecgstream.evaluation.sources import Source
from ecgstream.evaluation.streaming import Model, Stream, stream_records

FS_HZ = 200
STEP = 256
SPREAD_UV = 1000.0
CLASSES = (
    "AF", "AVB", "BIGEMINY", "EAR", "IVR", "JUNCTIONAL", "NOISE", "SINUS", "SVT", "TRIGEMINY",
    "VT", "WENCKEBACH",
)  # fmt: skip
RELABEL = {
    "NSR": "SINUS", "SUDDEN_BRADY": "AVB", "AVB_TYPE2": "AVB", "CHB": "AVB", "AFIB": "AF", "AFL": "AF",
}  # fmt: skip
OURS = {
    "sinus": "SINUS", "af": "AF", "svt": "SVT", "bigeminy": "BIGEMINY", "trigeminy": "TRIGEMINY",
    "idioventricular": "IVR", "junctional": "JUNCTIONAL", "block": "AVB", "vt": "VT", "noise": "NOISE",
}  # fmt: skip
Labels = NDArray[np.int64]  # (n_steps,), index into CLASSES, -1 for none of them


@dataclass(frozen=True)
class TestRecord:
    """One recording: samples int16 (n,), the committee's labels and each cardiologist's, (n_steps,) each."""

    __test__ = False  # not a test, whatever its name

    name: str
    samples: NDArray[np.int16]
    committee: Labels
    cardiologists: list[Labels]


def steps_of(path: Path, n_steps: int) -> Labels:
    """The labels of an episode file, one a step. Raises `ValueError` naming the file and what is wrong in
    it.
    """
    try:
        episodes = json.loads(path.read_text())["episodes"]
        spans = sorted((int(e["onset"]), str(e["rhythm_name"])) for e in episodes)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadReference(f"{path}: not an episode file: {error!r}") from error
    if not spans:
        raise BadReference(f"{path}: no episodes")
    labels = np.full(n_steps, -1, np.int64)
    for onset, name in spans:  # each lasts until the next one's onset
        said = RELABEL.get(name, name)
        if said not in CLASSES:
            raise BadReference(
                f"{path}: rhythm_name {name!r}, expected one of {sorted({*CLASSES, *RELABEL})}"
            )
        first = int((max(0, onset - 1) + STEP // 2) // STEP)
        labels[first:] = CLASSES.index(said)
    return labels


def read_test_set(folder: Path) -> list[TestRecord]:
    """Read a folder of that layout. Raises `FileNotFoundError` without recordings, `ValueError` for a
    recording without its committee.
    """
    records = []
    for path in sorted(folder.rglob("*.ecg")):
        samples = np.fromfile(path, dtype="<i2")
        n_steps = len(samples) // STEP
        committee = sorted(path.parent.glob(f"{path.stem}_grp*.episodes.json"))
        if len(committee) != 1:
            raise BadReference(f"{path}: expected one {path.stem}_grpN.episodes.json, found {len(committee)}")
        others = sorted(path.parent.glob(f"{path.stem}_rev*.episodes.json"))
        record = TestRecord(
            path.stem, samples, steps_of(committee[0], n_steps), [steps_of(p, n_steps) for p in others]
        )
        records.append(record)
    if not records:
        raise FileNotFoundError(f"{folder}: no .ecg files; expected the layout of the cardiologist test set")
    return records


def sequence_counts(truth: Labels, said: Labels) -> NDArray[np.float64]:
    """Of one record, per class: hits, the committee's steps, ours: float64 (n_classes, 3)."""
    k = np.arange(len(CLASSES))[:, None]
    hits = ((truth == k) & (said == k)).sum(axis=1)
    return np.stack([hits, (truth == k).sum(axis=1), (said == k).sum(axis=1)], axis=1).astype(np.float64)


def set_counts(truth: Labels, said: Labels) -> NDArray[np.float64]:
    """As `sequence_counts`, of the sets of rhythms that occur."""
    counts = sequence_counts(truth, said) > 0
    counts[:, 0] = counts[:, 1] & counts[:, 2]
    return counts.astype(np.float64)


def class_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of each class from summed counts (..., n_classes, 3)."""
    return statistics.f1(counts[..., 0], counts[..., 1], counts[..., 2])


def weighted_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean F1 weighted by the committee's support."""
    support = counts[..., 1]
    return statistics.ratio((np.nan_to_num(class_f1(counts)) * support).sum(axis=-1), support.sum(axis=-1))


def evaluate(records: Sequence[TestRecord], ours: Sequence[Labels], *, model: str) -> Evaluation:
    """Judge our steps and the cardiologists' against the committee's."""
    result = Evaluation("cardiologists", model, "all")
    names = [r.name.split("_")[0] for r in records]
    for title, count in (("sequence F1", sequence_counts), ("set F1", set_counts)):
        mine = np.array([count(r.committee, said) for r, said in zip(records, ours, strict=True)])
        theirs = np.array([count(r.committee, said) for r in records for said in r.cardiologists])
        theirs = theirs.sum(axis=0) if len(theirs) else np.zeros(mine.shape[1:])
        rows: list[tuple[Cell, ...]] = []
        for i, name in enumerate(CLASSES):
            figure = statistics.bootstrap(names, mine[:, i], lambda c: class_f1(c[:, None])[:, 0])
            rows.append((name, int(mine[:, i, 1].sum()), figure, float(class_f1(theirs[i]))))
        overall = statistics.bootstrap(names, mine, weighted_f1)
        rows.append(("weighted by support", int(mine[:, :, 1].sum()), overall, float(weighted_f1(theirs))))
        note = f"{len(records)} records; per cent, 95 % intervals over patients; one committee judges all."
        result.tables.append(Table(title, ("rhythm", "support", "this network", "cardiologists"), rows, note))
    silent = np.concatenate(list(ours)) < 0
    result.tables.append(
        Table("abstention", ("what", "share"), [("steps without one of the classes", float(silent.mean()))])
    )
    truth = np.concatenate([r.committee for r in records])
    matrix = statistics.confusion(truth, np.concatenate(list(ours)), len(CLASSES))
    result.confusions["step"] = Confusion(CLASSES, matrix, "steps of 1.28 s")
    amiss = [int((r.committee != said).sum()) for r, said in zip(records, ours, strict=True)]
    for i in np.argsort(amiss)[::-1][:8]:
        caption = f"{records[i].name}: {amiss[i]} of {len(ours[i])} steps differ from the committee's"
        result.worst.append(Worst("cardiologists", records[i].name, 0.0, 30.0, caption))
    return result


def steps_said(
    stream: Stream, classes: Sequence[str], n_steps: int, thresholds: Mapping[str, float] | None = None
) -> tuple[Labels, list[Prediction]]:
    """Our label of each step, by the finding known 15 s after its middle or at the record's end."""
    labels = labels_of(stream, classes, thresholds)
    said = np.full(n_steps, -1, np.int64)
    predictions = []
    for step in range(n_steps if labels else 0):
        start_s, end_s = step * STEP / FS_HZ, (step + 1) * STEP / FS_HZ
        k = min(len(labels) - 1, int((start_s + end_s) / 2) + CENTRE_S)
        name = OURS.get(str(labels[k]))
        said[step] = -1 if name is None else CLASSES.index(name)
        shares = dict(zip(classes, stream.rhythm[k].tolist(), strict=True))
        predictions.append(
            Prediction(stream.source.record, start_s, end_s, name or labels[k] or "unreadable", shares)
        )
    return said, predictions


def source_of(name: str, samples: NDArray[np.int16]) -> Source:
    """A recording at the gain that gives it a spread of 1 mV (1 µV a unit where it is flat)."""
    spread = float(np.subtract(*np.percentile(samples, [99, 1]))) if len(samples) else 0.0
    gain = min(1000.0, SPREAD_UV / spread) if spread > 0 else 1.0
    return Source("cardiologists", name, name, FS_HZ, gain, samples)


def run(folder: Path, model: Model, done: Callable[[Stream], None]) -> Evaluation:
    """Read the test set, stream it and judge it."""
    records = read_test_set(folder)
    sources = (source_of(r.name, r.samples) for r in records)
    streams = {s.source.record: s for s in stream_records(model, sources, done=done)}
    classes = tuple(model.rhythm_classes)
    pairs = [steps_said(streams[r.name], classes, len(r.committee), model.thresholds) for r in records]
    result = evaluate(records, [said for said, _ in pairs], model=model.name)
    result.predictions = [prediction for _, row in pairs for prediction in row]
    return result
