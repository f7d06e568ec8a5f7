"""What a batch costs: rhythms by what their databases know of them, beats at their frames."""

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgstream.training.examples import CINC, CROP, Batch
from ecgstream.training.network import BEAT_WEIGHT, FIRST, FRAME, RHYTHMS, SILENCE, Network, alone, scaled

if TYPE_CHECKING:
    from ecgstream.training.learn import Config

RHYTHM_WEIGHT = {"A": 1.5, "O": 1.2, "~": 1.5}
UNSEEN, UNMEASURED = 0.2, 0.1  # shares of the beats in training


def frame_of(position: NDArray[Any] | Tensor, field: int) -> Any:
    """The frame whose receptive field's centre is nearest a sample position, counted from the signal's start."""
    return (position - field / 2 + FRAME / 2) // FRAME


def known_frames(length: Tensor, samples: int, field: int) -> Tensor:
    """Mask of the frames that end within each signal's length: (n,) of `samples` samples -> (n, frames), for an unpadded encoder."""
    ends = torch.arange((samples - field) // FRAME + 1, device=length.device) * FRAME + field
    return (ends[None, :] <= length[:, None]).float()


def loss_of(
    network: Network, batch: Batch, config: "Config", device: torch.device
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch and its parts."""

    def as_tensor(a: NDArray[Any]) -> Tensor:
        return torch.from_numpy(a).to(device)

    signal, length, n = as_tensor(batch.signal), as_tensor(batch.length), batch.alone
    records, with_silence = alone(signal[:n, :CROP], length[:n])
    x, length = torch.cat([records, scaled(signal[n:])]), torch.cat([with_silence, length[n:]])
    _, field = network.receptive_fields()
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=_has_bfloat16(device)):
        _, context = network.encoder(as_image(x))
    context = context.float()
    mask = known_frames(length, x.shape[1], field)
    log_p = torch.log_softmax(network.rhythm.pool(network.rhythm.values(context), mask), 1)
    rhythm = _rhythm_loss(log_p, as_tensor(batch.rhythm), as_tensor(batch.share), config.share_weight)
    beats = as_tensor(batch.beats)
    made = beats[:, 0] < n
    frame = frame_of(beats[:, 1] + (SILENCE - FIRST) * made, field)
    inside = (frame >= 0) & (frame < context.shape[-1])
    beats, made, frame = beats[inside], made[inside], frame[inside].long()
    measured = as_tensor(batch.measured)[inside]
    logits = network.beat(*_partly(context[beats[:, 0], :, 0, frame], measured))
    weights = torch.tensor(BEAT_WEIGHT, device=device)[beats[:, 2]]
    each = weights * nn.functional.cross_entropy(logits, beats[:, 2], reduction="none")
    annotated_beat, made_beat = (
        (each * mine).sum() / (weights * mine).sum().clamp(min=1e-9) for mine in (~made, made)
    )
    beat = annotated_beat + config.made_weight * made_beat
    total = rhythm + config.beat_weight * beat
    return total, {
        "rhythm": float(rhythm.detach()),
        "beat": float(annotated_beat.detach()),
        "made_beat": float(made_beat.detach()),
    }


def _rhythm_loss(log_p: Tensor, right: Tensor, share: Tensor, share_weight: float) -> Tensor:
    """The mean over the examples: of those whose right classes are known, and of those whose rhythms' shares are."""
    weight = right @ torch.tensor(_class_weights(), device=right.device) / right.sum(1).clamp(min=1)
    partial = -torch.logsumexp(log_p + torch.log(right.clamp(min=1e-9)), 1) * (right.sum(1) > 0) * weight
    annotated = -(share * log_p).sum(1)
    return (partial.sum() + share_weight * annotated.sum()) / len(right)


def _partly(frames: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
    """Beats of which some are known by their frames alone, others by what was measured alone: neither may be leant on too much."""
    chance = torch.rand(len(frames), 1, device=frames.device)
    return torch.where(chance < UNSEEN, 0.0, frames), torch.where(chance > 1 - UNMEASURED, math.nan, measured)


@functools.cache
def _has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is arithmetic of the device's own; a CPU that has to emulate it takes eight times as long with it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()  # type: ignore[no-untyped-call]


def _class_weights() -> list[float]:
    weight = dict.fromkeys(RHYTHMS, 1.0)
    for label, w in RHYTHM_WEIGHT.items():
        weight |= dict.fromkeys(CINC[label], w)
    return [weight[r] for r in RHYTHMS]


def as_image(x: Tensor) -> Tensor:
    """(n, samples) as the encoder takes it."""
    return x[:, None, None, :].contiguous(memory_format=torch.channels_last)
