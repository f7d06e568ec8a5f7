"""A model folder, loaded and checked.

It holds `model.json` (`ModelSpec`: rate, horizons, classes, operating points, calibration, training, metrics and the sha256 of each
file), six ONNX graphs and the network's weights as safetensors. `encoder.onnx` takes one second of each stream and the last inputs of its
convolutions and gives eight frames a stream, `beat.onnx` judges a beat by its frame, by what can be measured of it and by what
`beat-trees.onnx` says of that, `rhythm.onnx` judges a window by sums over its frames and by what `trees.onnx` says of what can be measured
in it, `acute.onnx` judges the last frames.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import onnxruntime as ort
from msgspec import Meta, Struct

from ecgstream.measurements import NAMES, one_beat

FORMAT = 9
GRAPHS = ("encoder.onnx", "beat.onnx", "beat-trees.onnx", "rhythm.onnx", "trees.onnx", "acute.onnx")


WEIGHTS = "weights.safetensors"
FOLD = re.compile(r"acute-fold-[0-4]\.onnx")
CINC_CLASSES = ("N", "A", "O", "~")
Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Above = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class ModelError(Exception):
    """A model folder that can't be served: what was found and what was expected."""


class Horizon(Struct, frozen=True, forbid_unknown_fields=True):
    """What a head looks at: window length, frames in it, a stream's void first frames, frames needed before it speaks."""

    window_s: Positive
    frames: Positive
    void_frames: Count
    min_frames: Positive
    channels: Positive


class Numbered(Struct):
    """Of `model.json` of any format: which it is."""

    format: int


class ModelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """`model.json`."""

    format: int
    name: str
    fs_hz: int
    hop_s: int
    frame_samples: Positive
    scale_blocks: Positive
    scale_floor_uv: Above
    clip: Above
    beat_classes: list[str]
    acute_classes: list[str]
    rhythm_classes: list[str]
    rhythm: Horizon
    acute: Horizon
    attentions: Positive
    beat_field_samples: Positive
    beat_width: Positive
    beat_measurements: list[str]
    memories: list[tuple[Positive, Positive]]
    thresholds: dict[str, Share]
    record_weights: dict[str, Weight]
    measurements: list[str]
    rhythm_weights: dict[str, Weight]
    rhythm_offsets: dict[str, float]
    temperatures: dict[str, Above]
    training: dict[str, Any]
    metrics: dict[str, Any]
    sha256: dict[str, str]


class Model(NamedTuple):
    """A loaded model folder."""

    folder: Path
    spec: ModelSpec
    graphs: dict[str, ort.InferenceSession]

    @property
    def name(self) -> str:
        """Name and version, such as ``ecgstream-1@1a2b3c4d``: what a finding says of its model.

        The version is one of all graphs that serve.
        """
        graphs = "".join(self.spec.sha256[name] for name in GRAPHS)
        return f"{self.spec.name}@{hashlib.sha256(graphs.encode()).hexdigest()[:8]}"

    @property
    def beat_classes(self) -> tuple[str, ...]:
        """Names of the beat head's classes."""
        return tuple(self.spec.beat_classes)

    @property
    def acute_classes(self) -> tuple[str, ...]:
        """Names of the acute head's classes."""
        return tuple(self.spec.acute_classes)

    @property
    def rhythm_classes(self) -> tuple[str, ...]:
        """Names of the rhythm head's classes."""
        return tuple(self.spec.rhythm_classes)

    @property
    def thresholds(self) -> dict[str, float]:
        """Operating points: the probability below which a rhythm isn't named, where it has one."""
        return self.spec.thresholds

    @property
    def record_weights(self) -> dict[str, float]:
        """What the probability of each of CinC 2017's labels weighs where a whole recording gets one of them."""
        return self.spec.record_weights


def load_model(folder: Path, threads: int = 1) -> Model:
    """Load and check a model folder; raises `ModelError` naming the file, what it holds and what was expected."""
    path = folder / "model.json"
    if not path.is_file():
        raise ModelError(f"{folder}: not a model folder: no model.json in it")
    try:
        found_format = msgspec.json.decode(path.read_bytes(), type=Numbered).format
        if found_format != FORMAT:
            raise ModelError(f"{path}: format {found_format}, expected {FORMAT}")
        spec = msgspec.json.decode(path.read_bytes(), type=ModelSpec)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}") from error
    if (spec.fs_hz, spec.hop_s) != (128, 1):
        raise ModelError(f"{path}: {spec.fs_hz} Hz and a hop of {spec.hop_s} s, expected 128 Hz and 1 s")
    for field, stated, known in (
        ("measurements", spec.measurements, NAMES),
        ("beat_measurements", spec.beat_measurements, one_beat.NAMES),
    ):
        if tuple(stated) != known:
            differing = ", ".join(sorted(set(stated) ^ set(known))) or "their order"
            raise ModelError(f"{path}: {field} differ from what can be measured here: {differing}")
    _check_names(path, spec)
    for name, expected in spec.sha256.items():
        found = (
            hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if (folder / name).is_file()
            else "no such file"
        )
        if found != expected:
            raise ModelError(f"{folder / name}: sha256 {found}, expected {expected}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graphs = {}
    for name in GRAPHS:
        if name not in spec.sha256:
            raise ModelError(f"{path}: sha256 has no {name}, expected all of {', '.join(GRAPHS)}")
        try:
            graphs[name] = ort.InferenceSession(
                str(folder / name), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's have no ancestor of their own
            raise ModelError(f"{folder / name}: expected a graph that ONNX Runtime loads: {error}") from error
    _check_shapes(path, spec, graphs)
    return Model(folder, spec, graphs)


def _check_names(path: Path, spec: ModelSpec) -> None:
    """Names that stand for rhythms, labels and files have to be some; `ModelError` names the field and the name."""
    for field, names, known in (
        ("thresholds", spec.thresholds, spec.rhythm_classes),
        ("record_weights", spec.record_weights, CINC_CLASSES),
        ("rhythm_offsets", spec.rhythm_offsets, CINC_CLASSES),
        ("sha256", spec.sha256, [*GRAPHS, WEIGHTS, *filter(FOLD.fullmatch, spec.sha256)]),
    ):
        unknown = ", ".join(sorted(set(names) - set(known)))
        if unknown:
            raise ModelError(f"{path}: {field}: unknown {unknown}")


def _check_shapes(path: Path, spec: ModelSpec, graphs: dict[str, ort.InferenceSession]) -> None:
    """What goes into the graphs and comes out, a stream, has to be as `model.json` has it; `ModelError` names graph and fields."""
    step, rhythm, acute = spec.fs_hz // spec.frame_samples, spec.rhythm, spec.acute
    beats, labels = len(spec.beat_classes), len(spec.rhythm_offsets)
    features = (rhythm.channels - spec.attentions) * (spec.attentions + 3)
    n_beat, n_window = len(spec.beat_measurements), len(spec.measurements)
    memories = {f"memory{i}": [1, reach, channels] for i, (channels, reach) in enumerate(spec.memories)}
    for graph, fields, expected in (
        ("encoder.onnx", "memories", memories),
        ("encoder.onnx", "rhythm.channels and frame_samples", {"rhythm": [step, rhythm.channels]}),
        ("encoder.onnx", "acute.channels and frame_samples", {"acute": [step, acute.channels]}),
        ("encoder.onnx", "beat_width and frame_samples", {"beat": [step, spec.beat_width]}),
        ("beat.onnx", "beat_width", {"told": [spec.beat_width]}),
        ("beat.onnx", "beat_measurements", {"measured": [n_beat]}),
        ("beat.onnx", "beat_classes", {"trees": [beats], "probabilities": [beats]}),
        ("beat-trees.onnx", "beat_measurements", {"measured": [n_beat]}),
        ("beat-trees.onnx", "beat_classes", {"probabilities": [beats]}),
        ("rhythm.onnx", "attentions and rhythm.channels", {"features": [features]}),
        ("rhythm.onnx", "rhythm_offsets", {"trees": [labels]}),
        ("rhythm.onnx", "rhythm_classes", {"probabilities": [len(spec.rhythm_classes)]}),
        ("trees.onnx", "measurements", {"measured": [n_window]}),
        ("trees.onnx", "rhythm_offsets", {"probabilities": [labels]}),
        ("acute.onnx", "acute.frames and acute.channels", {"values": [acute.frames, acute.channels]}),
        ("acute.onnx", "acute_classes", {"probabilities": [len(spec.acute_classes)]}),
    ):
        session = graphs[graph]
        found = {x.name: list(x.shape[1:]) for x in (*session.get_inputs(), *session.get_outputs())}
        stated = {name: shape for name, shape in found.items() if name in expected}
        if fields == "memories":
            stated = {name: shape for name, shape in found.items() if name.startswith("memory")}
        if stated != expected:
            raise ModelError(f"{path}: {fields}: {graph} has {stated}, expected {expected} by this")
