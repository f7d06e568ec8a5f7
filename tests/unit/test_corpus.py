"""PhysioNet-layout folders as training reads them: what is kept, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgstream.evaluation import BadReference, noise_stress
from ecgstream.training import splits
from recording_files import WAVE_UV, write_wfdb

wfdb = pytest.importorskip("wfdb")
pytest.importorskip("tqdm")

from ecgstream.training import corpus  # noqa: E402

NAMES = [f"A{i:05d}" for i in range(1, 60)]
TRAIN = [name for name in NAMES if splits.split_of("cinc2017", name) == "train"][:4]
OTHERS = [next(n for n in NAMES if splits.split_of("cinc2017", n) == split) for split in ("tune", "dev")]


def write_cinc(data: Path, labels: str = "NAO~NN") -> Path:
    """CinC 2017 in small: four records to train on, one to tune, one of `dev`."""
    folder = data / "cinc2017"
    (folder / "training2017").mkdir(parents=True, exist_ok=True)
    for name in (*TRAIN, *OTHERS):
        header = folder / "training2017" / f"{name}.hea"
        header.write_text(f"{name} 1 300 900\n{name}.mat 16+24 1000/mV 16 0 0 0 0 ECG\n")
        header.with_suffix(".mat").write_bytes(bytes(24) + WAVE_UV.astype("<i2").tobytes())
    lines = [f"{name},{label}\n" for name, label in zip((*TRAIN, *OTHERS), labels, strict=True)]
    (folder / "REFERENCE-v3.csv").write_text("".join(lines))
    return folder


def write_annotated(data: Path, database: str, record: str) -> Path:
    folder = data / database
    folder.mkdir(parents=True, exist_ok=True)
    write_wfdb(folder, record)
    wfdb.wrann(
        record,
        "atr",
        np.array([10, 300, 600]),
        ["+", "N", "V"],
        aux_note=["(N", "", ""],
        write_dir=str(folder),
    )
    return folder / f"{record}.hea"


def labels_of(records: list[corpus.Packed]) -> dict[str, str]:
    return {r.record: r.label for r in records}


def never_read(*_: Any) -> list[corpus.Packed]:
    raise AssertionError("read although it was kept")


def test_annotated_records_come_with_their_beats_and_rhythms(tmp_path: Path) -> None:
    write_annotated(tmp_path, "mitdb", "100")
    [record] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert (record.record, record.kinds.tolist()) == ("100", ["N", "V"])
    assert record.beats.tolist() == [128.0, 256.0]
    assert record.rhythms == [(4, record.signal.size, "N")]


def test_records_keep_their_whole_names(tmp_path: Path) -> None:
    names = [f"holter-2026-ward-{i}" for i in range(2)]
    for name in names:
        write_annotated(tmp_path, "mitdb", name)
    found = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert [record.record for record in found] == names


def test_what_is_kept_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cinc(tmp_path)
    first = corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    monkeypatch.setattr(corpus, "read_cinc2017", never_read)
    again = corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    assert labels_of(again) == labels_of(first)
    assert all(np.array_equal(a.signal, b.signal) for a, b in zip(first, again, strict=True))


def test_changed_labels_are_read_anew(tmp_path: Path) -> None:
    write_cinc(tmp_path)
    corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    write_cinc(tmp_path, "NAO~OO")
    assert labels_of(corpus.load(tmp_path, "cinc2017", tmp_path / "cache"))[OTHERS[0]] == "O"


def test_changed_signals_and_annotations_are_read_anew(tmp_path: Path) -> None:
    header = write_annotated(tmp_path, "mitdb", "100")
    [before] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    write_wfdb(header.parent, "100", WAVE_UV / 2)
    [halved] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert np.ptp(halved.signal) < 0.6 * np.ptp(before.signal)
    wfdb.wrann("100", "atr", np.array([300, 600]), ["N", "A"], write_dir=str(header.parent))
    [annotated] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert annotated.kinds.tolist() == ["N", "S"]


def test_another_folder_has_its_own_records(tmp_path: Path) -> None:
    for name, labels in (("one", "NAO~NN"), ("two", "~OANOO")):
        write_cinc(tmp_path / name, labels)
    found = [labels_of(corpus.load(tmp_path / n, "cinc2017", tmp_path / "cache")) for n in ("one", "two")]
    assert [labels[TRAIN[0]] for labels in found] == ["N", "~"]


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_kept_file_that_was_cut_is_made_anew(tmp_path: Path, keep: float) -> None:
    write_annotated(tmp_path, "mitdb", "100")
    [first] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    [kept] = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    [again] = corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert np.array_equal(first.signal, again.signal)
    assert len(kept.read_bytes()) == len(whole)


def test_a_write_that_is_broken_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, **_: Any) -> None:
        file.write(b"PK")
        raise OSError("no space left")

    write_annotated(tmp_path, "mitdb", "100")
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match="no space left"):
            corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(corpus.load(tmp_path, "mitdb", tmp_path / "cache")) == 1


def write_noises(folder: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir()
    for name in names:
        write_wfdb(folder, name)
    return folder


def test_the_noise_of_motion_is_nstdbs_own_where_it_is_there(tmp_path: Path) -> None:
    folder = write_noises(tmp_path / "nstdb", ("bw", "ma", "em"))
    as_published = corpus.read_noise(folder)
    assert list(as_published) == ["bw0", "ma0", "em0"]
    assert np.array_equal(as_published["em0"], as_published["bw0"])
    np.savez(folder / "em_reconstructed_from_118e_6.npz", em=np.zeros((900, 1)), fs=300)
    assert np.array_equal(corpus.read_noise(folder)["em0"], as_published["em0"])


def test_training_and_evaluation_read_the_same_noises(tmp_path: Path) -> None:
    folder = write_noises(tmp_path / "nstdb", ("bw", "ma"))
    with pytest.raises(FileNotFoundError, match=r"nstdb: neither em.hea nor em_\*.npz there"):
        corpus.read_noise(folder)
    motion = np.random.default_rng(0).normal(0, 1, (900, 2))
    np.savez(folder / "em_reconstructed_from_118e_6.npz", em=motion, fs=300)
    found, stored = corpus.read_noise(folder), noise_stress.read_noises(folder)
    assert list(found) == ["bw0", "ma0", "em0", "em1"]
    for name, (values, fs_hz) in stored.items():
        assert np.array_equal(found[f"{name}0"], corpus.through_front_end(values * 1000.0, fs_hz))
    (folder / "em_reconstructed_from_118e_6.npz").write_bytes(b"PK\x03\x04")
    for read in (corpus.read_noise, noise_stress.read_noises):
        with pytest.raises(
            BadReference, match=r"em_reconstructed_from_118e_6.npz: expected arrays em and fs"
        ):
            read(folder)


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def without_signals(header: Path) -> None:
    header.write_text("100 0 300 900\n")


def beside(suffix: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Changes the record's file of a suffix, given its header."""
    return lambda header: change(header.with_suffix(suffix))


DAMAGED = {
    "signals cut": (beside(".dat", lambda f: cut(f, 1000)), r"100.dat: byte 1000: expected 1800 bytes"),
    "signals gone": (beside(".dat", Path.unlink), r"signal 0: expected the signal file 100.dat, found none"),
    "header empty": (beside(".hea", lambda f: cut(f, 0)), r"100.hea: line 1: expected a record line, found an empty"),
    "header without signals": (without_signals, r"100.hea: header: expected at least one signal, found none"),
    "annotations gone": (beside(".atr", Path.unlink), r"100.atr: annotations: expected WFDB annotations, found no such"),
    "annotations cut": (beside(".atr", lambda f: cut(f, f.stat().st_size - 2)), r"100.atr: byte \d+: expected the zero word"),
    "annotations of odd length": (beside(".atr", lambda f: cut(f, 7)), r"100.atr: byte 7: expected the zero word"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGED[name]
    damage(write_annotated(tmp_path, "mitdb", "100"))
    with pytest.raises(BadReference, match=message) as refused:
        corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    assert str(refused.value).startswith("mitdb/100: ")
    assert not (tmp_path / "cache").exists()


def test_a_recording_of_cinc_that_was_cut_is_refused_by_name(tmp_path: Path) -> None:
    cut(write_cinc(tmp_path) / "training2017" / f"{TRAIN[2]}.mat", 500)
    with pytest.raises(
        BadReference, match=rf"^cinc2017/{TRAIN[2]}: .*{TRAIN[2]}.mat: byte 500: expected 1824"
    ):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")


def test_too_few_records_are_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "vfdb").mkdir()
    with pytest.raises(FileNotFoundError, match=r"vfdb: no records \(\*\.hea\) there"):
        corpus.load(tmp_path, "vfdb", tmp_path / "cache")
    write_annotated(tmp_path, "mitdb", "114")
    with pytest.raises(
        BadReference, match=r"mitdb: training needs records of the splits train; found none for train"
    ):
        corpus.load(tmp_path, "mitdb", tmp_path / "cache")
    folder = write_cinc(tmp_path, "NAOO~~")
    with pytest.raises(BadReference, match=r"its train split labelled N, A, O, ~; found none for ~"):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    write_cinc(tmp_path)
    (folder / "training2017" / f"{OTHERS[0]}.hea").unlink()
    with pytest.raises(BadReference, match=r"of the splits train, tune, dev; found none for tune"):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    shutil.rmtree(folder / "training2017")
    with pytest.raises(FileNotFoundError, match=r"training2017: no such folder"):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")


def test_labels_of_cinc_are_checked_and_blank_lines_skipped(tmp_path: Path) -> None:
    reference = write_cinc(tmp_path) / "REFERENCE-v3.csv"
    good = reference.read_text()
    reference.write_text("\n" + good + "\n \n")
    assert labels_of(corpus.load(tmp_path, "cinc2017", tmp_path / "cache"))[TRAIN[3]] == "~"
    reference.write_text(good.replace("~", "Z"))
    with pytest.raises(BadReference, match=rf"REFERENCE-v3.csv: {TRAIN[3]}: expected a label of .*, got 'Z'"):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
    reference.unlink()
    with pytest.raises(FileNotFoundError, match=r"REFERENCE-v3.csv: no such file"):
        corpus.load(tmp_path, "cinc2017", tmp_path / "cache")
