"""What an evaluation refuses before it begins, and what its progress says."""

import json
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
    beats,
    protocols,
    results,
    rr_baseline,
    streaming,
)
from ecgstream.training.splits import split_of
from evaluation_streams import RHYTHMS, stream
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
