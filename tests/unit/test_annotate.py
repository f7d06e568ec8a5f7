"""`ecgstream annotate` and `ecgstream plot`: WFDB annotations in the databases' own words, pictures, clear refusals."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("wfdb")
pytest.importorskip("matplotlib")

import wfdb

from ecgstream.cli import app
from ecgstream.evaluation.annotations import Note, notes_of, write
from ecgstream.model_folder import Model, load_model
from ecgstream.shipped import shipped_model
from evaluation_streams import stream


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_model())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of a made-up lead in CinC 2017's layout: a heart of 75/min at 300 Hz."""
    folder = tmp_path_factory.mktemp("record")
    t = np.arange(20 * 300) / 300
    line = 1000 * np.exp(-(((t % 0.8) - 0.4) ** 2) / (2 * 0.012**2)) + 20 * np.sin(2 * np.pi * 0.3 * t)
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(folder / "A00001.mat", {"val": line.astype(np.int16)[None]}, format="4")
    (folder / "A00001.hea").write_text(f"A00001 1 300 {t.size}\nA00001.mat 16+24 1000/mV 16 0 0 0 0 ECG\n")
    return folder / "A00001.mat"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def rows(notes: list[Note], symbols: str) -> list[tuple[int, str, str]]:
    return [(n.sample, n.symbol, n.text) for n in notes if n.symbol in symbols]


def test_beats_stand_at_their_peaks_by_class_and_q_where_there_is_none(model: Model) -> None:
    made = stream(seconds=60, beats_s=[10.0, 10.8, 11.2, 12.0], beats=["N", "V", "S", None])
    found = [(n.sample, n.symbol) for n in notes_of(made, model) if n.symbol in "NVSQ"]
    assert found == [(1280, "N"), (1382, "V"), (1434, "S"), (1536, "Q")]


def test_a_rhythm_change_is_told_in_the_databases_words_where_it_happened(model: Model) -> None:
    """The window that ends at second 55 is half sinus, half AF: the change was 15 s before."""
    made = stream(seconds=120, rhythm=["sinus"] * 55 + ["af"] * 65)
    assert rows(notes_of(made, model), "+") == [(0, "+", "(N"), (40 * 128, "+", "(AFIB")]


def test_fibrillation_stands_between_brackets_and_vt_among_the_rhythms(model: Model) -> None:
    acute = ["organised"] * 22 + ["vt"] * 10 + ["vf"] * 10 + ["organised"] * 18
    notes = notes_of(stream(seconds=60, acute=acute), model)
    assert rows(notes, "+[]") == [
        (0, "+", "(N"), (20 * 128, "+", "(VT"), (30 * 128, "[", ""), (40 * 128, "]", ""), (40 * 128, "+", "(N"),
    ]  # fmt: skip


def test_unreadable_stretches_are_shut_down_and_opened_again(model: Model) -> None:
    notes = notes_of(stream(seconds=60, unreadable=range(20, 26)), model)
    shut = [(n.sample, n.subtype) for n in notes if n.symbol == "~"]
    assert shut == [(20 * 128, -1), (26 * 128, 0)]


def test_wfdb_reads_back_what_was_written(tmp_path: Path) -> None:
    notes = [Note(5, "+", text="(N"), Note(100, "N"), Note(300, "V"), Note(400, "~", -1), Note(900, "~", 0)]
    path = write(notes, "rec", 360.0, tmp_path, "ecgs")
    read = wfdb.rdann(str(path.with_suffix("")), "ecgs")
    assert read.fs == 360
    assert list(read.sample) == [5, 100, 300, 400, 900]
    assert read.symbol == ["+", "N", "V", "~", "~"]
    assert [n.rstrip("\0") for n in read.aux_note] == ["(N", "", "", "", ""]
    assert list(np.asarray(read.subtype, np.int8)[-2:]) == [-1, 0]


def test_a_record_of_cincs_layout_is_annotated_at_its_own_rate(record: Path, tmp_path: Path) -> None:
    code, said = run("annotate", str(record), "--out", str(tmp_path), "--ext", "mine")
    assert code == 0, said
    read = wfdb.rdann(str(tmp_path / "A00001"), "mine")
    beats = read.sample[[s in "NVSQ" for s in read.symbol]]
    expected = np.arange(0.4, 20, 0.8) * 300
    late = beats[beats > 5 * 300]  # after the detector's first seconds
    assert len(late) >= 15
    assert all(np.abs(expected - beat).min() <= 6 for beat in late), "20 ms of the peak"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--out", "x"], "nowhere"),
        (["toy", "--out", "x", "--ext", "a1"], "--ext.*'a1'"),
        (["toy", "--out", "x", "--model", "no-model"], "no-model"),
    ],
)
def test_annotate_refuses_by_name(arguments: list[str], says: str) -> None:
    code, said = run("annotate", *arguments)
    assert code == 2
    assert re.search(says, said)


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_drawn(record: Path, tmp_path: Path, ending: str, begins: bytes) -> None:
    out = tmp_path / f"picture.{ending}"
    code, said = run("plot", str(record), "--from", "6", "--to", "14", "--out", str(out))
    assert code == 0, said
    assert out.read_bytes().startswith(begins)
    if ending == "svg":
        text = out.read_text()
        assert "A00001, 300 Hz" in text
        assert "quality" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "30", "--to", "40"], "--from 30"),
        (["--from", "5", "--to", "5"], "--to 5"),
        (["--out", "picture.jpg"], "picture.jpg"),
        (["--channel", "3"], "channel"),
    ],
)
def test_plot_refuses_by_name(record: Path, arguments: list[str], says: str) -> None:
    code, said = run("plot", str(record), *arguments)
    assert code == 2
    assert says in said
