"""A run's settings, its folder, and what is refused before anything is learnt."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("wfdb")
from typer.testing import CliRunner  # noqa: E402

from ecgstream import training_settings as settings  # noqa: E402
from ecgstream.cli import app  # noqa: E402
from ecgstream.training import course, learn  # noqa: E402
from packed import record  # noqa: E402

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
SMALL = learn.Config(epochs=2, n_cinc=2, n_annotated=2, stem=4, levels=(8, 8, 8), ectopy=0.0)


def records(n: int = 4) -> learn.Databases:
    """So many recordings of CinC 2017, and one of MIT-BIH."""
    cinc = [record(database="cinc2017", record=f"A{i}", label="NAO~"[i % 4], rhythms=[]) for i in range(n)]
    return {"cinc2017": cinc, "mitdb": [record()]}


def nothing() -> learn.Databases:
    return {"cinc2017": [], "mitdb": []}


@pytest.mark.parametrize(
    "wrong",
    [
        "epochs: 0", "epochs: -1", "n_cinc: 0", "n_annotated: -1", "learning_rate: -1", "learning_rate: .nan", "weight_decay: .inf",
        "dropout: 7", "levels: []", "levels: [8, 0, 8]", "levels: [8, 8]", "seed: -1", "n_trees: 0", "n_beat_trees: 0",
        "join_epoch: -1", "join_epoch: 0", "acute_epochs: -1", "averaging: 2", "ectopy: 3", "stem: 0", "made_weight: -1",
        "share_weight: -1", "beat_weight: -1",
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_by_name_and_value(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(wrong + "\n")
    name, value = wrong.split(": ")
    with pytest.raises(settings.ConfigError) as refusal:
        settings.read_config(tmp_path / "c.yaml")
    assert f"c.yaml: {name}: {value.lstrip('.')}" in str(refusal.value)


def test_an_unknown_setting_is_refused_by_name_and_a_later_join_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epoch: 3\n")
    with pytest.raises(settings.ConfigError, match="epoch"):
        settings.read_config(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("epochs: 3\nlevels: [8, 16, 24]\n")
    found = settings.read_config(tmp_path / "c.yaml")
    assert found == learn.Config(epochs=3, levels=(8, 16, 24))
    assert found.join_epoch > found.epochs
    (tmp_path / "c.yaml").write_text("")
    assert settings.read_config(tmp_path / "c.yaml") == settings.read_config(None) == learn.Config()


def test_the_help_of_train_lists_every_setting() -> None:
    told = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "140"}).output
    assert all(f"{name} (" in told for name in msgspec.structs.asdict(learn.Config()))
    assert "epochs (26): how often" in told


def test_a_failed_start_keeps_nothing_and_learns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    arguments = (run, tmp_path / "cache", CPU)
    with pytest.raises(FileNotFoundError):
        course.train_model(tmp_path / "none", out, SMALL, *arguments)
    material = course.Material(records(), nothing(), [], [], [])
    monkeypatch.setattr(course, "gather", lambda data, cache: material)
    many = learn.Config(n_cinc=5)
    with pytest.raises(settings.ConfigError, match=r"n_cinc: 5 .* 4 to learn from"):
        course.train_model(tmp_path, out, many, *arguments)
    out.write_text("")
    with pytest.raises(settings.ConfigError, match="out: a file, expected a folder"):
        course.train_model(tmp_path, out, SMALL, *arguments)
    with pytest.raises(settings.ConfigError, match="out: a file, expected a folder"):
        course.train_model(tmp_path, out / "below", SMALL, *arguments)
    assert not run.exists()


def test_a_run_folder_belongs_to_its_settings_and_records(tmp_path: Path) -> None:
    run, names = tmp_path / "run", {"cinc2017": ["A1", "A2"], "mitdb": ["100"]}
    settings.claim(run, SMALL, names)
    settings.claim(run, SMALL, {"mitdb": ["100", "100"], "cinc2017": ["A2", "A1"]})
    with pytest.raises(settings.ConfigError, match="another configuration"):
        settings.claim(run, learn.Config(), names)
    with pytest.raises(settings.ConfigError, match="cinc2017: 1 missing now, A2; mitdb: 1 new, 101"):
        settings.claim(run, SMALL, {"cinc2017": ["A1"], "mitdb": ["100", "101"]})
    (run / "learnt.json").unlink()
    settings.claim(run, SMALL, {"cinc2017": ["A1"]})
    (run / "config.json").write_text("{")
    with pytest.raises(settings.ConfigError, match=r"config\.json"):
        settings.claim(run, SMALL, {"cinc2017": ["A1"]})


def test_a_run_folder_is_held_against_another_process(tmp_path: Path) -> None:
    settings.claim(tmp_path, SMALL, {})
    code = (
        f"from ecgstream import training_settings as s; s.claim(s.Path({str(tmp_path)!r}), s.Config(), {{}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"ConfigError: {tmp_path}: another process trains there" in done.stderr


def test_a_full_disk_is_told_and_costs_nothing_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: Any, path: Path) -> None:
        path.write_bytes(b"PK")
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 92032 vs 91936")

    learn.keep({"epoch": 1}, tmp_path / "checkpoint.pt")
    settings.claim(tmp_path, SMALL, {})
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"checkpoint\.pt: can't be written whole"):
        learn.keep({"epoch": 2}, tmp_path / "checkpoint.pt")
    assert learn.loaded(tmp_path / "checkpoint.pt") == {"epoch": 1}

    def nothing_written(path: Path, _: bytes) -> int:
        path.open("wb").close()
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", nothing_written)
    with pytest.raises(OSError, match="No space left"):
        settings.claim(tmp_path, SMALL, {})
    monkeypatch.undo()
    settings.claim(tmp_path, SMALL, {})


def test_destinations_are_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    at, data = str(tmp_path / "file"), ["--data", str(tmp_path / "none")]
    for option, command in (
        ("--cache", ["train", *data, "--out", str(tmp_path / "out"), "--cache", at]),
        ("--predictions", ["train-stanford", *data, "--predictions", f"{at}/p.csv"]),
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2
        assert done.output.startswith(f"{option} {at}")


def test_a_model_written_here_is_called_as_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "mine"
    here.mkdir()
    monkeypatch.chdir(here)
    asked: list[tuple[Path, Path]] = []

    def train_model(data: Path, out: Path, config: learn.Config, run: Path, *rest: Any) -> dict[str, Any]:
        asked.append((out, run))
        return {}

    monkeypatch.setattr(course, "train_model", train_model)
    done = CliRunner().invoke(app, ["train", "--data", str(tmp_path), "--out", ".", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert asked == [(here, Path("runs") / "mine")]


def stopped(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    """A run that is interrupted once an epoch is kept."""
    keep = learn._checkpoint

    def then_stop(*arguments: object) -> None:
        keep(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(learn, "_checkpoint", then_stop)
        with pytest.raises(KeyboardInterrupt):
            learn.train(records(), nothing(), [], SMALL, run, CPU)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")
def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "stopped", "earlier"):
        (tmp_path / name).mkdir()
    whole = learn.train(records(), nothing(), [], SMALL, tmp_path / "whole", CPU).state_dict()
    random = torch.get_rng_state()
    stopped(monkeypatch, tmp_path / "stopped")
    resumed = learn.train(records(), nothing(), [], SMALL, tmp_path / "stopped", CPU).state_dict()
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(random, torch.get_rng_state())
    stopped(monkeypatch, tmp_path / "earlier")
    at = tmp_path / "earlier" / "checkpoint.pt"
    state = torch.load(at, weights_only=True)
    torch.save({name: part for name, part in state.items() if name != "random"}, at)
    learn.train(records(), nothing(), [], SMALL, tmp_path / "earlier", CPU)
    assert len((tmp_path / "earlier" / "progress.jsonl").read_text().splitlines()) == 2


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")
def test_a_checkpoint_that_is_not_whole_is_named(tmp_path: Path) -> None:
    at = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 1}, at)
    with pytest.raises(settings.ConfigError, match=r"checkpoint\.pt: not a checkpoint of this network"):
        learn.train(records(), nothing(), [], SMALL, tmp_path, CPU)
    whole = at.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 30):
        at.write_bytes(whole[:size])
        with pytest.raises(settings.ConfigError, match=r"checkpoint\.pt: can't be read whole"):
            learn.train(records(), nothing(), [], SMALL, tmp_path, CPU)


@pytest.mark.parametrize("command", ["train", "train-folds", "train-stanford"])
@pytest.mark.parametrize("device", ["banana", "mps", "cuda:99"])
def test_a_device_that_is_not_there_is_one_line(command: str, device: str, tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path), "--device", device, "--run", str(tmp_path / "run")]
    arguments += ["--out", str(tmp_path / "out")] if command == "train" else []
    done = CliRunner().invoke(app, [command, *arguments])
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert f"--device {device}: " in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ["train-stanford", "--epochs", "0"],
        ["train-stanford", "--seed", "-1"],
        ["train-folds", "--seed", "-1"],
    ],
)
def test_an_option_out_of_range_is_refused(wrong: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*wrong, "--data", str(tmp_path), "--run", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "Error" in done.output
    assert "greater than or equal to" in done.output or "is not in the range" in done.output


def test_rhythms_are_counted_by_patient() -> None:
    both = [record(record=name, rhythms=[(0, 9, "AFIB"), (9, 99, "N")]) for name in ("201", "202")]
    found = course.rhythm_patients([*both, record(record="100", lead=1)])
    assert (found["af"], found["sinus"], found["block"]) == (1, 2, 0)


def test_a_run_of_an_earlier_version_that_lacks_a_setting_is_taken_up(tmp_path: Path) -> None:
    known = msgspec.to_builtins(learn.Config())
    del known["n_beat_trees"]
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(known))
    settings.claim(tmp_path, learn.Config(), {})
    assert msgspec.json.decode((tmp_path / "config.json").read_bytes(), type=learn.Config) == learn.Config()
