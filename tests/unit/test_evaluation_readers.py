"""Readers of references, streaming through a scorer, and what is written."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from ecgstream.cli import app
from ecgstream.evaluation import (
    BadReference,
    annotated,
    references,
    sources,
)
from ecgstream.evaluation.references import Interval
from ecgstream.training import splits
from evaluation_streams import ACUTE, RHYTHMS

DATA = Path(os.environ.get("ECGSTREAM_DATA", ""))
needs_data = pytest.mark.skipif(
    not os.environ.get("ECGSTREAM_DATA"), reason="ECGSTREAM_DATA: no folder with PhysioNet's recordings"
)


def write_record(
    folder: Path, name: str, marks: list[tuple[float, str, str]], *, fs: int = 250, seconds: int = 20
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    t = np.arange(fs * seconds) / fs
    signal = np.sin(2 * np.pi * 1.2 * t)[:, None]
    wfdb.wrsamp(
        name, fs=fs, units=["mV"], sig_name=["ECG"], p_signal=signal, fmt=["16"], adc_gain=[200.0], baseline=[0],
        write_dir=str(folder),
    )  # fmt: skip
    wfdb.wrann(
        name,
        "atr",
        np.array([round(at * fs) for at, _, _ in marks]),
        symbol=[symbol for _, symbol, _ in marks],
        aux_note=[note for _, _, note in marks],
        write_dir=str(folder),
    )


def test_annotations_become_intervals_and_aami_beats(tmp_path: Path) -> None:
    marks = [
        (0.1, "+", "(N"), (1.0, "N", ""), (2.0, "B", ""), (3.0, "A", ""), (4.0, "E", ""), (5.0, "F", ""),
        (6.0, "/", ""), (7.0, "+", "(AFL"), (8.0, "+", "(AFIB"),
        (9.0, "[", ""), (10.0, "!", ""), (11.0, "]", ""), (12.0, "+", "(AFIB"),
        (13.0, "~", ""), (14.0, "|", ""),
    ]  # fmt: skip
    write_record(tmp_path / "vfdb", "418", marks)
    found = references.read_reference(tmp_path, "vfdb", "418")
    assert "".join(found.kinds) == "NNSVFQ"
    assert found.beats_s.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.rhythms == [Interval(0.1, 7, "N"), Interval(7, 8, "AFL"), Interval(8, 20, "AFIB")]
    assert found.fibrillation == [Interval(9, 11, "[")]
    merged = references.renamed(found.rhythms, references.RHYTHM_OF)
    assert merged == [Interval(0.1, 7, "sinus"), Interval(7, 20, "af")]
    assert references.records_of(tmp_path, "vfdb", "all") == ["418"]


def test_an_unknown_rhythm_is_refused_by_name(tmp_path: Path) -> None:
    write_record(tmp_path / "vfdb", "418", [(0.1, "+", "(N"), (3.0, "+", "(XYZ")])
    with pytest.raises(BadReference, match=r"vfdb/418 at 3.0 s: rhythm '\(XYZ'"):
        references.read_reference(tmp_path, "vfdb", "418")


def test_a_rhythm_lasts_until_it_is_closed_and_of_an_unjudged_one_nothing_is_known(tmp_path: Path) -> None:
    marks = [(0.0, "+", "(AFIB"), (4.0, "+", ")"), (6.0, "+", "(N"), (8.0, "+", "(AT"), (9.0, "+", "(N")]
    write_record(tmp_path / "icentia11k", "p00000_s00", marks)
    closed = [Interval(0, 4, "AFIB"), Interval(6, 8, "N"), Interval(9, 20, "N")]
    for unjudged in (("AT",), None):
        found = references.read_reference(tmp_path, "icentia11k", "p00000_s00", unjudged)
        assert found.rhythms == closed
    assert references.read_reference(tmp_path, "icentia11k", "p00000_s00", ("AT", "N")).rhythms == closed[:1]
    with pytest.raises(BadReference, match=r"rhythm '\(AT'"):
        references.read_reference(tmp_path, "icentia11k", "p00000_s00", ("N",))


def test_records_in_folders_are_found_and_each_folder_is_a_patient(tmp_path: Path) -> None:
    for folder in ("icentia11k/p00/p00000", "icentia11k/p00/p00001", "afdb/1.0.0", "mitdb/1.0.0"):
        for name in ("s00", "s01"):
            write_record(tmp_path / folder, name, [(0.0, "+", "(N")])
    names = references.records_of(tmp_path, "icentia11k")
    assert names == [f"p00/p0000{patient}/s0{k}" for patient in (0, 1) for k in (0, 1)]
    found = [references.read_reference(tmp_path, "icentia11k", name) for name in names]
    assert [r.patient for r in found] == [f"icentia11k/p00/p0000{k}" for k in (0, 0, 1, 1)]
    assert sources.read_source(tmp_path, "icentia11k", names[0], found[0].patient).duration_s == 20
    (first, _) = references.records_of(tmp_path, "afdb")
    assert references.read_reference(tmp_path, "afdb", first).patient == "afdb/1.0.0/s00"
    with pytest.raises(FileNotFoundError, match="mitdb"):  # by whose names it is known who was learnt from
        references.records_of(tmp_path, "mitdb")


def test_all_that_cannot_be_judged_is_named_before_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "afdb"
    for name in ("1", "2", "3", "4"):
        write_record(folder, name, [(0.1, "+", "(WALTZ" if name == "3" else "(N")])
    (folder / "2.hea").write_text((folder / "2.hea").read_text().replace("/mV", "/mmHg"))
    (folder / "4.dat").write_bytes(b"")
    with pytest.raises(BadReference) as refused:
        annotated.read_references(tmp_path, {"afdb": ["1", "2", "3", "4"]})
    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0].partition(" ")[0] for line in lines[:3]] == ["afdb/2", "afdb/3", "afdb/4"]
    assert lines[3:] == ["3 of 4 recordings can't be judged; none was yet"]


def test_a_database_that_nothing_was_learnt_from_is_judged_whole(tmp_path: Path) -> None:
    for name, rhythm in (("04015", "(AFIB"), ("04043", "(J")):
        write_record(tmp_path / "afdb", name, [(0.1, "+", rhythm)], seconds=330)
    write_record(tmp_path / "afdb", "00735", [(0.1, "+", "(N")])
    header = tmp_path / "afdb" / "00735.hea"
    header.write_text("00735 0 250 5000\n")
    ask = ["evaluate", "rhythms", "--data", str(tmp_path), "--database", "afdb", "--no-baseline", "--json"]
    run = CliRunner().invoke(app, ask)
    assert run.exit_code == 0, run.output
    rows = {row["rhythm"]: row for row in json.loads(run.stdout)["tables"]["rhythms on afdb"]["rows"]}
    assert (rows["af"]["patients"], rows["af"]["minutes"]) == (1, 0.5)
    assert rows["junctional"]["patients"] == 1
    write_record(tmp_path / "afdb", "04048", [(0.1, "+", "(WALTZ")])
    run = CliRunner().invoke(app, ask)
    assert run.exit_code == 2
    assert "afdb/04048 at 0.1 s: rhythm '(WALTZ'" in run.stderr
    assert CliRunner().invoke(app, [*ask, "--unjudged", "(WALTZ"]).exit_code == 0


def test_each_rhythm_has_an_acute_class_and_a_model_class() -> None:
    assert set(references.ACUTE_OF) == set(references.RHYTHM_OF)
    assert set(references.ACUTE_OF.values()) == set(ACUTE)
    assert {r for r in references.RHYTHM_OF.values() if r} <= set(RHYTHMS)


def test_201_and_202_are_one_patient_and_splits_share_none() -> None:
    one, two = (
        references.Reference("mitdb", r, 1.0, np.empty(0), np.empty(0, "U1"), []) for r in ("201", "202")
    )
    assert one.patient == two.patient
    assert splits.split_of("mitdb", "201") == splits.split_of("mitdb", "202")


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mitdb"):
        references.records_of(tmp_path, "mitdb")
    (tmp_path / "afdb").mkdir()
    with pytest.raises(FileNotFoundError, match=r"afdb: no annotations \(\*\.atr\)"):
        references.records_of(tmp_path, "afdb")
    with pytest.raises(FileNotFoundError, match="REFERENCE-v3"):
        references.read_cinc_labels(tmp_path)


def test_cinc_labels_of_records_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "cinc2017"
    (folder / "training2017").mkdir(parents=True)
    (folder / "REFERENCE-v3.csv").write_text("A00001,N\nA00002,~\n")
    (folder / "training2017" / "A00002.hea").touch()
    assert references.read_cinc_labels(tmp_path, "all") == {"A00002": "~"}
    (folder / "REFERENCE-v3.csv").write_text("A00002,X\n")
    with pytest.raises(ValueError, match="A00002"):
        references.read_cinc_labels(tmp_path, "all")


def test_labels_skip_blank_lines_and_refuse_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "REFERENCE-v3.csv"
    path.write_text("A00001,N\n\n  \r\nA00002,~\n\n")
    assert sources.read_labels(path) == {"A00001": "N", "A00002": "~"}
    path.write_text("A00001,N\n\nA00002\n")
    with pytest.raises(
        BadReference, match=r"REFERENCE-v3.csv: line 3: expected a record and its label, got \['A00002'\]"
    ):
        sources.read_labels(path)
    path.write_bytes(b"A00001,\xff\n")
    with pytest.raises(BadReference, match=r"REFERENCE-v3.csv: expected lines of a record and its label"):
        sources.read_labels(path)


@pytest.mark.parametrize(
    ("suffix", "keep", "message"),
    [
        (".dat", 1000, "418.dat: byte 1000: expected 10000 bytes (5000 frames), the file ends here"),
        (".dat", None, "418.hea: signal 0: expected the signal file 418.dat, found none"),
        (".hea", 0, "418.hea: line 1: expected a record line, found an empty file"),
        (".hea", None, "418.hea: header: expected a WFDB header, found no such file"),
        (".atr", 6, "418.atr: byte 6: expected the zero word that ends annotations, the file ends here"),
        (".atr", 5, "418.atr: byte 5: expected the zero word that ends annotations, the file ends here"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(
    tmp_path: Path, suffix: str, keep: int | None, message: str
) -> None:
    write_record(tmp_path / "vfdb", "418", [(0.1, "+", "(N"), (1.0, "N", "")])
    file = tmp_path / "vfdb" / f"418{suffix}"
    content = file.read_bytes()
    file.unlink()
    if keep is not None:
        file.write_bytes(content[:keep])
    ask = [
        "evaluate",
        "rhythms",
        "--data",
        str(tmp_path),
        "--database",
        "vfdb",
        "--split",
        "all",
        "--no-baseline",
    ]
    run = CliRunner().invoke(app, ask)
    assert run.exit_code == 2
    assert run.stderr.strip() == f"vfdb/418: {tmp_path / 'vfdb'}/{message}"


def test_a_record_in_another_unit_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path / "vfdb", "418", [(0.1, "+", "(N")])
    header = tmp_path / "vfdb" / "418.hea"
    header.write_text(header.read_text().replace("/mV", "/mmHg"))
    with pytest.raises(BadReference, match=r"vfdb/418: signal 0: expected a voltage .* found unit 'mmHg'"):
        sources.read_source(tmp_path, "vfdb", "418", "418")


def test_a_record_is_read_in_its_own_units(tmp_path: Path) -> None:
    write_record(tmp_path / "vfdb", "418", [(0.1, "+", "(N")])
    found = sources.read_source(tmp_path, "vfdb", "418", "vfdb/418")
    assert (found.fs_hz, found.uv_per_lsb, found.duration_s) == (250.0, 5.0, 20.0)
    assert np.ptp(found.samples * found.uv_per_lsb) == pytest.approx(2000, abs=10)


def test_a_record_of_24_bits_is_read_without_a_bound(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    fine = np.round(1e6 * np.sin(np.arange(5000) / 30))[:, None].astype(np.int64)
    wfdb.wrsamp(
        "1", fs=250, units=["mV"], sig_name=["ECG"], d_signal=fine, fmt=["24"], adc_gain=[1e6], baseline=[0],
        write_dir=str(tmp_path / "own"),
    )  # fmt: skip
    found = sources.read_source(tmp_path, "own", "1", "1")
    np.testing.assert_allclose(found.samples * found.uv_per_lsb, fine[:, 0] / 1000, atol=found.uv_per_lsb)


@needs_data
@pytest.mark.data
def test_all_annotations_at_hand_are_in_the_vocabulary() -> None:
    for database in ("mitdb", "vfdb", "svdb"):
        for record in references.records_of(DATA, database, "all"):
            found = references.read_reference(DATA, database, record)
            assert found.duration_s > 1700
            assert len(found.beats_s) == len(found.kinds)


@needs_data
@pytest.mark.data
def test_counts_of_known_records() -> None:
    found = references.read_reference(DATA, "mitdb", "208")
    kinds = dict(zip(*np.unique(found.kinds, return_counts=True), strict=True))
    assert (kinds["V"], kinds["F"]) == (992, 373)
    flutter = references.read_reference(DATA, "mitdb", "207").fibrillation
    assert len(flutter) == 6
    assert sources.read_source(DATA, "mitdb", "114", "114").uv_per_lsb == 5.0
