"""PhysioNet/CinC Challenge 2017: normal, atrial fibrillation, other rhythm, too noisy (Clifford et al.
2017, doi:10.22489/CinC.2017.065-469).

The score is the mean of the F1 of N, A and O from the 4 x 4 table; the F1 of noise stands apart, as in the
challenge. The labels are those of REFERENCE-v3. The challenge names no patients, so the unit that is
resampled for the intervals is the record, and they are narrower than they would be over patients.

A record gets the label whose rhythm classes (N = sinus, A = af, ~ = noise, O = all others) have the largest summed
probability, each times the weight that is the model's operating point. Nothing is left out: a record that can't be read is
called ``~`` and counts as such.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import statistics
from ecgstream.evaluation.chosen import none_in
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import read_cinc_labels
from ecgstream.evaluation.results import Confusion, Evaluation, Prediction, Table, Worst, fixed
from ecgstream.evaluation.sources import read_source
from ecgstream.evaluation.streaming import FS_HZ, Model, Stream, stream_records, unscored
from ecgstream.model_folder import CINC_CLASSES

DATABASE = "cinc2017"
RHYTHM_OF = {"sinus": "N", "af": "A", "noise": "~"}
Floats = NDArray[np.float64]


# scores one whole record: float32 (n,), µV, 128 Hz, filtered, and its R peaks in samples -> float32 (n_rhythm,)
RecordScorer = Callable[[NDArray[np.float32], Floats], NDArray[np.float32]]


def grouped(probabilities: NDArray[np.floating], rhythm_classes: Sequence[str]) -> Floats:
    """Rhythm probabilities (n, n_rhythm) as those of N, A, O and ~: float64 (n, 4). A row of NaN is ~."""
    column = [CINC_CLASSES.index(RHYTHM_OF.get(name, "O")) for name in rhythm_classes]
    out = np.zeros((len(probabilities), len(CINC_CLASSES)))
    np.add.at(out.T, column, np.asarray(probabilities, np.float64).T)
    out[np.isnan(out).any(axis=1)] = np.eye(len(CINC_CLASSES))[CINC_CLASSES.index("~")]
    return out


def class_f1(counts: Floats) -> Floats:
    """F1 of N, A, O and ~ from 4 x 4 tables (..., 4, 4), rows the reference: (..., 4)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return statistics.f1(hits, counts.sum(axis=-1), counts.sum(axis=-2))


def mean_f1(counts: Floats) -> Floats:
    """The challenge's score: the mean F1 of N, A and O."""
    mean: Floats = class_f1(counts)[..., :3].mean(axis=-1)
    return mean


def last_known(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """The last second's probabilities (n_classes,) of a stream (seconds, n_classes); NaN where no second has any."""
    known = np.flatnonzero(~np.isnan(rows).any(axis=1))
    return rows[known[-1]] if known.size else np.full(rows.shape[1], np.nan)


def evaluate(
    labels: Mapping[str, str],
    shares: Mapping[str, Floats],
    unreadable: Mapping[str, float],
    *,
    model: str,
    split: str,
    duration_s: Mapping[str, float],
    weights: Mapping[str, float] | None = None,
    streamed: Mapping[str, Floats] | None = None,
) -> Evaluation:
    """Score predictions: for each record its label, the probabilities of N, A, O and ~, and the unreadable
    share of it; `streamed`: these probabilities as a stream has them at the record's end.
    """
    records = sorted(labels)
    truth = np.array([CINC_CLASSES.index(labels[r]) for r in records], np.int64)
    claimed, said = _said(records, shares, weights)
    result = Evaluation("cinc2017", model, split)
    note = (
        "95 % intervals by bootstrap over records (the challenge names no patients); labels of REFERENCE-v3."
    )
    result.tables.append(_scores("score", records, truth, said, note))
    if streamed is not None:
        last = _said(records, streamed, weights)[1]
        note = "What the last 30 s of the record say as a stream that ends there, without the silence around a whole record."
        result.tables.append(_scores("score of the stream at the record's end", records, truth, last, note))
    called_noise = float((said == 3).mean()) if records else float("nan")
    seconds = sum(duration_s[r] for r in records)
    lost = sum(unreadable[r] * duration_s[r] for r in records)
    result.tables.append(
        Table(
            "abstention",
            ("what", "share"),
            [
                ("records called too noisy (~)", called_noise),
                ("records of N, A or O called too noisy", _noise_among_readable(truth, said)),
                ("signal the front end calls unreadable", lost / seconds if seconds else float("nan")),
            ],
            "No record is left out of the score.",
        )
    )
    result.confusions["record"] = Confusion(CINC_CLASSES, statistics.confusion(truth, said, 4), "records")
    if records:
        sure = claimed[np.arange(len(records)), said]
        result.reliabilities["record"] = statistics.reliability(sure, said == truth)
        result.tables.append(
            Table(
                "calibration",
                ("figure", "value"),
                [
                    ("expected calibration error", result.reliabilities["record"].ece),
                    ("Brier score, 0 to 2", fixed(statistics.brier(claimed, truth), 4)),
                ],
            )
        )
    result.predictions = [
        Prediction(
            record,
            0.0,
            duration_s[record],
            CINC_CLASSES[label],
            dict(zip(CINC_CLASSES, share.tolist(), strict=True)),
        )
        for record, share, label in zip(records, claimed, said, strict=True)
    ]
    result.worst = _worst(records, truth, said, claimed, duration_s)
    return result


def _said(
    records: Sequence[str], shares: Mapping[str, Floats], weights: Mapping[str, float] | None
) -> tuple[Floats, NDArray[np.int64]]:
    """The probabilities of records (n, 4), and their labels by the weighted largest (n,)."""
    claimed = np.array([shares[r] for r in records]).reshape(len(records), len(CINC_CLASSES))
    return claimed, (claimed * [(weights or {}).get(label, 1.0) for label in CINC_CLASSES]).argmax(axis=1)


def _scores(
    title: str, records: Sequence[str], truth: NDArray[np.int64], said: NDArray[np.int64], note: str
) -> Table:
    counts = np.zeros((len(records), 4, 4))
    counts[np.arange(len(records)), truth, said] = 1.0
    rows = []
    for i, name in enumerate(CINC_CLASSES):
        figure = statistics.bootstrap(records, counts, lambda c, i=i: class_f1(c)[..., i])  # type: ignore[misc]
        rows.append((f"F1 {name}", figure, int((truth == i).sum())))
    rows.append(("F1 (mean of N, A, O)", statistics.bootstrap(records, counts, mean_f1), len(records)))
    return Table(title, ("figure", "value", "records"), rows, note)


def _noise_among_readable(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    readable = truth < 3
    return float((said[readable] == 3).mean()) if readable.any() else float("nan")


def _worst(
    records: Sequence[str],
    truth: NDArray[np.int64],
    said: NDArray[np.int64],
    claimed: Floats,
    duration_s: Mapping[str, float],
) -> list[Worst]:
    doubt = np.argsort(claimed[np.arange(len(records)), truth])
    wrong = [i for i in doubt if said[i] != truth[i]][:8]
    return [
        Worst(
            DATABASE,
            records[i],
            0.0,
            min(30.0, duration_s[records[i]]),
            f"{records[i]}: labelled {CINC_CLASSES[truth[i]]}, called {CINC_CLASSES[said[i]]}"
            f" with probability {claimed[i, said[i]]:.2f}",
        )
        for i in wrong
    ]


def run(
    data: Path, model: Model, score_record: RecordScorer, split: str, done: Callable[[Stream], None]
) -> tuple[Evaluation, list[Stream]]:
    """Read, filter, score and evaluate the records of a split; also gives their beats, for the baseline."""
    labels = read_cinc_labels(data, split)
    if not labels:
        raise none_in((DATABASE,), split, data)
    expect(done, len(labels))
    sources = (read_source(data, DATABASE, record, record) for record in labels)
    shares: dict[str, Floats] = {}
    streamed: dict[str, Floats] = {}
    unreadable: dict[str, float] = {}
    duration_s: dict[str, float] = {}

    def take(stream: Stream) -> None:
        signal = stream.signal if stream.signal is not None else np.empty(0, np.float32)
        stream.signal = None
        record = stream.source.record
        shares[record] = grouped(score_record(signal, stream.beats_s * FS_HZ)[None], model.rhythm_classes)[0]
        streamed[record] = grouped(last_known(stream.rhythm)[None], model.rhythm_classes)[0]
        unreadable[record] = 1.0 - float(stream.readable.mean()) if stream.readable.size else 1.0
        duration_s[record] = stream.source.duration_s
        done(stream)

    streams = stream_records(model, sources, n_slots=32, keep_signal=True, done=take)
    result = evaluate(
        labels,
        shares,
        unreadable,
        model=model.name,
        split=split,
        duration_s=duration_s,
        weights=model.record_weights,
        streamed=streamed,
    )
    return result, streams


def front_end_only(data: Path, model: Model, split: str, done: Callable[[Stream], None]) -> list[Stream]:
    """The records of a split through the front end alone: their beats, for the baseline."""
    sources = (read_source(data, DATABASE, r, r) for r in read_cinc_labels(data, split))
    return stream_records(model, sources, n_slots=8, scorer=unscored(model), done=done)
