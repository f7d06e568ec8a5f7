"""What JSON, CSV and reliability curves of an evaluation say."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgstream.evaluation import acute, alarms, beat_classes, beats, cinc2017, report_pages, results, rhythms
from evaluation_streams import ACUTE, RHYTHMS, reference, stream
from fakes import FakeModel

MODEL: Any = FakeModel(rhythm_classes=RHYTHMS)


def test_a_rhythm_named_by_beats_is_left_out_of_the_curve_and_its_share_told(tmp_path: Path) -> None:
    at = np.arange(400, 500, 0.8)
    kinds = ["N", "V"] * (len(at) // 2 + 1)
    ours = stream(beats_s=at.tolist(), beats=kinds[: len(at)])  # the network says sinus all the while
    found = rhythms.evaluate([(reference(), ours)], RHYTHMS, model="m", split="dev")
    curve, matrix = found.reliabilities["second"], found.confusions["second"].counts
    bigeminal = matrix[RHYTHMS.index("sinus"), RHYTHMS.index("bigeminy")]
    assert bigeminal > 50
    assert curve.left_out == pytest.approx(bigeminal / 300)
    assert curve.count.sum() == 300 - bigeminal
    assert np.nanmax(curve.observed) == 1.0  # what a rule named says nothing of the probability
    assert results.as_json(found)["calibration_left_out"]["second"] == pytest.approx(curve.left_out, abs=1e-6)
    page = report_pages.write_report(tmp_path, found).read_text()
    assert f"Of the labels, {100 * curve.left_out:.1f} % aren't the class of the greatest probability" in page
    named = [p for p in found.predictions if p.label == "bigeminy"]  # the CSV keeps label and probabilities
    assert named
    assert max(named[0].probabilities, key=named[0].probabilities.__getitem__) == "sinus"


def test_a_beat_named_by_its_rhythm_is_left_out_of_the_curve() -> None:
    at = [400.0, 401.0, 402.0, 500.0]
    ours = stream(
        beats_s=at, beats=["S", "V", "N", "S"], rhythm=["sinus"] * 390 + ["af"] * 60 + ["sinus"] * 150
    )
    found = beat_classes.evaluate([(reference(beats_s=at, kinds=list("NVNS")), ours)], MODEL, "dev")
    curve = found.reliabilities["beat"]
    assert curve.left_out == 0.25  # S in AF, called N
    assert curve.count.sum() == 3
    assert curve.ece == pytest.approx(0.1, abs=1e-6)


def shocks_evaluated() -> results.Evaluation:
    t = np.arange(600 * 128) / 128
    signal = (400 * np.sin(2 * np.pi * 5 * t)).astype(np.float32)
    said = ["organised"] * 100 + ["vf"] * 80 + ["organised"] * 420
    spells = [(0.0, 100.0, "N"), (100.0, 200.0, "VFIB"), (200.0, 600.0, "N")]
    ours = stream(database="vfdb", acute=said, signal=signal, unreadable=list(range(114, 120)))
    judged = reference(database="vfdb", rhythms=spells)
    return acute.evaluate([(judged, ours)], ACUTE, model="m", split="dev")


def test_the_shock_table_can_be_counted_from_the_predictions(tmp_path: Path) -> None:
    found = shocks_evaluated()
    path = tmp_path / "p.csv"
    assert results.write_predictions(path, found.predictions) == 60
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    head = ["record", "start_s", "end_s", "label", "patient", "told", "shock", *ACUTE]
    assert list(rows[0]) == head
    assert (rows[1]["record"], rows[1]["start_s"], rows[1]["end_s"]) == ("vfdb/x", "10", "20")
    table = found.table("shockable rhythm on vfdb")
    for cells in table.rows:
        row = dict(zip(table.columns, cells, strict=True))
        own = [r for r in rows if r["label"] == row["rhythm"]]
        right = [r for r in own if r["shock"] == ("yes" if row["figure"] == "Se" else "no")]
        assert len(own) == row["segments"]
        assert len({r["patient"] for r in own}) == row["patients"]
        assert len(right) / len(own) == pytest.approx(row["value"])
        silent = [r for r in own if r["told"] == "unreadable"]
        assert len(silent) / len(own) == pytest.approx(row["unreadable"])
        assert all(r["vf"] == "" for r in silent)
    assert {r["told"] for r in rows} == {"organised", "vf", "unreadable"}


def strings(found: results.Evaluation) -> Iterator[str]:
    for table in results.as_json(found)["tables"].values():
        for row in table["rows"]:
            yield from (cell for cell in row.values() if isinstance(cell, str))


def test_json_holds_numbers_as_numbers() -> None:
    seconds = {"a": 30.0, "b": 30.0}
    shares = {"a": np.eye(4)[0], "b": np.eye(4)[1]}
    records = cinc2017.evaluate(
        {"a": "N", "b": "A"}, shares, dict.fromkeys(shares, 0.0), model="m", split="dev", duration_s=seconds
    )
    detected = beats.Count(3, 1, 0, 0, 0, 0, 0.0, 300.0, np.array([0.01, 0.02]))
    every = [
        records,
        shocks_evaluated(),
        rhythms.evaluate([(reference(), stream())], RHYTHMS, model="m", split="dev"),
        beats.evaluate({("mitdb", "100"): detected}, np.array([0.3, 0.4])),
    ]
    judged = alarms.Judged(reference(), {kind: [] for kind in alarms.KINDS}, [], [])
    tables = [alarms._caught([judged]), alarms.false_table([judged]), alarms._astray([judged])]
    every.append(results.Evaluation("alarms", "m", "dev", tables=tables))
    said = [text for found in every for text in strings(found)]
    assert [text for text in said if re.match(r"[<>]?\s*[-+]?\d", text) or text == "–"] == []
    rows = results.as_json(every[2])["tables"]
    assert rows["rhythms on mitdb"]["rows"][0]["minutes"] == 5.0
    assert rows["abstention"]["rows"][0]["hours scored"] == pytest.approx(300 / 3600, abs=1e-6)
    goals = {
        row["rhythm"]: row["goal"]
        for row in results.as_json(every[1])["tables"]["shockable rhythm on vfdb"]["rows"]
    }
    assert goals == {"coarse VF": 0.9, "sinus": 0.99}
    assert results.text(results.fixed(float("nan"), 1)) == "–"
    assert results.text(results.fixed(12.34, 1)) == "12.3"
