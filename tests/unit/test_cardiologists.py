"""The cardiologist test set: its layout, its F1 by hand, its mistakes by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecgstream.evaluation import cardiologists
from ecgstream.evaluation.statistics import Estimate


def write_test_record(
    folder: Path, name: str, committee: list[tuple[int, str]], others: list[list[tuple[int, str]]]
) -> None:
    rng = np.random.default_rng(0)
    rng.integers(-200, 200, 30 * 200).astype("<i2").tofile(folder / f"{name}.ecg")
    for suffix, episodes in [("grp1", committee), *((f"rev{i}", e) for i, e in enumerate(others))]:
        ends = [*(onset - 1 for onset, _ in episodes[1:]), 6000]
        rows = [{"onset": a, "offset": b, "rhythm_name": r} for (a, r), b in zip(episodes, ends, strict=True)]
        (folder / f"{name}_{suffix}.episodes.json").write_text(json.dumps({"episodes": rows}))


def test_cardiologist_layout_is_read_step_by_step(tmp_path: Path) -> None:
    write_test_record(
        tmp_path, "abc_0001", [(1, "NSR"), (2561, "AFL")], [[(1, "SINUS")], [(1, "NSR"), (2700, "AFIB")]]
    )
    (record,) = cardiologists.read_test_set(tmp_path)
    sinus, af = cardiologists.CLASSES.index("SINUS"), cardiologists.CLASSES.index("AF")
    assert record.committee.tolist() == [sinus] * 10 + [af] * 13  # 2560 samples are ten steps
    assert record.cardiologists[0].tolist() == [sinus] * 23
    assert (
        record.cardiologists[1].tolist() == [sinus] * 11 + [af] * 12
    )  # 2700 is nearer to the eleventh step's end


def test_sequence_and_set_f1_by_hand(tmp_path: Path) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR"), (2561, "AFL")], [[(1, "SINUS")]])
    (record,) = cardiologists.read_test_set(tmp_path)
    found = cardiologists.evaluate([record], [record.committee], model="m")
    for title in ("sequence F1", "set F1"):
        rows = {row[0]: row for row in found.table(title).rows}
        mine = rows["weighted by support"][2]
        assert isinstance(mine, Estimate)
        assert mine.value == 1.0
    theirs = {row[0]: row[3] for row in found.table("sequence F1").rows}
    assert theirs["SINUS"] == pytest.approx(2 * 10 / (10 + 23))
    assert theirs["AF"] == 0.0
    assert theirs["weighted by support"] == pytest.approx((10 * 20 / 33) / 23)
    sets = {row[0]: row[3] for row in found.table("set F1").rows}
    assert sets["SINUS"] == 1.0
    assert sets["weighted by support"] == pytest.approx(0.5)


def test_cardiologist_layout_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.ecg files"):
        cardiologists.read_test_set(tmp_path)
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    committee = tmp_path / "abc_0001_grp1.episodes.json"
    committee.write_text('{"episodes": [{"onset": 1, "offset": 9, "rhythm_name": "WALTZ"}]}')
    with pytest.raises(ValueError, match="WALTZ"):
        cardiologists.read_test_set(tmp_path)
    committee.write_text("[]")
    with pytest.raises(ValueError, match="not an episode file"):
        cardiologists.read_test_set(tmp_path)
    committee.unlink()
    with pytest.raises(ValueError, match="expected one"):
        cardiologists.read_test_set(tmp_path)
