"""Training: what is learnt from, the streaming form of the network, and a whole small run from folders to a model folder."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
wfdb = pytest.importorskip("wfdb")
from safetensors.torch import load_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from ecgstream import training_settings as settings  # noqa: E402
from ecgstream.classifier import Scorer  # noqa: E402
from ecgstream.cli import app  # noqa: E402
from ecgstream.measurements import measure  # noqa: E402
from ecgstream.model_folder import CINC_CLASSES, load_model  # noqa: E402
from ecgstream.shipped import shipped_model  # noqa: E402
from ecgstream.training import course, folds, learn, splits  # noqa: E402
from ecgstream.training.calibrate import Calibration  # noqa: E402
from ecgstream.training.card import write_card  # noqa: E402
from ecgstream.training.network import FIRST, RHYTHMS, Network, Shape, scaled  # noqa: E402
from ecgstream.training.streaming import AcutePool, StreamingNetwork  # noqa: E402
from ecgstream.training.trees import measured_whole  # noqa: E402
from ecgstream.whole_record import score_record  # noqa: E402
from packed import record  # noqa: E402

pytestmark = pytest.mark.torch
SMALL = Shape(stem=4, levels=(8, 8, 8))


def lively(network: Network) -> Network:
    """The network with batch norms that do something."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def test_frames_of_a_stream_are_those_of_the_whole_signal() -> None:
    network = lively(Network(SMALL))
    streaming = StreamingNetwork(network)
    x = torch.randn(2, 1, 1, 128 * 20)
    memories = streaming.memories(2)
    rhythm, acute = [], []
    with torch.no_grad():
        for second in x.split(128, dim=3):
            values, frames, _, *read = streaming(second.transpose(2, 3), *memories)
            memories = [line[:, :, -old.shape[2] :] for line, old in zip(read, memories, strict=True)]
            rhythm.append(values)
            acute.append(frames)
        morphology, context = network.encoder(x[..., FIRST:])
        expected = network.rhythm.values(context)
    void_morphology, void_context = streaming.void_frames()
    acute_frames, rhythm_frames = (
        torch.cat(acute, 1)[:, void_morphology:],
        torch.cat(rhythm, 1)[:, void_context:],
    )
    torch.testing.assert_close(acute_frames, morphology.squeeze(2).transpose(1, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(rhythm_frames, expected, rtol=0, atol=1e-5)


def test_the_acute_head_that_serves_says_what_the_trained_one_does() -> None:
    head, level = lively(Network(SMALL)).acute, torch.tensor([-2.0, 0.0, 1.5])
    frames = 3 * torch.rand(3, 10, SMALL.levels[-1])
    with torch.no_grad():
        served = AcutePool(head, 1.3)(frames, level)
        trained = torch.softmax(head(frames.transpose(1, 2), level) / 1.3, 1)
    torch.testing.assert_close(served, trained, rtol=0, atol=1e-6)


def test_a_window_scored_alone_gives_the_frames_that_the_stream_holds() -> None:
    network = lively(Network(SMALL))
    x = torch.randn(1, 1, 1, 128 * 40)
    _, field = network.receptive_fields()
    with torch.no_grad():
        _, whole = network.encoder(x[..., FIRST:])
        start = 5 * 128
        _, window = network.encoder(x[..., start + FIRST : start + 30 * 128])
    first = start // 16
    torch.testing.assert_close(window, whole[..., first : first + window.shape[3]], rtol=0, atol=1e-5)
    assert window.shape[3] == (30 * 128 - FIRST - field) // 16 + 1


def test_a_record_and_a_stream_score_as_served_as_they_do_in_training() -> None:
    model = load_model(shipped_model())
    config = learn.Config(**model.spec.training["config"])
    network = Network(config.shape())
    network.load_state_dict(load_file(model.folder / "weights.safetensors"))
    rng = np.random.default_rng(5)
    signals = [
        (rng.normal(0, 100, n) * np.linspace(0.3, 3.0, n)).astype(np.int16)
        for n in (9 * 128 + 17, 30 * 128, 61 * 128)
    ]
    records = [record(signal=signal) for signal in [*signals, signals[0][:600]]]
    weights, offsets = model.spec.rhythm_weights, model.spec.rhythm_offsets
    calibration = Calibration(
        weights["network"], weights["trees"], tuple(offsets[label] for label in CINC_CLASSES)
    )

    def of_trees(measured: np.ndarray) -> np.ndarray:
        (said,) = model.graphs["trees.onnx"].run(None, {"measured": measured})
        return np.asarray(said)

    of_network = learn.predict_records(network, records, torch.device("cpu"))
    trained = calibration.of(of_network, of_trees(measured_whole(records)))
    served = [score_record(model, r.signal.astype(np.float32), r.peaks) for r in records]
    np.testing.assert_allclose(served, trained, atol=1e-5)
    assert np.isnan(served[3]).all(), "less than one frame reads"
    stream = signals[2][: 40 * 128].astype(np.float32)
    scorer = Scorer(model, 1)
    peaks = records[2].peaks
    for i, second in enumerate(stream.reshape(40, 1, 128)):
        found = peaks[(peaks >= i * 128) & (peaks < (i + 1) * 128)]
        live = scorer.step(np.array([0]), second, [found]).rhythm
    with torch.no_grad():
        x = scaled(torch.from_numpy(stream)[None])[:, None, None, FIRST:]
        values = network.rhythm.values(network.encoder(x)[1])[:, -model.spec.rhythm.frames :]
        p = torch.softmax(network.rhythm.pool(values, torch.ones(values.shape[:2])), 1)
    window = measure(stream[-30 * 128 :], peaks - 10 * 128)
    np.testing.assert_allclose(live, calibration.of(p.numpy(), of_trees(window[None])), atol=1e-5)


def test_the_scale_is_causal_and_forgets_after_five_seconds() -> None:
    x = torch.randn(1, 128 * 12) * 100
    whole, part = scaled(x), scaled(x[:, 128 * 6 :])
    torch.testing.assert_close(whole[:, -128:], part[:, -128:])
    longer = torch.cat([x, torch.randn(1, 128 * 3) * 1000], 1)
    torch.testing.assert_close(scaled(longer)[:, : x.shape[1]], whole)


def write(
    folder: Path,
    name: str,
    fs_hz: int,
    seconds: int,
    rng: np.random.Generator,
    notes: list[str] | None = None,
) -> None:
    """One two-lead record of noise with a beat a second and, with `notes`, rhythms that take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    signal = rng.normal(0, 0.1, (seconds * fs_hz, 2))
    wfdb.wrsamp(
        name,
        fs=fs_hz,
        units=["mV"] * 2,
        sig_name=["MLII", "V1"],
        p_signal=signal,
        fmt=["16"] * 2,
        write_dir=str(folder),
    )
    if notes is None:
        return
    marks = [(i * seconds * fs_hz // len(notes), "+", note) for i, note in enumerate(notes)]
    marks += [(t * fs_hz + 5, "NSV"[t % 3], "") for t in range(1, seconds - 1)]
    samples, symbols, aux = zip(*sorted(marks), strict=True)
    wfdb.wrann(name, "atr", np.array(samples), list(symbols), aux_note=list(aux), write_dir=str(folder))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A small PhysioNet layout of noise."""
    rng, data = np.random.default_rng(0), tmp_path / "data"
    labels = []
    for i in range(1, 41):
        write(data / "cinc2017" / "training2017", f"A{i:05d}", 300, 12, rng)
        labels.append(f"A{i:05d},{'NAO~'[i % 4]}\n")
    (data / "cinc2017" / "REFERENCE-v3.csv").write_text("".join(labels))
    for name in ("100", "101", "114"):
        write(data / "mitdb", name, 360, 60, rng, ["(N", "(AFIB"])
    for name in ("801", "802"):
        write(data / "svdb", name, 128, 60, rng, [])
    for name in ("418", "419", "421", "424", "425"):
        write(data / "vfdb", name, 250, 60, rng, ["(N", "(VT", "(VF", "(ASYS"])
    for name in ("bw", "ma"):
        write(data / "nstdb", name, 360, 60, rng)
    np.savez(
        data / "nstdb" / "em_reconstructed_from_118e_6.npz",
        em=rng.normal(0, 1, (9000, 2)).astype(np.float32),
        fs=360,
    )
    return data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_command_from_folders_to_a_model_that_serves_and_a_stopped_run_goes_on(
    folders: Path, tmp_path: Path
) -> None:
    config = learn.Config(
        epochs=2, acute_epochs=1, n_trees=3, n_cinc=8, n_annotated=4, stem=4, levels=(8, 8, 8)
    )
    arguments = (config, tmp_path / "run", tmp_path / "cache", torch.device("cpu"))
    metrics = course.train_model(folders, tmp_path / "small", *arguments)
    assert set(metrics) == {
        "cinc2017_dev", "cinc2017_dev_network_alone", "cinc2017_dev_trees_alone", "cinc2017_tune_network_alone",
        "acute_windows_out_of_fold",
    }  # fmt: skip
    model = load_model(tmp_path / "small")
    scores = Scorer(model, 1).step(np.array([0]), np.zeros((1, 128), np.float32))
    assert scores.rhythm.shape == (1, len(RHYTHMS))
    progress = (tmp_path / "run" / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in progress] == [1, 2]
    again = course.train_model(folders, tmp_path / "small", *arguments)
    assert again == metrics, "a finished run is taken up, not trained anew"
    with pytest.raises(settings.ConfigError, match="another configuration"):
        course.train_model(folders, tmp_path / "small", learn.Config(epochs=3, n_cinc=8), *arguments[1:])
    assert model.spec.training["rhythm_patients"]["af"] == 2, "of 100 and 101; 114 is held back"
    card = (tmp_path / "small" / "README.md").read_text()
    assert "its 2 epochs ended before" in card
    assert "block from 0, " in card
    modes = {(tmp_path / "small" / name).stat().st_mode for name in model.spec.sha256}
    assert len(modes) == 1, "each file is as readable as the others"
    (tmp_path / "run" / "learnt.json").unlink()
    assert course.train_model(folders, tmp_path / "small", *arguments) == metrics, "an earlier version's run"
    for end in ("hea", "mat", "dat", "atr"):
        (folders / "svdb" / f"802.{end}").unlink(missing_ok=True)
    with pytest.raises(settings.ConfigError, match="svdb: 1 missing now, 802"):
        course.train_model(folders, tmp_path / "small", *arguments)


@pytest.mark.slow
def test_stanfords_network_is_scored_on_the_very_fifth_that_ours_is(folders: Path, tmp_path: Path) -> None:
    arguments = [
        "train-stanford",
        "--data",
        str(folders),
        "--run",
        str(tmp_path / "run"),
        "--epochs",
        "1",
        "--json",
    ]
    done = CliRunner().invoke(app, [*arguments, "--predictions", str(tmp_path / "said.csv")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["split"] == "dev"
    dev = {f"A{i:05d}" for i in range(1, 41) if splits.split_of("cinc2017", f"A{i:05d}") == "dev"}
    with (tmp_path / "said.csv").open() as file:
        assert {row["record"] for row in csv.DictReader(file)} == dev
    missing = CliRunner().invoke(app, ["train-stanford", "--data", str(tmp_path / "none")])
    assert missing.exit_code == 2
    assert "none/cinc2017/REFERENCE-v3.csv: no such file" in missing.output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_folds_network_is_scored_on_its_fifth_and_served_with_heads_that_say_nothing(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = learn.Config(epochs=2, join_epoch=1, n_trees=3, n_cinc=8, n_annotated=0, stem=4, levels=(8, 8, 8))
    monkeypatch.setattr(folds, "RECIPE", small)
    [scores] = folds.cross_validate(folders, tmp_path / "run", tmp_path / "cache", torch.device("cpu"), [0])
    model = load_model(tmp_path / "run" / "fold-0" / "cinc2017-without-0")
    assert model.spec.metrics["cinc2017"] == scores
    write_card(model.folder)
    card = (model.folder / "README.md").read_text()
    assert "CinC 2017 without fifth 0" in card
    assert "the acute head organised, whatever they see" in card
    assert "VFDB, out of fold" not in card
    scorer, rng = Scorer(model, 1), np.random.default_rng(2)
    for _ in range(20):
        found = scorer.step(np.array([0]), rng.normal(0, 100, (1, 128)).astype(np.float32))
    assert not np.isnan(found.rhythm).any()
    assert found.acute[0, 0] == pytest.approx(1.0)
    assert scorer.beat_probabilities(0, np.array([15.0 * 128]))[0, 0] > 0.999


def test_folds_are_summed_up_by_mean_and_spread() -> None:
    found = folds.summary([{"A": 0.7, "mean": 0.80}, {"A": 0.8, "mean": 0.84}])
    assert found == {"A": {"mean": 0.75, "sd": 0.0707}, "mean": {"mean": 0.82, "sd": 0.0283}}
