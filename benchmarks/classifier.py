"""How many 30-s windows a second one core scores: served with cached frames, each window anew, and
Stanford's network.

    python benchmarks/classifier.py [MODEL_FOLDER]

All on one thread, in one run, in turns (the median of `ROUNDS`). "Served" is `ecgstream.classifier.Scorer`
in ONNX Runtime with one finding and one beat a second from each of 64 streams, measurements and trees included; then the same with
nothing measured, which is the network's work and little else. "Anew" is the network alone in torch eager on each whole 30-s window,
batches of 32. Stanford's is the 34-layer network of Rajpurkar et al.
2017 in torch eager on 30 s at 200 Hz. Without a folder the network is untrained: its speed doesn't depend
on its weights. Needs the train extra.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.torch import load_file

from ecgstream import classifier, model_folder
from ecgstream.evaluation.speed import ROUNDS, STREAMS, served
from ecgstream.measurements import NAMES, one_beat
from ecgstream.training import beat_trees, stanford, trees
from ecgstream.training.calibrate import Calibration
from ecgstream.training.export import export
from ecgstream.training.learn import Config
from ecgstream.training.network import FS_HZ, Network, scaled

WINDOW_S, BATCH = 30, 32


def untrained(folder: Path) -> Path:
    """A model folder of a network with random weights."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    measured = rng.normal(0, 1, (2000, len(NAMES))).astype(np.float32)
    rows = trees.Rows(measured, rng.integers(0, 4, 2000), np.ones(2000))
    measured_beats = rng.normal(0, 1, (20000, len(one_beat.NAMES))).astype(np.float32)
    beats = trees.Rows(measured_beats, rng.integers(0, 3, 20000), np.ones(20000))
    export(
        Network().eval(),
        trees.fit(rows, seed=0, n_trees=Config().n_trees),
        beat_trees.fit(beats, seed=0, n_trees=Config().n_beat_trees),
        [],
        folder,
        rhythm_calibration=Calibration(),
        acute_temperature=1.0,
        training={},
        metrics={},
    )
    return folder


class Unmeasured:
    """In the place of a scorer's windows: nothing is measured in them."""

    def push(self, slots: Any, blocks: Any, peaks: Any) -> None:
        """Keeps nothing."""

    def measured(self, slots: Any) -> Any:
        """Of each window: NaN."""
        return np.full((len(slots), len(NAMES)), np.nan, np.float32)

    def measured_beats(self, slots: Any, positions: Any) -> Any:
        """Of each beat: NaN."""
        return np.full((len(slots), len(one_beat.NAMES)), np.nan, np.float32)


def network_served(model: model_folder.Model) -> Callable[[], int]:
    """The scorer that serves, with nothing measured."""
    scorer: Any = classifier.Scorer(model, STREAMS)
    scorer._windows = Unmeasured()
    return served(model, scorer)


def anew(network: Network, n_acute: int) -> Callable[[], int]:
    """Whole windows through the same encoder and heads; the acute one judges the last `n_acute` frames."""
    signal = 200 * torch.randn(BATCH, WINDOW_S * FS_HZ)
    at = torch.arange(0, (WINDOW_S - 7) * 8, 8)  # frames of a beat a second
    figures = torch.randn(BATCH * len(at), len(one_beat.NAMES))

    @torch.inference_mode()
    def run() -> int:
        x = scaled(signal)[:, None, None].contiguous(memory_format=torch.channels_last)
        morphology, context = network.encoder(x)
        values = network.rhythm.values(context)
        network.rhythm.pool(values, torch.ones(BATCH, values.shape[1]))
        network.acute(morphology[:, :, 0, -n_acute:], torch.zeros(len(morphology)))
        network.beat(context[:, :, 0, at].transpose(1, 2).flatten(0, 1), figures)
        return BATCH

    return run


def stanfords() -> Callable[[], int]:
    """Stanford's network on whole windows."""
    network = stanford.StanfordNetwork(12).eval()
    signal = torch.randn(8, stanford.WINDOW)

    @torch.inference_mode()
    def run() -> int:
        network(signal)
        return len(signal)

    return run


def main(folder: Path) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    network = Network().eval()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    model = model_folder.load_model(folder)
    ways = {
        "served, cached frames (ONNX Runtime)": served(model),
        "the same, nothing measured": network_served(model),
        "same network, each window anew (torch eager)": anew(network, model.spec.acute.frames),
        "Stanford's 34 layers, each window anew (torch eager)": stanfords(),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            windows = way()
            rates[name].append(windows / (time.perf_counter() - start))
    whole, network_alone, *_ = (float(np.median(found)) for found in rates.values())
    print(
        f"{'30-s windows a second, one core':55}{'median':>9}{'range':>18}{'served is':>12}{'unmeasured':>12}"
    )
    for name, found in rates.items():
        median = float(np.median(found))
        spread = f"{min(found):.0f}-{max(found):.0f}"
        print(f"{name:55}{median:9.1f}{spread:>18}{whole / median:11.1f}x{network_alone / median:11.1f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path, help="its folder (default: an untrained network)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(arguments.model or untrained(Path(scratch) / "untrained"))
