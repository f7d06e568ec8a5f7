"""`ecgstream replay`, `report`, `plot`, `annotate` and `simulate` refuse what can't be in one line, before any work."""

import builtins
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgstream.cli import app, report
from ecgstream.recordings import is_recording
from recording_files import FS_HZ, WAVE_UV, write_wfdb

pytest.importorskip("sleepecg")
pytest.importorskip("matplotlib")

LONG_WAVE = np.tile(WAVE_UV, 4)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def refusal(*arguments: str) -> str:
    code, said = run(*arguments)
    assert code == 2, said
    assert len(said.strip().splitlines()) == 1, said
    return said


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PhysioNet's folder with one record, `db/r1`; the working directory is another, empty one."""
    folder = tmp_path / "data" / "db"
    folder.mkdir(parents=True)
    write_wfdb(folder, values=LONG_WAVE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ECGSTREAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("worked before it looked where to write")

    monkeypatch.setattr("ecgstream.analysis.Analyzer", work)
    monkeypatch.setattr("ecgstream.evaluation.annotations.read_whole", work)


def without_kafka(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that `report` asks Kafka for."""
    asked: list[str] = []

    def of_device(device_id: str, *_: object) -> tuple[str, list[Any], list[Any]]:
        asked.append(device_id)
        return device_id, [], []

    monkeypatch.setattr(report, "_of_device", of_device)
    return asked


def test_a_report_of_a_record_below_the_recordings_folder(data: Path) -> None:
    code, said = run("report", "db/r1", "--out", "page.html")
    assert code == 0, said
    assert said.startswith("page.html: 11 findings, ")
    assert "<h1>r1</h1>" in Path("page.html").read_text()


def test_what_has_a_slash_or_is_there_is_a_recording(data: Path) -> None:
    (Path.cwd() / "chest-8").mkdir()
    names = ["toy", "db/r1", "db/nothing", "chest-7", "chest-8", str(data / "db" / "r1.dat")]
    assert [is_recording(name) for name in names] == [True, True, True, False, False, True]


def test_a_report_of_a_device_asks_kafka(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = without_kafka(monkeypatch)
    assert "chest-7: no such file, and no findings of a device" in refusal("report", "chest-7")
    assert asked == ["chest-7"]
    assert "chest-7: no such recording; --channel and --fs are for" in refusal(
        "report", "chest-7", "--fs", "250"
    )
    assert asked == ["chest-7"]


@pytest.mark.parametrize(
    "command",
    [["report", "--out", "p.html"], ["annotate", "--out", "notes"], ["plot", "--from", "2"], ["replay"]],
)
def test_files_without_a_rate_are_read_at_the_one_that_is_given(data: Path, command: list[str]) -> None:
    Path("r.csv").write_text("\n".join(f"{v:.0f}" for v in LONG_WAVE))
    assert "give it (--fs)" in refusal(command[0], "r.csv", *command[1:])
    code, said = run(command[0], "r.csv", *command[1:], "--fs", f"{FS_HZ:g}")
    assert code == 0, said


@pytest.mark.parametrize(
    "command", [["plot"], ["report"], ["annotate", "--out", "notes"]], ids=lambda words: words[0]
)
def test_a_recording_shorter_than_a_second_is_told_as_such(data: Path, command: list[str]) -> None:
    """It was "no such file" to `report`, an axis out of bounds to the others."""
    (data / "short.txt").write_text("\n".join(str(v) for v in WAVE_UV[:100]))
    said = refusal(*command, str(data / "short.txt"), "--fs", "250")
    assert "short" in said
    assert "expected a second of signal or more" in said


def test_a_report_takes_another_lead(data: Path) -> None:
    assert "expected channel 0 to 0, asked for 1" in refusal("report", "db/r1", "--channel", "1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "/nonexistent"], "report: "),
        (["--alarms", "/nonexistent"], "report: "),
        (["--channel", "1"], "toy: channel: expected 0"),
        (["--fs", "250"], "toy: rate: expected 250 Hz"),
    ],
)
def test_a_report_refuses_in_a_line(options: list[str], says: str) -> None:
    assert says in refusal("report", "toy", *options)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["report", "toy", "--out", "nowhere/p.html"], "--out nowhere/p.html: no folder nowhere"),
        (["report", "toy", "--out", "."], "--out .: a folder; expected a file"),
        (["plot", "toy", "--out", "nowhere/p.png"], "--out nowhere/p.png: no folder nowhere"),
        (["annotate", "toy", "--out", "file/notes"], "file is a file; expected a folder"),
        (["annotate", "toy", "--out", "file"], "file is a file; expected a folder"),
    ],
)
def test_destinations_are_looked_at_before_the_work(
    data: Path, without_work: None, arguments: list[str], says: str
) -> None:
    Path("file").write_text("")
    assert says in refusal(*arguments)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--channel", "5"], "toy: channel: expected 0, its only one, asked for 5"),
        (["--fs", "999"], "toy: rate: expected 999 Hz as asked for, found 360 Hz"),
    ],
)
def test_replay_takes_nothing_in_silence(options: list[str], says: str) -> None:
    assert says in refusal("replay", "toy", *options)


@pytest.mark.parametrize("fs_hz", ["50", "1024", "2000"])
def test_replay_names_the_file_of_a_rate_out_of_bounds(data: Path, fs_hz: str) -> None:
    Path("r.csv").write_text("\n".join(f"{v:.0f}" for v in WAVE_UV))
    assert refusal("replay", "r.csv", "--fs", fs_hz) == (
        f"replay: r.csv: rate: expected a sampling rate of 100 to 1000 Hz, found {fs_hz} Hz; resample it\n"
    )


SCENARIO = "title: t\nabout: a\nexpect: []\npatient: {fs_hz: %s, script: [{rhythm: sinus, for_s: 3}]}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy", "--device-id", "my watch"], "device_id: 'my watch'"),
        (["toy", "--session", "a b"], "session: 'a b'"),
        (["toy", "--devices", "3", "--device-id", "d" * 60], "device_id: "),
        (["toy", "--channel", "2"], "toy: channel: expected 0"),
        (["s250.yaml", "--channel", "2"], "--channel, --fs: for a recording"),
        (["s250.yaml", "--fs", "360"], "--channel, --fs: for a recording"),
        (["s1024.yaml"], "s1024.yaml: patient: fs_hz: expected 100 to 1000 Hz, got 1024"),
    ],
)
def test_what_nobody_can_take_is_not_streamed(
    data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    def stream(*_: object) -> None:
        raise AssertionError("streamed")

    monkeypatch.setattr("ecgstream.cli.simulate._run", stream)
    for fs_hz in ("250", "1024"):
        Path(f"s{fs_hz}.yaml").write_text(SCENARIO % fs_hz)
    assert says in refusal("simulate", *arguments, "--speed", "max")


@pytest.mark.parametrize(
    ("absent", "command"),
    [
        ("scipy.signal", ["simulate", "simulators/scenarios/bigeminy.yaml", "--out", "made"]),
        ("sleepecg", ["demo"]),
    ],
)
def test_a_missing_package_is_one_line_that_names_its_extra(
    absent: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == absent:
            raise ModuleNotFoundError(name=absent)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.chdir(Path(__file__).parents[2])
    said = refusal(*command)
    assert f"{absent} is missing; install ecgstream[" in said


def test_annotate_needs_no_package_for_training(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `sim` is enough; a record is called as WFDB calls it, whichever of its files is named."""
    for name in ("tqdm", "torch", "matplotlib", "sklearn"):
        monkeypatch.setitem(sys.modules, name, None)
    code, said = run("annotate", str(data / "db" / "r1.dat"), "--out", "notes")
    assert code == 0, said
    assert [path.name for path in Path("notes").iterdir()] == ["r1.ecgs"]


def test_nothing_is_streamed_for_less_than_no_time() -> None:
    code, said = run("simulate", "toy", "--for", "-5")
    assert code == 2
    assert "--for" in said
