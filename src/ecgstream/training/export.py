"""A trained network to a model folder: ONNX graphs, safetensors, `model.json`, a model card; checked against torch before it counts."""

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import torch
from safetensors.torch import save_file
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from ecgstream.measurements import NAMES, one_beat
from ecgstream.model_folder import CINC_CLASSES, FORMAT, Horizon, ModelSpec
from ecgstream.training.acute import WINDOW, n_window_frames
from ecgstream.training.calibrate import Calibration
from ecgstream.training.examples import CROP
from ecgstream.training.network import (
    ACUTE,
    BEATS,
    FRAME,
    FS_HZ,
    RHYTHMS,
    SCALE_FLOOR_UV,
    AcuteHead,
    Network,
)
from ecgstream.training.streaming import (
    AcutePool,
    BeatVerdict,
    RhythmVerdict,
    StreamingNetwork,
    example_block,
    reach,
)
from ecgstream.training.trees import export_trees

RHYTHM_MIN_S = 10


def export(
    network: Network,
    trees: HistGradientBoostingClassifier,
    beat_trees: HistGradientBoostingClassifier,
    folds: list[AcuteHead],
    out: Path,
    *,
    rhythm_calibration: Calibration,
    acute_temperature: float,
    training: dict[str, Any],
    metrics: dict[str, Any],
) -> None:
    """Write the model folder `out`. The graphs must agree with torch to 1e-4, else `ValueError`."""
    out.mkdir(parents=True, exist_ok=True)
    network = network.cpu().eval()
    streaming = StreamingNetwork(network)
    rhythm_void, acute_void = streaming.void_frames()[::-1]
    morphology_field, context_field = network.receptive_fields()
    step = FS_HZ // FRAME
    rhythm_frames = ((CROP - context_field) // FRAME + 1) // step * step  # whole seconds of frames
    acute_frames = n_window_frames(morphology_field)
    channels = network.shape.levels[-1]
    memories = streaming.memories(3)
    names = [f"memory{i}" for i in range(len(memories))]
    outputs = ["rhythm", "acute", "beat", *(f"read{i}" for i in range(len(memories)))]
    _graph(streaming, (example_block(3), *memories), ["x", *names], outputs, out / "encoder.onnx")
    beat_width = network.beat.told.out_features
    _graph(
        BeatVerdict(network),
        (
            torch.randn(3, beat_width),
            _some_unknown(torch.randn(3, len(one_beat.NAMES))),
            torch.softmax(torch.rand(3, len(BEATS)), 1),
        ),
        ["told", "measured", "trees"],
        ["probabilities"],
        out / "beat.onnx",
    )
    width = network.rhythm.project.out_channels
    told = network.rhythm.pooled(torch.rand(3, rhythm_frames, width), torch.ones(3, rhythm_frames))
    verdict = RhythmVerdict(network, rhythm_calibration)
    said = torch.softmax(torch.rand(3, len(CINC_CLASSES)), 1)
    _graph(verdict, (told, said), ["features", "trees"], ["probabilities"], out / "rhythm.onnx")
    export_trees(trees, out / "trees.onnx")
    export_trees(beat_trees, out / "beat-trees.onnx")
    frames, level = torch.rand(3, acute_frames, channels), torch.tensor([-2.3, 0.0, 2.2])
    heads = {"acute.onnx": network.acute} | {
        f"acute-fold-{k}.onnx": head.cpu() for k, head in enumerate(folds)
    }
    for name, head in heads.items():
        acute = AcutePool(head, acute_temperature)
        _graph(acute, (frames, level), ["values", "level"], ["probabilities"], out / name)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, out / "weights.safetensors")
    (out / "weights.safetensors").chmod((out / "encoder.onnx").stat().st_mode)  # else its owner's alone
    files = [
        "encoder.onnx",
        "beat.onnx",
        "beat-trees.onnx",
        "rhythm.onnx",
        "trees.onnx",
        "weights.safetensors",
        *heads,
    ]
    spec = ModelSpec(
        format=FORMAT,
        name=out.name,
        fs_hz=FS_HZ,
        hop_s=1,
        frame_samples=FRAME,
        scale_blocks=5,
        scale_floor_uv=SCALE_FLOOR_UV,
        clip=20.0,
        beat_classes=list(BEATS),
        acute_classes=list(ACUTE),
        rhythm_classes=list(RHYTHMS),
        rhythm=Horizon(
            CROP // FS_HZ,
            rhythm_frames,
            -(-rhythm_void // step) * step,
            ((RHYTHM_MIN_S * FS_HZ - context_field) // FRAME + 1) // step * step,
            width,
        ),
        acute=Horizon(WINDOW // FS_HZ, acute_frames, acute_void, acute_frames, channels),
        attentions=network.rhythm.attentions,
        beat_field_samples=context_field,
        beat_width=beat_width,
        beat_measurements=list(one_beat.NAMES),
        memories=[(c.in_channels, reach(c)) for c in streaming.convolutions()],
        thresholds={"af": rhythm_calibration.af},
        record_weights=rhythm_calibration.record_weights,
        measurements=list(NAMES),
        rhythm_weights={"network": rhythm_calibration.network, "trees": rhythm_calibration.trees},
        rhythm_offsets=dict(zip(CINC_CLASSES, rhythm_calibration.offsets, strict=True)),
        temperatures={"acute": acute_temperature},
        training=training,
        metrics=metrics,
        sha256={name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files},
    )
    (out / "model.json").write_bytes(msgspec.json.format(msgspec.json.encode(spec), indent=2) + b"\n")


def _some_unknown(measured: Tensor) -> Tensor:
    measured[0, ::2] = torch.nan
    return measured


def _bare(path: Path) -> None:
    """Take out what the exporter notes of this machine: where in the source, and in which files, each node came from."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.save(model, path)


def _graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> None:
    """Export `module` with any number of streams, and check it."""
    n = torch.export.Dim("n", min=1, max=2**20)
    axes = tuple({0: n} for _ in example)
    shapes: Any = (axes[0], axes[1:]) if isinstance(module, StreamingNetwork) else axes
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, example, str(path), input_names=inputs, output_names=outputs, dynamo=True,
            dynamic_shapes=shapes, external_data=False, verbose=False,
        )  # fmt: skip
        expected = module(*example)
    _bare(path)
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: x.numpy() for name, x in zip(inputs, example, strict=True)})
    worst = max(float(np.abs(f - e.numpy()).max()) for f, e in zip(found, expected, strict=True))
    if worst > 1e-4:
        raise ValueError(f"{path.name}: ONNX differs from torch by {worst:.2g}, at most 1e-4 is allowed")
