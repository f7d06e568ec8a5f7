"""What a recording misses is a gap, at its begin as in its middle, streamed or replayed, made or read back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgstream.analysis import Analyzer
from ecgstream.cli import app
from ecgstream.limits import load_limits
from ecgstream.messages import Finding, Reason
from ecgstream.model_folder import load_model
from ecgstream.recordings import Recording, read_recording
from ecgstream.replay import START_US, chunks, replay
from ecgstream.shipped import shipped_model
from ecgstream.simulator.devices import Device, chunks_of
from ecgstream.simulator.made import write
from ecgstream.simulator.patients import Patient, Stretch, synthesize
from ecgstream.watch import over_findings

FS_HZ = 250.0


def sinus(for_s: float = 40.0) -> Recording:
    return synthesize(Patient(script=[Stretch(rhythm="sinus", for_s=for_s, bpm=72)], fs_hz=FS_HZ))


def findings_of(recording: Recording) -> list[Finding]:
    analyzer = Analyzer(load_model(shipped_model()), 1)
    return [finding for lot in replay(recording, analyzer, "d", "s") for finding in lot]


def test_a_replay_counts_from_the_first_known_sample() -> None:
    found = list(chunks(replace(sinus(4), missing=((0, 100), (600, 700))), "d", "s"))
    assert [(c.first_sample, c.n_samples) for c in found] == [(0, 250), (250, 250), (600, 250), (850, 50)]
    assert [c.start_us - START_US for c in found] == [400_000, 1_400_000, 2_800_000, 3_800_000]


def test_a_recording_whose_first_sample_is_missing_speaks_as_soon_as_any_other() -> None:
    whole, headless = sinus(), replace(sinus(), missing=((0, 1),))
    expected, found = findings_of(whole), findings_of(headless)
    assert len(expected) > 5
    assert [f.window for f in found] == [f.window for f in expected][: len(found)]
    assert len(found) >= len(expected) - 1
    assert found[0].start_us == expected[0].start_us + 4000
    known = [sum(f.heart_rate_bpm is not None for f in some) for some in (expected, found)]
    assert known[1] >= known[0] - 1 > 3


def test_a_device_begins_at_its_first_known_sample() -> None:
    recording = replace(sinus(4), missing=((0, 100), (600, 700)))
    found = list(chunks_of(Device("d", recording, "s", START_US)))
    spans = [(c.first_sample, c.n_samples) for c in found]
    assert spans == [(0, 250), (250, 250), (600, 150), (750, 150)]
    assert found[0].start_us == START_US
    np.testing.assert_array_equal(found[0].array(), recording.samples[100:350])


def test_a_looped_device_begins_at_the_next_known_sample_wherever_it_is_put() -> None:
    recording = replace(sinus(4), missing=((0, 100), (600, 1000)))
    device = Device("d", recording, "s", START_US, from_sample=700, loop=True)
    stream = chunks_of(device)
    found = [next(stream) for _ in range(4)]
    assert [c.first_sample for c in found] == [0, 250, 1000, 1150]
    np.testing.assert_array_equal(found[0].array(), recording.samples[100:350])
    np.testing.assert_array_equal(found[2].array(), recording.samples[100:250])


def test_a_device_put_after_all_that_is_known_hands_nothing_over() -> None:
    recording = replace(sinus(4), missing=((600, 1000),))
    assert list(chunks_of(Device("d", recording, "s", START_US, from_sample=700))) == []
    nothing = replace(sinus(4), missing=((0, 1000),))
    assert list(chunks_of(Device("d", nothing, "s", START_US, loop=True))) == []


def test_gaps_that_are_written_are_gaps_when_read_back(tmp_path: Path) -> None:
    samples = sinus(4).samples.copy()
    samples[500] = -32768  # an amplifier at its end is no missing sample
    made = replace(sinus(4), name="made", samples=samples, missing=((0, 10), (600, 700)))
    back = read_recording(write(made, tmp_path))
    assert back.missing == made.missing
    known = np.ones(1000, np.bool_)
    known[np.r_[0:10, 600:700]] = False
    np.testing.assert_array_equal(back.samples[known], np.maximum(samples, -32767)[known])


def test_a_gap_that_went_through_a_file_is_no_asystole(tmp_path: Path) -> None:
    pytest.importorskip("wfdb")
    lines = ["time [s],ecg [uV]"]
    signal = sinus(90)
    for i, value in enumerate(signal.samples * signal.uv_per_lsb):
        if not 40 * FS_HZ <= i < 52 * FS_HZ:
            lines.append(f"{i / FS_HZ:.3f},{value:.0f}")
    (tmp_path / "gap.csv").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "gap.csv"), "--out", str(tmp_path / "made")])
    assert done.exit_code == 0, done.output
    found = findings_of(read_recording(tmp_path / "made" / "gap.hea"))
    assert [f.window for f in found if Reason.GAP in f.reasons]
    assert "asystole" not in {alert.kind for alert in over_findings(found, load_limits(None))}
