"""Synthetic patients: the truth is true, and the waveform is ECGSYN's."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgstream.cli import app
from ecgstream.recordings import RecordingError, read_recording
from ecgstream.simulator.patients import TEXT, Patient, Stretch, synthesize
from ecgstream.simulator.scenarios import read_scenario

GALLERY = Path(__file__).parents[2] / "simulators" / "scenarios"


def patient(*script: tuple[str, float, float | None], **more: object) -> Patient:
    stretches = [Stretch(rhythm=rhythm, for_s=for_s, bpm=bpm) for rhythm, for_s, bpm in script]
    return Patient(script=stretches, **more)  # type: ignore[arg-type]


def beats(recording: object, symbol: str | None = None) -> np.ndarray:
    annotations = recording.annotations  # type: ignore[attr-defined]
    return np.array([a.sample for a in annotations if a.symbol != "+" and symbol in (None, a.symbol)]) / 250.0


def test_equal_seeds_give_equal_patients() -> None:
    one, two, other = (synthesize(patient(("af", 20, None), seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.samples, two.samples)
    assert one.annotations == two.annotations
    assert not np.array_equal(one.samples, other.samples)


def test_rhythm_changes_stand_where_they_happen() -> None:
    made = synthesize(
        patient(("sinus", 10, 60), ("vt", 5, 180), ("asystole", 6, None), ("vf", 4, None), ("sinus", 5, 60))
    )
    assert made.annotations is not None
    changes = [(a.sample / 250.0, a.text) for a in made.annotations if a.symbol == "+"]
    assert changes == [(0.0, "(N"), (10.0, "(VT"), (15.0, "(ASYS"), (21.0, "(VF"), (25.0, "(N")]
    assert len(made.samples) == 7500
    assert not ((beats(made) > 15.4) & (beats(made) < 25.0)).any()


@pytest.mark.parametrize("fs_hz", [100.0, 250.0])
def test_the_truth_is_not_half_a_sample_off(fs_hz: float) -> None:
    made = synthesize(patient(("sinus", 60, 72), noise_mv=0.0, fs_hz=fs_hz, uv_per_lsb=0.1))
    assert made.annotations is not None
    signal, off = made.samples.astype(float), []
    for at in [a.sample for a in made.annotations if a.symbol == "N"][1:-1]:
        i = at - 3 + int(signal[at - 3 : at + 4].argmax())
        before, peak, after = signal[i - 1 : i + 2]
        off.append(i + 0.5 * (before - after) / (before - 2 * peak + after) - at)
    assert len(off) > 60
    assert abs(np.mean(off)) < 0.15


def test_annotated_beats_are_the_peaks() -> None:
    made = synthesize(patient(("sinus", 30, 72), noise_mv=0.0))
    for at in beats(made)[1:-1]:
        i = round(at * 250)
        around = made.samples[i - 40 : i + 40]
        assert abs(int(around.argmax()) - 40) <= 2


@pytest.mark.parametrize(("rhythm", "bpm"), [("sinus", 70.0), ("af", 110.0), ("svt", 180.0), ("vt", 160.0)])
def test_rates_are_as_scripted(rhythm: str, bpm: float) -> None:
    at = beats(synthesize(patient((rhythm, 120, bpm))))
    assert 60.0 / np.diff(at).mean() == pytest.approx(bpm, rel=0.05)


def test_af_is_irregular_and_sinus_is_not() -> None:
    spread = {rhythm: np.diff(beats(synthesize(patient((rhythm, 120, 90))))) for rhythm in ("af", "sinus")}
    assert spread["af"].std() / spread["af"].mean() > 0.15
    assert spread["sinus"].std() / spread["sinus"].mean() < 0.05


@pytest.mark.parametrize(("rhythm", "share"), [("bigeminy", 1 / 2), ("trigeminy", 1 / 3)])
def test_patterns_of_ectopy(rhythm: str, share: float) -> None:
    made = synthesize(patient((rhythm, 60, 75)))
    assert len(beats(made, "V")) / len(beats(made)) == pytest.approx(share, abs=0.03)


def test_a_pause_is_told_by_its_interval() -> None:
    made = synthesize(patient(("sinus", 20, 60), ("pause", 3.5, None), ("sinus", 20, 60)))
    assert np.diff(beats(made)).max() == pytest.approx(3.5, abs=0.01)


def test_a_normal_beat_is_the_one_of_neurokit2() -> None:
    neurokit2 = pytest.importorskip("neurokit2")
    theirs = np.asarray(
        neurokit2.ecg_simulate(
            duration=8, sampling_rate=250, heart_rate=60, heart_rate_std=0, noise=0, random_state=1
        )
    )
    ours = synthesize(patient(("sinus", 12, 60), noise_mv=0.0)).samples.astype(float)
    their_peaks = [i for i in range(300, 1700) if theirs[i] == theirs[i - 60 : i + 60].max()]
    at = their_peaks[1]
    beat = theirs[at - 100 : at + 125]
    i = round(beats(synthesize(patient(("sinus", 12, 60))))[4] * 250)
    own = max(
        (np.corrcoef(beat, ours[i + shift - 100 : i + shift + 125])[0, 1] for shift in range(-5, 6)),
    )
    assert own > 0.98


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (patient(("tango", 10, None)), r"script\[0\].rhythm: expected one of sinus"),
        (patient(("sinus", 0, None)), r"script\[0\].for_s: expected 0.1 to 86400 s, got 0"),
        (patient(("sinus", 5, None), ("vf", 0.001, None)), r"script\[1\].for_s: expected .* got 0.001"),
        (patient(("sinus", float("nan"), None)), r"script\[0\].for_s: expected .* got nan"),
        (patient(("sinus", 9, None), fs_hz=0.0), "fs_hz: expected 100 to 1000 Hz, got 0"),
        (patient(("sinus", 9, None), fs_hz=-250.0), "fs_hz: expected 100 to 1000 Hz, got -250"),
        (patient(("sinus", 9, None), fs_hz=float("nan")), "fs_hz: expected 100 to 1000 Hz, got nan"),
        (patient(("sinus", 9, None), uv_per_lsb=0.0), "uv_per_lsb: expected 0.001 to 1000, got 0"),
        (patient(("sinus", 9, None), noise_mv=float("inf")), "noise_mv: expected 0 to 100, got inf"),
        (patient(("sinus", 9, None), seed=-1), "seed: expected 0 or more, got -1"),
        (patient(("sinus", 10, 900)), r"script\[0\].bpm: expected 10 to 300"),
        (patient(), "script: expected at least one rhythm"),
    ],
)
def test_scripts_that_cannot_be_are_refused(broken: Patient, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthesize(broken)


def test_every_rhythm_can_be_made() -> None:
    for rhythm in TEXT:
        assert len(synthesize(patient(("sinus", 3, None), (rhythm, 5, None))).samples) == 2000


def test_a_written_patient_reads_back(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", str(GALLERY / "asystole.yaml"), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    back = read_recording(tmp_path / "asystole.hea")
    made = read_scenario(GALLERY / "asystole.yaml").signal()
    assert np.array_equal(back.samples, made.samples)
    assert back.annotations == made.annotations
    assert (back.fs_hz, back.uv_per_lsb) == (made.fs_hz, made.uv_per_lsb)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "text: expected YAML"),
        ("title: t\nabout: a\nexpect: []\n", "patient, recording: expected one of the two"),
        ("title: t\nabout: a\nexpect: []\nrecording: toy\nspeed: 3\n", "fields: .*unknown field `speed`"),
        (
            "title: t\nabout: a\nexpect: []\nrecording: toy\nfaults: [{kind: x}]\n",
            r"faults\[0\]: kind: expected one of",
        ),
        (
            "title: t\nabout: a\nexpect: []\nrecording: toy\nfaults: [{kind: mains, size: .nan}]\n",
            r"faults\[0\]: size: expected at most 1e\+06, got nan",
        ),
        (
            "title: t\nabout: a\nexpect: []\npatient: {uv_per_lsb: 0, script: [{rhythm: sinus, for_s: 9}]}\n",
            "s.yaml: patient: uv_per_lsb: expected",
        ),
        (
            "title: t\nabout: a\nexpect: []\npatient: {script: [{rhythm: vf, for_s: 0.001}]}\n",
            r"s.yaml: patient: script\[0\].for_s: expected",
        ),
        ("title: t\nabout: a\nexpect: []\nrecording: toy\nseed: -1\n", "s.yaml: seed: expected 0 or more"),
    ],
)
def test_scenarios_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_scenario(path)


def test_a_fault_after_the_end_is_refused_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "title: t\nabout: a\nexpect: []\npatient: {script: [{rhythm: sinus, for_s: 9}]}\n"
        "faults: [{kind: mains}, {kind: lead-off, at_s: 9}]\n"
    )
    done = CliRunner().invoke(app, ["simulate", str(path), "--out", str(tmp_path / "made")])
    assert done.exit_code == 2
    assert "faults[1]: at_s: expected a time before the signal's end at 9 s, got 9" in done.output


@pytest.mark.parametrize("still", ["asystole", "vf", "pause"])
def test_no_beat_stands_in_a_stretch_before_a_pause(still: str) -> None:
    made = synthesize(patient(("sinus", 10, 60), (still, 6, None), ("pause", 3, None), ("sinus", 5, 60)))
    silent = beats(made)[(beats(made) > 11.0) & (beats(made) < 18.9)]
    assert len(silent) == 0
    assert beats(made)[-1] > 23.0


def test_the_truth_ends_with_the_signal() -> None:
    """A beat half a sample before the end would stand on the sample behind the last."""
    made = synthesize(patient(("sinus", 10.0019, 60)))
    ends = [
        synthesize(Patient(script=[Stretch(rhythm="svt", for_s=5 + i / 1000, bpm=180)], seed=i))
        for i in range(60)
    ]
    for recording in [made, *ends]:
        assert recording.annotations is not None
        assert max(a.sample for a in recording.annotations) < len(recording.samples)
