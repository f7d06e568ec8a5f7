"""The cardiologist test set: its layout, its F1 by hand, its mistakes by name."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgstream.cli import app
from ecgstream.evaluation import BadReference, cardiologists, report_pages, results
from ecgstream.evaluation.statistics import Estimate
from evaluation_streams import RHYTHMS, stream


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
    assert record.cardiologists["rev0"].tolist() == [sinus] * 23
    assert (
        record.cardiologists["rev1"].tolist() == [sinus] * 11 + [af] * 12
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


EPISODE = {"onset": 1, "offset": 6000, "rhythm_name": "NSR"}
SPAN = "expected a sample from 1 to 6000"
ENDS = "expected a sample from its onset, {}, to 6000"


@pytest.mark.parametrize(
    ("field", "written", "expected"),
    [
        ("onset", '"x"', f"onset 'x', {SPAN}"),
        ("onset", "NaN", f"onset nan, {SPAN}"),
        ("onset", "1e400", f"onset inf, {SPAN}"),
        ("onset", "1" + "0" * 400, "onset 1000"),
        ("onset", "true", f"onset True, {SPAN}"),
        ("onset", "null", f"onset None, {SPAN}"),
        ("onset", "-1", f"onset -1, {SPAN}"),
        ("onset", "6001", f"onset 6001, {SPAN}"),
        ("offset", '"x"', f"offset 'x', {ENDS.format(1)}"),
        ("offset", "NaN", f"offset nan, {ENDS.format(1)}"),
        ("offset", "-5", f"offset -5, {ENDS.format(1)}"),
        ("offset", "6144", f"offset 6144, {ENDS.format(1)}"),
        ("rhythm_name", "7", "rhythm_name 7, expected one of ['AF', "),
        ("rhythm_name", "[]", "rhythm_name [], expected one of ['AF', "),
    ],
)
@pytest.mark.parametrize("who", ["grp1", "rev0"])
def test_what_an_episode_cannot_hold_is_named(
    tmp_path: Path, who: str, field: str, written: str, expected: str
) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [[(1, "NSR")]])
    path = tmp_path / f"abc_0001_{who}.episodes.json"
    rest = json.dumps({k: v for k, v in EPISODE.items() if k != field})
    path.write_text(f'{{"episodes": [{rest[:-1]}, "{field}": {written}}}]}}')
    with pytest.raises(BadReference, match=re.escape(f"{path}: episode 1: {expected}")):
        cardiologists.read_test_set(tmp_path)


def test_an_offset_before_its_onset_is_named(tmp_path: Path) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR"), (2561, "AFL")], [])
    path = tmp_path / "abc_0001_grp1.episodes.json"
    path.write_text(json.dumps({"episodes": [EPISODE, {**EPISODE, "onset": 2561, "offset": 2000}]}))
    with pytest.raises(BadReference, match=re.escape(f"{path}: episode 2: offset 2000, {ENDS.format(2561)}")):
        cardiologists.read_test_set(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"episodes": "\xff"}', "not an episode file: UnicodeDecodeError"),
        (b'{"episodes": [' + b"1" * 5000 + b"]}", "not an episode file: ValueError"),
        (b"[" * 100_000, "not an episode file: RecursionError"),
        (b'{"episodes": {"onset": 1}}', "not an episode file: episodes {'onset': 1}, expected a list"),
        (b'{"episodes": []}', "no episodes"),
        (b'{"episodes": [3]}', "episode 1: 3, expected an object"),
        (b'{"episodes": [{"offset": 9, "rhythm_name": "NSR"}]}', "episode 1: no onset, found ['offset', 'rhythm_name']"),
        (b'{"episodes": [{"onset": 1, "offset": 9}]}', "episode 1: no rhythm_name, found ['offset', 'onset']"),
    ],
    ids=["utf-8", "digits", "nested", "object", "empty", "number", "no onset", "no name"],
)  # fmt: skip
def test_what_is_not_an_episode_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    path = tmp_path / "abc_0001_grp1.episodes.json"
    path.write_bytes(content)
    with pytest.raises(BadReference, match=re.escape(f"{path}: {expected}")):
        cardiologists.read_test_set(tmp_path)


@pytest.mark.parametrize("offset", [5999, 6000, 6001, 6143, 6000.0, None, ...])
def test_offsets_may_be_one_off_or_missing(tmp_path: Path, offset: Any) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    episode = {**EPISODE, "onset": 0, "offset": offset}
    if offset is ...:
        del episode["offset"]
    (tmp_path / "abc_0001_grp1.episodes.json").write_text(json.dumps({"episodes": [episode]}))
    (record,) = cardiologists.read_test_set(tmp_path)
    assert record.committee.tolist() == [cardiologists.CLASSES.index("SINUS")] * 23


@pytest.mark.parametrize(
    ("n_bytes", "expected"),
    [
        (0, "0 samples, expected about 6000 (30 s), from 5888 to 11775"),
        (400, "200 samples, expected about 6000"),
        (11774, "5887 samples, expected about 6000"),
        (11999, "11999 bytes, expected int16 samples, two bytes each"),
        (24000, "12000 samples, expected about 6000"),
    ],
)
def test_a_recording_of_another_length_is_named(tmp_path: Path, n_bytes: int, expected: str) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    path = tmp_path / "abc_0001.ecg"
    path.write_bytes(bytes(n_bytes))
    with pytest.raises(BadReference, match=re.escape(f"{path}: {expected}")):
        cardiologists.read_test_set(tmp_path)


@pytest.mark.parametrize("n_samples", [5888, 5990, 6000, 6100])
def test_a_recording_of_about_30_s_is_read(tmp_path: Path, n_samples: int) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    (tmp_path / "abc_0001.ecg").write_bytes(bytes(2 * n_samples))
    (record,) = cardiologists.read_test_set(tmp_path)
    assert len(record.samples) == n_samples
    assert len(record.committee) == 23


def test_a_folder_for_a_recording_or_for_labels_is_named(tmp_path: Path) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    labels = tmp_path / "abc_0001_rev0.episodes.json"
    labels.mkdir()
    with pytest.raises(BadReference, match=re.escape(f"{labels}: not an episode file: IsADirectoryError")):
        cardiologists.read_test_set(tmp_path)
    labels.rmdir()
    recording = tmp_path / "abc_0001.ecg"
    recording.unlink()
    recording.mkdir()
    with pytest.raises(BadReference, match=re.escape(f"{recording}: Is a directory, expected a file")):
        cardiologists.read_test_set(tmp_path)


@pytest.mark.parametrize("who", ["grp1", "rev3"])
def test_labels_without_a_recording_are_named(tmp_path: Path, who: str) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    astray = tmp_path / f"abc_0002_{who}.episodes.json"
    astray.write_text(json.dumps({"episodes": [EPISODE]}))
    expected = f"{astray}: labels without a recording, expected abc_0002.ecg beside it"
    with pytest.raises(BadReference, match=re.escape(expected)):
        cardiologists.read_test_set(tmp_path)


def test_an_id_in_two_folders_is_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_test_record(tmp_path / name, "abc_0001", [(1, "NSR")], [])
    first, second = (tmp_path / name / "abc_0001.ecg" for name in ("one", "two"))
    with pytest.raises(BadReference, match=re.escape(f"{second}: id 'abc_0001' is that of {first}, too")):
        cardiologists.read_test_set(tmp_path)


def test_the_command_tells_a_mistake_in_one_line(tmp_path: Path) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR")], [])
    (tmp_path / "abc_0001.ecg").write_bytes(b"")
    told = CliRunner().invoke(app, ["evaluate", "cardiologists", "--data", str(tmp_path)])
    assert told.exit_code == 2
    assert told.stderr.startswith(f"{tmp_path}/abc_0001.ecg: 0 samples, expected")
    assert told.stderr.count("\n") == 1


def test_the_note_counts_each_cardiologists_records(tmp_path: Path) -> None:
    write_test_record(tmp_path, "a_1", [(1, "NSR")], [])
    records = cardiologists.read_test_set(tmp_path)
    found = cardiologists.evaluate(records, [r.committee for r in records], model="m")
    assert found.table("set F1").note.endswith("Records with a cardiologist's labels: none.")
    assert results.text(found.table("set F1").rows[-1][3]) == "–"
    write_test_record(tmp_path, "b_1", [(1, "NSR")], [[(1, "NSR")]])
    write_test_record(tmp_path, "c_1", [(1, "NSR")], [[(1, "NSR")], [(1, "AF")]])
    records = cardiologists.read_test_set(tmp_path)
    found = cardiologists.evaluate(records, [r.committee for r in records], model="m")
    for title in ("sequence F1", "set F1"):
        assert found.table(title).note.endswith("Records with a cardiologist's labels: rev0 2, rev1 1.")


def test_predictions_are_named_as_their_columns_and_make_a_reliability_curve(tmp_path: Path) -> None:
    write_test_record(tmp_path, "abc_0001", [(1, "NSR"), (4097, "AFL")], [])
    records = cardiologists.read_test_set(tmp_path)
    known = stream(
        seconds=30, rhythm=["af"] * 30, unreadable=range(5, 15)
    )  # 20 of 30 s can be read at the end
    said, predictions = cardiologists.steps_said(known, RHYTHMS, 23)
    found = cardiologists.evaluate(records, [said], model="m", predictions=predictions)
    results.write_predictions(tmp_path / "said.csv", found.predictions)
    rows = list(csv.DictReader((tmp_path / "said.csv").read_text().splitlines()))
    assert {row["label"] for row in rows} == {"af", "unreadable"}
    assert all(row["label"] == "unreadable" or float(row[row["label"]]) == 0.9 for row in rows)
    assert [row[0] for row in found.table("set F1").rows][:2] == ["AF", "AVB"]
    called = int((said >= 0).sum())
    right = int((records[0].committee[said >= 0] == cardiologists.CLASSES.index("AF")).sum())
    curve = found.reliabilities["step"]
    assert 0 < right < called < 23
    assert curve.count.sum() == called
    assert curve.ece == pytest.approx(abs(0.9 - right / called))
    report_pages.write_report(tmp_path / "page", found)
    assert (tmp_path / "page" / "cardiologists-reliability-step.png").is_file()
