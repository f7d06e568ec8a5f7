"""The model's card: what it tells, and what it doesn't claim."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from ecgstream.evaluation.results import Evaluation, Table
from ecgstream.evaluation.statistics import Estimate
from ecgstream.shipped import shipped_model
from ecgstream.training.card import write_card

pytestmark = pytest.mark.torch


def test_a_card_tells_what_was_measured_or_how_to_measure_it(tmp_path: Path) -> None:
    shutil.copy(shipped_model() / "model.json", tmp_path)
    write_card(tmp_path)
    assert "`ecgstream evaluate card" in (tmp_path / "README.md").read_text()
    score = Table("score", ("figure", "value"), [("F1 A", Estimate(0.826, 0.773, 0.873))], "By record.")
    long = Table("by record", ("record", "Se"), [("100", 0.9)])
    write_card(tmp_path, [Evaluation("cinc2017", "m", "dev", [score, long])], 6543.2)
    text = (tmp_path / "README.md").read_text()
    for expected in (
        "### cinc2017: score",
        "| F1 A | 82.6 (77.3–87.3) |",
        "By record.",
        "6,543 windows a second",
    ):
        assert expected in text
    assert "suggested the three rules" not in text.split("## Known to fail")[0]
    assert "(the weights after epoch 20 of 26)" in text
    assert "junctional from 1, block from 0" in text
    acute = Evaluation("acute", "m", "dev", [Table("shocks", ("figure",), [("Se",)])])
    write_card(tmp_path, [acute])
    told = (tmp_path / "README.md").read_text().split("## Known to fail")[0]
    assert told.index("one-sided at 90 %") < told.index("### acute: shocks")
    assert "suggested the three rules" in told
    assert "VFDB set the temperature" in told.replace("\n", " ")
    assert "by record |" not in text
    assert "| 100 |" not in text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"epochs": 20}, "its 20 epochs ended before epoch 20"),
        ({"epochs": 21}, "after epoch 20 of 21"),
        ({"ectopy": 0.0}, "The trees learnt beats that were made"),
    ],
)
def test_a_card_says_what_was_done(changed: dict[str, float], told: str, tmp_path: Path) -> None:
    spec = json.loads((shipped_model() / "model.json").read_text())
    spec["training"]["config"] |= changed
    spec["training"]["rhythm_patients"] = {"sinus": 20, "paced": 3, "block": 0}
    (tmp_path / "model.json").write_text(json.dumps(spec))
    write_card(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert told in text
    assert "findings: paced from 3, block from 0 patients of MIT-BIH." in text


def test_a_card_can_be_written_of_a_model_that_keeps_little_of_its_training(tmp_path: Path) -> None:
    spec = json.loads((shipped_model() / "model.json").read_text())
    spec["training"] = {}
    (tmp_path / "model.json").write_text(json.dumps(spec))
    write_card(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "Never trained" not in text
    assert "Trained; seed unknown." in text
