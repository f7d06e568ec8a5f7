"""A short recording as one window: all its frames at once, as the CinC 2017 protocol has it."""

import numpy as np
from numpy.typing import NDArray

from ecgstream.classifier import Scorer
from ecgstream.measurements import measure
from ecgstream.model_folder import Model
from ecgstream.pooling import features

SILENCE_S = 3  # before and after it


def score_record(
    model: Model, signal_uv: NDArray[np.float32], peaks: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Rhythm probabilities of a short recording (float32 (n,), filtered, 128 Hz, µV) with R peaks at samples `peaks` (m,), float32
    (classes,); NaN where it is too short.

    It stands in silence, as in training (`training.network.alone`), so that the beats next to its ends are seen whole.
    """
    spec = model.spec
    if signal_uv.size < spec.beat_field_samples:
        return np.full(len(spec.rhythm_classes), np.nan, np.float32)
    n_seconds = -(-signal_uv.size // spec.fs_hz) + SILENCE_S
    line = np.zeros(n_seconds * spec.fs_hz, np.float32)
    line[: signal_uv.size] = signal_uv
    scorer = Scorer(model, 1)
    slot = np.zeros(1, np.int64)
    values = [scorer.encode(slot, second)[0][0] for second in line.reshape(n_seconds, 1, spec.fs_hz)]
    silent_frames = SILENCE_S * spec.fs_hz // spec.frame_samples
    first = -(-(spec.beat_field_samples - spec.frame_samples) // spec.frame_samples) - silent_frames
    last = signal_uv.size // spec.frame_samples + silent_frames
    told = features(np.concatenate(values)[first:last], spec.attentions)
    (trees,) = model.graphs["trees.onnx"].run(None, {"measured": measure(signal_uv, peaks)[None]})
    (probabilities,) = model.graphs["rhythm.onnx"].run(None, {"features": told[None], "trees": trees})
    rhythm: NDArray[np.float32] = probabilities[0]
    return rhythm
