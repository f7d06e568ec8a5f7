"""From streams to what is told of them: rows a second, tables, JSON, pages."""

import csv
import json
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import (
    report_pages,
    results,
    streaming,
)
from ecgstream.evaluation.sources import Source
from ecgstream.evaluation.statistics import Estimate, reliability
from evaluation_streams import ACUTE, BEATS, RHYTHMS, one_hot


class CountingScorer:
    """Calls second n of a run by its number: sinus while even, af while odd; warm from the third on; knows
    beats after 3 s.
    """

    def __init__(self, n_slots: int) -> None:
        self.n = np.zeros(n_slots, np.int64)

    def reset(self, slot: int) -> None:
        self.n[slot] = 0

    def step(self, slots: NDArray[np.int64], blocks: NDArray[np.float32], *_: object) -> "CountingScorer":
        assert len(set(slots.tolist())) == len(slots)
        assert blocks.shape == (len(slots), 128)
        names = [None if self.n[s] < 3 else ("sinus", "af")[self.n[s] % 2] for s in slots]
        self.rhythm, self.acute = one_hot(names, RHYTHMS), one_hot(["organised"] * len(slots), ACUTE)
        self.n[slots] += 1
        return self

    def beat_probabilities(self, slot: int, positions: NDArray[np.float64]) -> NDArray[np.float32]:
        known = positions / 128 + 3 < self.n[slot]
        return one_hot(["N" if k else None for k in known], BEATS)


class NamedModel:
    name, beat_classes, acute_classes, rhythm_classes = "m@0", BEATS, ACUTE, RHYTHMS
    thresholds: ClassVar[dict[str, float]] = {}
    record_weights: ClassVar[dict[str, float]] = {}


def test_streaming_gives_a_row_a_second_and_waits_for_beats() -> None:
    t = np.arange(60 * 250) / 250
    beat = 1000 * np.exp(-((((t + 0.5) % 1.0 - 0.5) / 0.02) ** 2))
    made = [
        Source("vfdb", str(i), str(i), 250.0, 1.0, beat.astype(np.int16)[: 250 * (20 + 10 * i)])
        for i in range(5)
    ]
    told: list[str] = []
    found = streaming.stream_records(
        NamedModel(), made, n_slots=2, scorer=CountingScorer(2), keep_signal=True,
        done=lambda s: told.append(s.source.record),
    )  # fmt: skip
    assert sorted(told) == ["0", "1", "2", "3", "4"]
    for stream in found:
        seconds = int(stream.source.duration_s)
        assert stream.rhythm.shape == (seconds, 12)
        assert np.isnan(stream.rhythm[:3]).all()
        assert (stream.rhythm[3:].argmax(axis=1) == np.arange(3, seconds) % 2).all()
        assert stream.signal is not None
        assert stream.signal.shape == (seconds * 128,)
        assert len(stream.beats) == len(stream.beats_s)
        early = stream.beats_s < seconds - 4
        assert not np.isnan(stream.beats[early]).any()
        assert np.isnan(stream.beats[stream.beats_s > seconds - 3]).all()


def made_evaluation() -> results.Evaluation:
    found = results.Evaluation("rhythms", "m@0", "dev")
    rows: list[tuple[results.Cell, ...]] = [
        ("af", Estimate(0.9, 0.8, 0.95), 3),
        ("vt", Estimate(np.nan, np.nan, np.nan), None),
    ]
    found.tables.append(results.Table("t", ("rhythm", "Se", "n"), rows, "a note"))
    found.confusions["second"] = results.Confusion(("a", "b"), np.array([[3, 1], [0, 2]]), "seconds")
    found.reliabilities["second"] = reliability(np.array([0.8, 0.4]), np.array([True, False]))
    found.predictions = [results.Prediction("mitdb/1", 0.0, 30.0, "af", {"af": 0.75, "sinus": float("nan")})]
    found.worst.append(results.Worst("mitdb", "1", 10.0, 40.0, "a caption"))
    return found


def test_unknown_is_null_in_json_and_a_dash_in_text() -> None:
    found = json.loads(json.dumps(results.as_json(made_evaluation()), allow_nan=False))
    assert found["tables"]["t"]["rows"][0]["Se"] == {"value": 0.9, "low": 0.8, "high": 0.95}
    assert found["tables"]["t"]["rows"][1]["Se"]["value"] is None
    assert results.text(Estimate(np.nan, np.nan, np.nan)) == "–"
    assert results.text(Estimate(0.9, 0.8, 0.95)) == "90.0 (80.0–95.0)"


def test_predictions_are_written_with_a_column_a_class(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    assert results.write_predictions(path, made_evaluation().predictions) == 1
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["record", "start_s", "end_s", "label", "af", "sinus"],
        ["mitdb/1", "0", "30", "af", "0.75000", ""],
    ]


def test_report_page_has_its_pictures(tmp_path: Path) -> None:
    page = report_pages.write_report(
        tmp_path / "r", made_evaluation(), lambda _: (np.zeros(3840, np.float32), 128.0)
    )
    lines = page.read_text()
    for picture in (
        "rhythms-confusion-second.png",
        "rhythms-reliability-second.png",
        "rhythms-worst-mitdb-1-10.0.png",
    ):
        assert (tmp_path / "r" / picture).stat().st_size > 1000
        assert picture in lines
    assert "| af | 90.0 (80.0–95.0) | 3 |" in lines


def test_each_caption_has_a_picture_of_its_own(tmp_path: Path) -> None:
    found = results.Evaluation("alarms", "m@0", "dev")
    found.worst = [results.Worst("mitdb", "1", at_s, at_s + 30.0, f"at {at_s}") for at_s in (10.0, 80.0)]
    page = report_pages.write_report(tmp_path, found, lambda w: (np.full(3840, w.start_s, np.float32), 128.0))
    shown = re.findall(r"!\[(.*)\]\((.*)\)", page.read_text())
    assert [caption for caption, _ in shown] == ["at 10.0", "at 80.0"]
    one, other = ((tmp_path / name).read_bytes() for _, name in shown)
    assert one != other
