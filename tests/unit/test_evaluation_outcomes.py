"""What an evaluation refuses before it begins, and what its JSON, CSV, reliability curves and progress say."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from rich.progress import Progress
from typer.testing import CliRunner

from ecgstream import frontend
from ecgstream.cli import app
from ecgstream.cli.evaluation_output import Done, show
from ecgstream.evaluation import (
    NothingToJudge,
    acute,
    alarms,
    beat_classes,
    beats,
    cinc2017,
    protocols,
    report_pages,
    results,
    rhythms,
    rr_baseline,
    streaming,
)
from ecgstream.training.splits import split_of
from evaluation_streams import ACUTE, RHYTHMS, reference, stream
from fakes import FakeModel

MODEL: Any = FakeModel(rhythm_classes=RHYTHMS)
TRAIN = next(r for r in ("100", "101", "103", "105", "106") if split_of("mitdb", r) == "train")


class Counter:
    """Counts what is expected and what is done."""

    expected = done = 0

    def expect(self, n: int) -> None:
        assert self.done <= self.expected
        self.expected += n

    def __call__(self, _recording: Any) -> None:
        self.done += 1


def write_record(folder: Path, name: str, seconds: int = 310) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    signal = np.sin(np.arange(250 * seconds) / 30)[:, None]
    wfdb.wrsamp(
        name, fs=250, units=["mV"], sig_name=["ECG"], p_signal=signal, fmt=["16"], adc_gain=[200.0], baseline=[0],
        write_dir=str(folder),
    )  # fmt: skip
    beat = 250 * seconds - 500
    wfdb.wrann(
        name, "atr", np.array([25, beat]), symbol=["+", "N"], aux_note=["(N", ""], write_dir=str(folder)
    )


@pytest.fixture
def unscoring(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: streams go through the front end alone."""
    monkeypatch.setattr(
        streaming, "_serving", lambda model, n, _: (frontend.FrontEnd(n), streaming.unscored(model))
    )


def refusal(*arguments: str) -> str:
    run = CliRunner().invoke(app, ["evaluate", *arguments])
    assert run.exit_code == 2, run.output
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    return run.stderr


def test_destinations_that_can_t_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    data = ("--data", str(tmp_path / "nothing there"))
    for command in ("rhythms", "cinc2017", "acute", "beats-classes"):
        assert f"--predictions {tmp_path}:" in refusal(command, *data, "--predictions", str(tmp_path))
        assert f"--report {file}:" in refusal(command, *data, "--report", str(file))
    below = str(file / "deep" / "p.csv")
    assert f"--predictions {below}: {file} is a file" in refusal("acute", *data, "--predictions", below)
    assert f"--report {below}: {file} is a file" in refusal("acute", *data, "--report", below)


def test_missing_folders_are_made_for_what_is_written(tmp_path: Path) -> None:
    table, report = tmp_path / "a" / "b" / "p.csv", tmp_path / "c" / "d"
    outputs = ("--predictions", str(table), "--report", str(report))
    assert "mitdb" in refusal("rhythms", "--data", str(tmp_path), "--database", "mitdb", *outputs)
    assert table.parent.is_dir()
    assert report.is_dir()


def test_the_tables_are_printed_though_the_predictions_can_t_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="gone"):
        show(results.Evaluation("rhythms", "m", "dev"), tmp_path, True, None, tmp_path / "gone" / "p.csv")
    assert json.loads(capsys.readouterr().out)["model"] == "m"


def test_without_a_recording_of_the_split_nothing_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(tmp_path / "mitdb", TRAIN)
    monkeypatch.setattr("ecgstream.cli.evaluate._model", lambda _: MODEL)
    for command in ("rhythms", "beats-classes"):
        said = refusal(command, "--data", str(tmp_path), "--database", "mitdb")
        assert "mitdb" in said
        assert "'dev'" in said
    for run in (acute.run, alarms.run):
        with pytest.raises(NothingToJudge, match=r"mitdb.*'dev'"):
            run(tmp_path, MODEL, "dev", lambda _: None, ("mitdb",))
    (tmp_path / "cinc2017").mkdir()
    (tmp_path / "cinc2017" / "REFERENCE-v3.csv").write_text("A00001,N\n")
    said = refusal("cinc2017", "--data", str(tmp_path))
    assert "cinc2017" in said
    assert "'dev'" in said


def test_a_database_is_known_by_its_folder_s_name_and_judged_once(tmp_path: Path, unscoring: None) -> None:
    for record in (TRAIN, "208"):
        write_record(tmp_path / "mitdb", record)
    for path in ("", "..", f"{tmp_path}/mitdb", "mitdb/1.0.0"):
        said = refusal("beats-classes", "--data", str(tmp_path), "--database", path)
        assert f"--database {path or repr(path)}:" in said
    for given in (("mitdb/",), ("./mitdb",), ("mitdb", "mitdb")):
        for judge in (protocols.beats_classes, protocols.rhythms):
            found = judge(tmp_path, MODEL, "dev", lambda _: None, databases=given)
            assert {p.record for p in found.predictions} == {"mitdb/208"}
            places = [(p.start_s, p.end_s) for p in found.predictions]
            assert len(places) == len(set(places))


@pytest.mark.usefixtures("unscoring")
def test_of_a_judged_recording_no_samples_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path / "own", "1")
    held: list[streaming.Stream] = []
    for judge in (protocols.beats_classes, protocols.rhythms):
        found = judge(tmp_path, MODEL, "dev", held.append, databases=("own",))
        assert isinstance(found.predictions, results.Later)
    assert len(held) == 2
    for judged in held:
        assert judged.signal is None
        assert judged.source.samples.nbytes == 0
        assert judged.source.duration_s == 310


@pytest.mark.usefixtures("unscoring")
def test_beats_are_judged_whatever_the_rhythms_are_called(tmp_path: Path) -> None:
    write_record(tmp_path / "own", "1")
    wfdb.wrann(
        "1", "atr", np.array([25, 77000]), symbol=["+", "N"], aux_note=["(WALTZ", ""], write_dir=str(tmp_path / "own")
    )  # fmt: skip
    assert protocols.beats_classes(tmp_path, MODEL, "dev", print, databases=("own",)).tables
    assert beats.run(tmp_path, databases=("own",)).table("beats").rows[0][0] == "own"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        beats.run(tmp_path, databases=("nowhere",))


def test_beats_of_paced_recordings_alone_are_nothing_to_judge(tmp_path: Path) -> None:
    write_record(tmp_path / "mitdb", "102")
    with pytest.raises(NothingToJudge, match="paced"):
        protocols.beats_classes(tmp_path, MODEL, split_of("mitdb", "102"), print, databases=("mitdb",))


@pytest.mark.usefixtures("unscoring")
def test_recordings_without_what_is_judged_are_nothing_to_judge(tmp_path: Path) -> None:
    write_record(tmp_path / "short", "1", 290)
    write_record(tmp_path / "bare", "1")
    wfdb.wrann("1", "atr", np.array([77000]), symbol=["~"], write_dir=str(tmp_path / "bare"))
    for database in ("short", "bare"):
        for judge, what in ((protocols.beats_classes, "beat"), (protocols.rhythms, "rhythm")):
            with pytest.raises(NothingToJudge, match=f"no {what} of {database} is annotated after 5:00"):
                judge(tmp_path, MODEL, "dev", lambda _: None, databases=(database,))


@pytest.mark.usefixtures("unscoring")
def test_the_baseline_is_left_out_where_its_threshold_can_t_be_chosen(tmp_path: Path) -> None:
    write_record(tmp_path / "vfdb", "418")
    count = Counter()
    found = protocols.rhythms(tmp_path, MODEL, "dev", count, databases=("vfdb",))
    (row,) = found.table("baseline: AF from RR intervals").rows
    assert "mitdb" in str(row[0])
    assert (count.expected, count.done) == (1, 1)
    with pytest.raises(rr_baseline.NoThreshold):
        rr_baseline.cinc_table([], [])


@pytest.mark.usefixtures("unscoring")
def test_what_is_to_come_is_told_with_the_baseline_s_own_recordings(tmp_path: Path) -> None:
    for name in ("418", "419"):
        write_record(tmp_path / "vfdb", name)
    write_record(tmp_path / "mitdb", TRAIN)
    count = Counter()
    protocols.rhythms(tmp_path, MODEL, "dev", count, databases=("vfdb",))
    assert (count.expected, count.done) == (3, 3)


def test_the_bar_is_as_long_as_what_is_expected() -> None:
    bar = Progress(disable=True)
    done = Done(bar)
    assert bar.tasks[0].total is None
    done.expect(2)
    done.expect(1)
    done(stream("x", seconds=1800))
    assert bar.tasks[0].completed / (bar.tasks[0].total or 1) == pytest.approx(1 / 3)
    assert bar.tasks[0].description == "0.5 h of ECG, mitdb/x"


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
