"""The public cardiologist test set: 328 recordings, a committee's labels, six cardiologists' (Hannun et al.
2019, doi:10.1038/s41591-018-0268-3).

Layout, as its authors publish it: `<id>.ecg` (int16, 200 Hz, about 30 s), `<id>_grpN.episodes.json` (the
committee), `<id>_rev0.episodes.json` to `_rev5` (the cardiologists). An episode file holds `{"episodes":
[{"onset": sample, "offset": sample, "rhythm_name": ...}]}`, counted from 1. There is one label per 256
samples (1.28 s); onsets are rounded to the nearest such step.

An episode lasts until the next one's onset, as in the authors' reader, and the last one to the record's end
(there: to its own offset); offsets are only checked. An onset of 0 is taken for 1; an offset may be missing, be one past
the last sample, or lie further on where no whole step ends. A record holds one window of 23 steps: from
5,888 samples to fewer than twice as many.

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
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import BadReference, statistics
from ecgstream.evaluation.labels import judged_by, labels_of, why_none
from ecgstream.evaluation.results import Cell, Confusion, Evaluation, Prediction, Table, Worst
from ecgstream.evaluation.sources import Source
from ecgstream.evaluation.streaming import Model, Stream, stream_records

FS_HZ = 200
STEP = 256
WINDOW = 30 * FS_HZ // STEP * STEP
SPREAD_UV = 1000.0
LABEL_FILE = re.compile(r"(.+)_((grp|rev)[^_]*)\.episodes\.json")
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
    """One recording: samples int16 (n,), the committee's labels and each cardiologist's by name (`rev0`),
    (n_steps,) each.
    """

    __test__ = False  # not a test, whatever its name

    name: str
    samples: NDArray[np.int16]
    committee: Labels
    cardiologists: dict[str, Labels]


def steps_of(path: Path, n_samples: int) -> Labels:
    """The labels of an episode file, one a step of a record of `n_samples`. Raises `BadReference` naming the
    file and what is wrong in it.
    """
    try:
        episodes = json.loads(path.read_text(encoding="utf-8"))["episodes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadReference(f"{path}: not an episode file: {error!r:.200}") from error
    if not isinstance(episodes, list):
        raise BadReference(f"{path}: not an episode file: episodes {episodes!r:.60}, expected a list")
    if not episodes:
        raise BadReference(f"{path}: no episodes")
    spans = [_span(f"{path}: episode {i}", episode, n_samples) for i, episode in enumerate(episodes, 1)]
    labels = np.full(n_samples // STEP, -1, np.int64)
    for onset, said in sorted(spans, key=lambda span: span[0]):  # each lasts until the next one's onset
        labels[(max(0, onset - 1) + STEP // 2) // STEP :] = CLASSES.index(said)
    return labels


def _span(where: str, episode: Any, n_samples: int) -> tuple[int, str]:
    """Onset and class of one episode of a record of `n_samples`."""
    if not isinstance(episode, dict):
        raise BadReference(f"{where}: {episode!r:.60}, expected an object with onset, offset and rhythm_name")
    for field in ("onset", "rhythm_name"):
        if field not in episode:
            raise BadReference(f"{where}: no {field}, found {sorted(episode)!r:.200}")
    onset, offset, name = episode["onset"], episode.get("offset"), episode["rhythm_name"]
    if not _is_number(onset) or not 0 <= onset <= n_samples:
        raise BadReference(f"{where}: onset {onset!r:.60}, expected a sample from 1 to {n_samples}")
    last = max(n_samples + 1, (n_samples // STEP + 1) * STEP - 1)
    if offset is not None and (not _is_number(offset) or not onset <= offset <= last):
        raise BadReference(
            f"{where}: offset {offset!r:.60}, expected a sample from its onset, {onset}, to {n_samples}, the record's last"
        )
    said = RELABEL.get(name, name) if isinstance(name, str) else None
    if said not in CLASSES:
        raise BadReference(
            f"{where}: rhythm_name {name!r:.60}, expected one of {sorted({*CLASSES, *RELABEL})}"
        )
    return int(onset), said


def _is_number(value: Any) -> bool:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int or (isinstance(value, float) and math.isfinite(value))


def read_samples(path: Path) -> NDArray[np.int16]:
    """The samples of an `.ecg` file. Raises `BadReference` where it can't be one of the test set's."""
    try:
        content = path.read_bytes()
    except OSError as error:  # a folder, for one
        raise BadReference(f"{path}: {error.strerror}, expected a file of int16 samples") from error
    if len(content) % 2:
        raise BadReference(f"{path}: {len(content)} bytes, expected int16 samples, two bytes each")
    samples = np.frombuffer(content, dtype="<i2").astype(np.int16)
    if not WINDOW <= len(samples) < 2 * WINDOW:
        raise BadReference(
            f"{path}: {len(samples)} samples, expected about {30 * FS_HZ} (30 s), from {WINDOW} to {2 * WINDOW - 1}"
        )
    return samples


def read_test_set(folder: Path) -> list[TestRecord]:
    """Read a folder of that layout. Raises `FileNotFoundError` without recordings, `BadReference` for a
    recording without its committee, labels without their recording, an id that comes twice and what can't be read.
    """
    paths = sorted(folder.rglob("*.ecg"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no .ecg files; expected the layout of the cardiologist test set")
    labels: dict[Path, dict[str, Path]] = {path: {} for path in paths}
    for label_file in sorted(folder.rglob("*.episodes.json")):
        named = LABEL_FILE.fullmatch(label_file.name)
        if named is None:
            continue
        recording = label_file.with_name(f"{named[1]}.ecg")
        if recording not in labels:
            raise BadReference(
                f"{label_file}: labels without a recording, expected {recording.name} beside it"
            )
        labels[recording][named[2]] = label_file
    known: dict[str, Path] = {}
    records = []
    for path in paths:
        first = known.setdefault(path.stem, path)
        if first != path:
            raise BadReference(f"{path}: id {path.stem!r} is that of {first}, too; expected each id once")
        samples = read_samples(path)
        committee = [file for who, file in labels[path].items() if who.startswith("grp")]
        if len(committee) != 1:
            raise BadReference(f"{path}: expected one {path.stem}_grpN.episodes.json, found {len(committee)}")
        others = {
            who: steps_of(file, len(samples)) for who, file in labels[path].items() if who.startswith("rev")
        }
        records.append(TestRecord(path.stem, samples, steps_of(committee[0], len(samples)), others))
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


def evaluate(
    records: Sequence[TestRecord],
    ours: Sequence[Labels],
    *,
    model: str,
    predictions: Sequence[Prediction] = (),
) -> Evaluation:
    """Judge our steps and the cardiologists' against the committee's; `predictions`, if any, one for each
    step of each record in turn.
    """
    result = Evaluation("cardiologists", model, "all")
    names = [r.name.split("_")[0] for r in records]
    labelled = Counter(who for r in records for who in r.cardiologists)
    each = ", ".join(f"{who} {n}" for who, n in sorted(labelled.items())) or "none"
    for title, count in (("sequence F1", sequence_counts), ("set F1", set_counts)):
        mine = np.array([count(r.committee, said) for r, said in zip(records, ours, strict=True)])
        theirs = np.array([count(r.committee, said) for r in records for said in r.cardiologists.values()])
        theirs = theirs.sum(axis=0) if len(theirs) else np.zeros(mine.shape[1:])
        rows: list[tuple[Cell, ...]] = []
        for i, name in enumerate(CLASSES):
            figure = statistics.bootstrap(names, mine[:, i], lambda c: class_f1(c[:, None])[:, 0])
            rows.append((name, int(mine[:, i, 1].sum()), figure, float(class_f1(theirs[i]))))
        overall = statistics.bootstrap(names, mine, weighted_f1)
        rows.append(("weighted by support", int(mine[:, :, 1].sum()), overall, float(weighted_f1(theirs))))
        note = (
            f"{len(records)} records; per cent, 95 % intervals over patients; one committee judges all."
            f" Records with a cardiologist's labels: {each}."
        )
        result.tables.append(Table(title, ("rhythm", "support", "this network", "cardiologists"), rows, note))
    all_said = np.concatenate(list(ours))
    silent = all_said < 0
    result.tables.append(
        Table("abstention", ("what", "share"), [("steps without one of the classes", float(silent.mean()))])
    )
    truth = np.concatenate([r.committee for r in records])
    matrix = statistics.confusion(truth, all_said, len(CLASSES))
    result.confusions["step"] = Confusion(CLASSES, matrix, "steps of 1.28 s")
    result.predictions = list(predictions)
    judged = [
        (p, CLASSES[t]) for p, t, none in zip(predictions, truth, silent, strict=False) if t >= 0 and not none
    ]
    if judged:
        classes = list(judged[0][0].probabilities)
        shares = np.array([list(p.probabilities.values()) for p, _ in judged])
        labels = np.array([classes.index(p.label) for p, _ in judged])
        right = np.array([OURS.get(p.label) == rhythm for p, rhythm in judged])
        result.reliabilities["step"] = statistics.reliability_of_labels(
            shares, labels, np.where(right, labels, -1)
        )
    amiss = [int((r.committee != said).sum()) for r, said in zip(records, ours, strict=True)]
    for i in np.argsort(amiss)[::-1][:8]:
        caption = f"{records[i].name}: {amiss[i]} of {len(ours[i])} steps differ from the committee's"
        result.worst.append(Worst("cardiologists", records[i].name, 0.0, 30.0, caption))
    return result


def steps_said(
    stream: Stream, classes: Sequence[str], n_steps: int, thresholds: Mapping[str, float] | None = None
) -> tuple[Labels, list[Prediction]]:
    """Our label of each step, by the finding known 15 s after its middle (at the earliest the first that names a rhythm, at the
    latest the record's last): as the paper names it, and as the model does.
    """
    labels = labels_of(stream, classes, thresholds)
    said = np.full(n_steps, -1, np.int64)
    predictions = []
    for step in range(n_steps):
        start_s, end_s = step * STEP / FS_HZ, (step + 1) * STEP / FS_HZ
        k = judged_by(int((start_s + end_s) / 2), len(labels))
        name = OURS.get(str(labels[k]))
        said[step] = -1 if name is None else CLASSES.index(name)
        shares = dict(zip(classes, stream.rhythm[k].tolist(), strict=True))
        label = labels[k] or why_none(stream, k)
        predictions.append(Prediction(stream.source.record, start_s, end_s, label, shares))
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
    predictions = [prediction for _, row in pairs for prediction in row]
    return evaluate(records, [said for said, _ in pairs], model=model.name, predictions=predictions)
