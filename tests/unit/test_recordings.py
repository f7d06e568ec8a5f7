"""Readers on real files where there are some, on made ones otherwise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgstream.recordings import Recording, RecordingError, read_recording, toy_recording
from recording_files import WAVE_UV, apple_text, atc_block, atc_bytes, polar_text, write_edf, write_wfdb

wfdb = pytest.importorskip("wfdb")


def holds_wave(recording: Recording, within_uv: float = 0.51) -> None:
    assert recording.samples.dtype == np.int16
    assert len(recording.samples) == len(WAVE_UV)
    np.testing.assert_allclose(recording.samples * recording.uv_per_lsb, WAVE_UV, atol=within_uv)


def test_toy_recording_is_five_minutes_in_the_records_own_units() -> None:
    toy = read_recording("toy")
    assert (toy.fs_hz, toy.lead, toy.uv_per_lsb, toy.duration_s) == (360.0, "MLII", 5.0, 300.0)
    assert np.array_equal(toy.samples, toy_recording().samples)


@pytest.mark.parametrize("suffix", [".hea", ".dat", ""])
def test_wfdb(tmp_path: Path, suffix: str) -> None:
    write_wfdb(tmp_path)
    wfdb.wrann("r1", "atr", np.array([10, 20]), ["N", "V"], aux_note=["(AFIB", ""], write_dir=str(tmp_path))
    recording = read_recording(tmp_path / f"r1{suffix}")
    holds_wave(recording)
    assert (recording.fs_hz, recording.lead, recording.uv_per_lsb) == (300.0, "II", 1.0)
    assert recording.annotations is not None
    assert [(a.sample, a.symbol, a.text) for a in recording.annotations] == [
        (10, "N", "(AFIB"),
        (20, "V", ""),
    ]


def test_annotations_may_hold_zero_words_before_their_end(tmp_path: Path) -> None:
    recording = read_recording(with_annotations(None)(tmp_path))
    assert [(a.sample, a.text) for a in recording.annotations or ()] == [(10, "(AFIB"), (20_000, "")]


def test_wfdb_missing_samples_are_a_gap_and_not_a_value(tmp_path: Path) -> None:
    values = WAVE_UV.copy()
    values[100:140] = -32768
    recording = read_recording(write_wfdb(tmp_path, values=values))
    assert recording.missing == ((100, 140),)
    assert np.array_equal(recording.samples[140:], WAVE_UV[140:])


def test_wfdb_below_the_recordings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "db").mkdir()
    write_wfdb(tmp_path / "db")
    monkeypatch.setenv("ECGSTREAM_DATA", str(tmp_path))
    holds_wave(read_recording("db/r1"))


def test_physionet_without_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.delenv("ECGSTREAM_DATA", raising=False)
    monkeypatch.setattr(wfdb, "rdheader", unreachable)
    with pytest.raises(
        RecordingError, match=r"mitdb/100: record: not found here and PhysioNet can't be reached"
    ):
        read_recording("mitdb/100")


def test_edf(tmp_path: Path) -> None:
    recording = read_recording(write_edf(tmp_path / "r.edf"))
    holds_wave(recording)
    assert (recording.fs_hz, recording.lead) == (300.0, "II")
    assert recording.annotations is not None
    assert [(a.sample, a.text) for a in recording.annotations] == [(300, "felt it")]


def test_atc(tmp_path: Path) -> None:
    (tmp_path / "r.atc").write_bytes(atc_bytes(b"ecg ", b"ecg2"))
    recording = read_recording(tmp_path / "r.atc", channel=1)
    holds_wave(recording)
    assert (recording.fs_hz, recording.lead, recording.uv_per_lsb) == (300.0, "II", 0.5)
    assert recording.start_us == 1_714_972_089_000_000


def text_file(tmp_path: Path, text: str, name: str = "r.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_apple_health(tmp_path: Path) -> None:
    recording = read_recording(text_file(tmp_path, apple_text()))
    holds_wave(recording)
    assert (recording.fs_hz, recording.lead, recording.start_us) == (512.0, "I", 1_704_161_045_000_000)


def test_apple_health_with_decimal_commas(tmp_path: Path) -> None:
    recording = read_recording(text_file(tmp_path, apple_text(comma=True)))
    holds_wave(recording)
    assert (recording.fs_hz, recording.start_us) == (512.41, 1_704_161_045_000_000)


@pytest.mark.parametrize("comma", [False, True])
def test_one_value_a_line_needs_a_rate(tmp_path: Path, comma: bool) -> None:
    text = "\n".join(f"{v:.2f}".replace(".", "," if comma else ".") for v in WAVE_UV)
    path = text_file(tmp_path, text)
    holds_wave(read_recording(path, fs_hz=512.0))
    with pytest.raises(RecordingError, match="expected a sampling rate or times"):
        read_recording(path)


def test_polar_h10_log_with_a_gap(tmp_path: Path) -> None:
    recording = read_recording(text_file(tmp_path, polar_text(), "h10.txt"))
    assert recording.fs_hz == pytest.approx(130.0, abs=0.01)
    assert recording.missing == ((500, 550),)
    np.testing.assert_allclose(recording.samples[550:] * recording.uv_per_lsb, WAVE_UV[500:], atol=0.51)


@pytest.mark.parametrize(("header", "scale"), [("time [s],ecg [mV]", 1e3), ("", 1.0), ("t_ms;ecg_uV", 1.0)])
def test_time_and_value(tmp_path: Path, header: str, scale: float) -> None:
    per_second = 1000.0 if "ms" in header else 1.0
    separator = ";" if ";" in header else ","
    rows = [f"{i * per_second / 250:.4f}{separator}{v / scale:.4f}" for i, v in enumerate(WAVE_UV)]
    recording = read_recording(text_file(tmp_path, "\n".join([header, *rows] if header else rows)))
    holds_wave(recording)
    assert recording.fs_hz == pytest.approx(250.0)


@pytest.mark.parametrize("title", ["'sample #','MLII'", "index,ecg", ""])
def test_a_column_that_counts_samples_is_no_time(tmp_path: Path, title: str) -> None:
    rows = [f"{i},{v:.4f}" for i, v in enumerate(WAVE_UV) if i != 700]
    path = text_file(tmp_path, "\n".join([title, *rows] if title else rows))
    with pytest.raises(RecordingError, match=r"column 1: expected times .*found a count of samples.*--fs"):
        read_recording(path)
    recording = read_recording(path, fs_hz=250.0)
    assert (recording.fs_hz, len(recording.samples)) == (250.0, len(WAVE_UV))
    assert recording.missing == ((700, 701),)


@pytest.mark.parametrize("title", ["time,ecg", "t [ms],ecg"])
def test_milliseconds_that_are_called_times_are_times(tmp_path: Path, title: str) -> None:
    path = text_file(tmp_path, "\n".join([title, *(f"{i},{v:.4f}" for i, v in enumerate(WAVE_UV))]))
    assert read_recording(path).fs_hz == 1000.0


def test_dates_and_values_parted_by_commas(tmp_path: Path) -> None:
    rows = [f"2026-01-01T00:00:{i / 250:09.6f}Z,{v:.4f}" for i, v in enumerate(WAVE_UV)]
    recording = read_recording(text_file(tmp_path, "\n".join(["timestamp,ecg [uV]", *rows])))
    holds_wave(recording)
    assert recording.fs_hz == pytest.approx(250.0, abs=0.01)
    assert recording.start_us == 1_767_225_600_000_000


def test_a_rate_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    path = text_file(tmp_path, apple_text())
    with pytest.raises(RecordingError, match="expected 300 Hz as asked for, found 512 Hz"):
        read_recording(path, fs_hz=300.0)


def test_real_wfdb_and_cinc(data_folder: Path) -> None:
    mitdb = read_recording(data_folder / "mitdb" / "208")
    assert (mitdb.fs_hz, mitdb.uv_per_lsb, len(mitdb.samples)) == (360.0, 5.0, 650_000)
    assert mitdb.annotations is not None
    assert sum(a.symbol == "V" for a in mitdb.annotations) == 992
    cinc = read_recording(data_folder / "cinc2017" / "training2017" / "A00001.mat")
    assert (cinc.fs_hz, cinc.uv_per_lsb, cinc.duration_s) == (300.0, 1.0, 30.0)
    assert cinc.samples[:3].tolist() == [-127, -162, -197]


def test_real_apple_watch(data_folder: Path) -> None:
    folder = data_folder / "devices" / "apple_watch"
    recording = read_recording(folder / "ecg-sample.csv", fs_hz=512.0)
    assert recording.samples[:2] * recording.uv_per_lsb == pytest.approx(
        [-40.094, -35.512], abs=recording.uv_per_lsb
    )
    assert recording.uv_per_lsb <= 0.1
    marked = read_recording(folder / "ecg-sample-pqrst.csv", fs_hz=512.0)
    assert marked.samples[0] * marked.uv_per_lsb == pytest.approx(-35.512, abs=marked.uv_per_lsb)


# Damaged files: each with how it is made from a good one, and what its refusal must say.


def cut(path: Path, keep: int) -> Path:
    path.write_bytes(path.read_bytes()[:keep])
    return path


def patch(path: Path, at: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(bytes(data))
    return path


def raw(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def without_dat(folder: Path) -> Path:
    header = write_wfdb(folder)
    header.with_suffix(".dat").unlink()
    return header


def short_dat(folder: Path) -> Path:
    header = write_wfdb(folder)
    cut(header.with_suffix(".dat"), 1000)
    return header


def header_only_mat(folder: Path) -> Path:
    (folder / "A1.mat").write_bytes(b"x" * 100)
    return folder / "A1.mat"


def with_annotations(keep: int | None) -> Callable[[Path], Path]:
    """A record with annotations, the first `keep` bytes of them."""

    def make(folder: Path) -> Path:
        header = write_wfdb(folder)
        wfdb.wrann(
            "r1", "atr", np.array([10, 20_000]), ["N", "V"], aux_note=["(AFIB", ""], write_dir=str(folder)
        )
        file = header.with_suffix(".atr")
        cut(file, len(file.read_bytes()) if keep is None else keep)
        return header

    return make


def wrong_unit(folder: Path) -> Path:
    header = write_wfdb(folder)
    header.write_text(header.read_text().replace("/mV", "/mmHg"))
    return header


GOOD_ATC = atc_bytes(b"ecg ")
DAMAGED = {
    "wfdb: signal file gone": (without_dat, "signal 0: expected the signal file r1.dat, found none"),
    "wfdb: signal file cut": (short_dat, r"byte 1000: expected 1800 bytes \(900 frames\)"),
    "wfdb: empty header": (raw("r.hea", b""), "line 1: expected a record line, found an empty file"),
    "wfdb: header of noise": (raw("r.hea", bytes(range(128, 256))), "header: expected a WFDB header"),
    "wfdb: no rate": (raw("r.hea", b"r 1 0 900\nr.dat 16 1000/mV 16 0 0 0 0 II\n"), "header: expected"),
    "wfdb: pressure, not a voltage": (wrong_unit, "signal 0: expected a voltage .* found unit 'mmHg'"),
    "wfdb: annotations of odd length": (with_annotations(5), r"r1.atr: byte 5: expected the zero word"),
    "wfdb: annotations empty": (with_annotations(0), r"r1.atr: byte 0: expected the zero word"),
    "wfdb: annotations cut between two": (with_annotations(2), r"r1.atr: byte 2: expected the zero word"),
    "wfdb: annotations cut in a text": (with_annotations(8), r"r1.atr: byte 8: expected the zero word"),
    "wfdb: annotations cut in a long interval": (with_annotations(14), r"r1.atr: byte 14: expected the zero word"),
    "wfdb: annotations without their end": (with_annotations(-2), r"r1.atr: byte 18: expected the zero word"),
    "cinc: no header beside": (header_only_mat, "header: expected A1.hea beside it, found none"),
    "edf: cut in its header": (lambda d: cut(write_edf(d / "r.edf"), 100), "byte 100: expected an EDF header of 256"),
    "edf: cut in its data": (lambda d: cut(write_edf(d / "r.edf"), 1500), "byte 1500: expected .* data records"),
    "edf: not EDF": (raw("r.edf", b"hello " * 100), "byte 0: expected EDF's version"),
    "edf: signals not a number": (lambda d: patch(write_edf(d / "r.edf"), 252, b"abcd"), "byte 252: expected a whole number"),
    "edf: a temperature": (lambda d: write_edf(d / "r.edf", "degC"), "signal 0: expected a voltage .* 'degC'"),
    "atc: cut": (raw("r.atc", GOOD_ATC[:-500]), "the file ends early"),
    "atc: one bit wrong": (raw("r.atc", GOOD_ATC[:-100] + b"\x55" + GOOD_ATC[-99:]), "expected checksum"),
    "atc: not ATC": (raw("r.atc", b"RIFF1234"), "byte 0: expected 'ALIVE'"),
    "atc: no format": (raw("r.atc", b"ALIVE\0\0\0\2\0\0\0" + atc_block(b"ecg ", b"\1\0")), "expected a 'fmt ' block, found b'ecg '"),
    "atc: no signal": (raw("r.atc", atc_bytes()), "expected an 'ecg ' block"),
    "csv: empty": (raw("r.csv", b""), "lines: expected numbers, found none"),
    "csv: a word among numbers": (raw("r.csv", b"Sample Rate,250 hertz\n1\n2\nouch\n"), "line 4: expected a number, found 'ouch'"),
    "csv: columns change": (raw("r.csv", b"time,ecg\n0.0,100\n0.1\n"), "line 3: expected 2 columns, found 1"),
    "csv: time runs back": (
        raw("r.csv", b"time [s],ecg [uV]\n" + b"".join(b"%.3f,%d\n" % (0.004 * (i if i < 15 else i - 5), i) for i in range(20))),
        "line 17: expected times that grow",
    ),
    "csv: millivolts unnamed": (raw("r.csv", b"Sample Rate,250 hertz\n0.1\n1.2\n-0.3\n"), "expected µV; values up to 1.2 aren't"),
    "csv: not UTF-8": (raw("r.csv", b"\xff\xfe1\n2\n"), "byte 0: expected UTF-8 text"),
    "csv: a hole": (raw("r.csv", b"Sample Rate,250 hertz\n100\n\n200\n"), "line 3: expected a value, found an empty line"),
    "an unknown format": (raw("r.xyz", b"1\n2\n"), "format: expected WFDB"),
    "a folder": (lambda d: d, "file: expected a recording, found a folder"),
    "nothing": (lambda d: d / "none.csv", "found nothing"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused_clearly(tmp_path: Path, name: str) -> None:
    make, message = DAMAGED[name]
    path = make(tmp_path)
    with pytest.raises(RecordingError, match=message) as refused:
        read_recording(path)
    assert str(refused.value).startswith(str(path.parent))
    assert "\n" not in str(refused.value)


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    for path in (write_wfdb(tmp_path), write_edf(tmp_path / "e.edf"), text_file(tmp_path, apple_text())):
        with pytest.raises(RecordingError, match="expected channel 0 to"):
            read_recording(path, channel=7)
