"""The network: one encoder that convolves each sample once, three heads on its frames.

    signal (128 Hz, scaled)                                     1 channel
      stem      conv 15, stride 2                       64 Hz   32
      level 1   separable 9, stride 2; residual x2      32 Hz   64
      level 2   separable 9, stride 2; residual x2      16 Hz   128
      level 3   separable 7, stride 2; residual x2       8 Hz   192   -> morphology frames (acute head)
      context   separable 5, 9, 13 (residual)    8 Hz   192   -> context frames (beat and rhythm heads)

Nothing is padded, so a frame depends on its receptive field alone and not on the window it is seen from: a stream that keeps the
last inputs of each convolution computes the same frames, each once. A residual block adds the centre of its
input. The heads of beats are read at the frames of the R peaks; the rhythm head pools the frames of a window (softmax
attention, mean, spread and maximum), the acute head those of its last seconds.

Channels stand as (n, channels, 1, time) because a depthwise `Conv2d` of kernel (1, k) in channels-last memory is many
times faster on a CPU than the same `Conv1d`. Training speed on a CPU also decides two other things: long kernels take the place of dilated
ones of the same reach, and dropout drops whole channels (one draw each instead of one a value).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgstream.measurements import one_beat
from ecgstream.whole_record import SILENCE_S

BEATS = ("N", "S", "V")
BEAT_WEIGHT = (1.0, 2.5, 1.5)  # in the loss; taken back when the network serves
BEAT_TREES = 0.3  # of the opinion on a beat, by logarithms; the rest is the network's
S_FOR_N = 1.5  # what the odds of S against N are multiplied by when it serves: so as many are called S as are, of patients not learnt from
ACUTE = ("organised", "vt", "vf", "asystole", "noise")
RHYTHMS = (
    "sinus",
    "af",
    "svt",
    "bigeminy",
    "trigeminy",
    "idioventricular",
    "junctional",
    "block",
    "paced",
    "vt",
    "other",
    "noise",
)
FS_HZ = 128
FRAME = 16  # samples a frame
SILENCE = SILENCE_S * FS_HZ  # before and after a record that stands alone
FIRST = 1  # the sample of a stream at which its first frame that reads real signal begins: frames end on multiples of FRAME
SCALE_FLOOR_UV = 10.0
BOUND = 4.0  # spreads from the mean, of what is measured of a beat
LOGIT_BOUND = 20.0  # of the attention: its exponentials add up in float32


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    stem: int = 32
    levels: tuple[int, ...] = (64, 128, 192)
    kernels: tuple[int, ...] = (9, 9, 7)
    residuals: int = 2
    context_kernels: tuple[int, ...] = (5, 9, 13)
    dropout: float = 0.1


class Separable(nn.Module):
    """Depthwise convolution along time, then pointwise, batch norm and (but for `linear`) ReLU. Unpadded."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, (1, kernel), (1, stride), groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = torch.relu(self.norm(self.pointwise(self.depthwise(x))))
        return activated


class Residual(nn.Module):
    """`x + separable(x)` on the centre of `x`: both ends lose `(kernel - 1) / 2` samples."""

    def __init__(self, channels: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.crop = (kernel - 1) // 2
        self.separable = Separable(channels, channels, kernel)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x[..., self.crop : x.shape[-1] - self.crop] + self.dropout(self.separable(x))
        return result


class Encoder(nn.Module):
    """Signal to frames. `forward` takes float32 (n, 1, 1, samples) and gives morphology and context frames (n, C, 1, frames)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, shape.stem, (1, 15), (1, 2), bias=False), nn.BatchNorm2d(shape.stem), nn.ReLU()
        )
        levels: list[nn.Module] = []
        channels = shape.stem
        for out, kernel in zip(shape.levels, shape.kernels, strict=True):
            levels.append(Separable(channels, out, kernel, stride=2))
            levels.extend(Residual(out, kernel, shape.dropout) for _ in range(shape.residuals))
            channels = out
        self.levels = nn.Sequential(*levels)
        self.context = nn.Sequential(
            *(Residual(channels, kernel, shape.dropout) for kernel in shape.context_kernels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        morphology = self.levels(self.stem(x))
        return morphology, self.context(morphology)


class RhythmHead(nn.Module):
    """Frames of a window to rhythm logits: softmax attention, mean, spread and maximum over the frames, then two layers.

    `values` is what each frame contributes; it depends on the frame alone, so a stream computes it once. `pooled` is made of sums
    and maxima over frames, so that a stream adds up seconds (`ecgstream.pooling`); hence the bound on the attention's logits.
    """

    def __init__(
        self, channels: int, n_classes: int, attentions: int = 4, width: int = 96, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.attentions = attentions
        self.project = nn.Conv2d(channels, attentions + width, 1)
        self.classify = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width * (attentions + 3), 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, n_classes),
        )

    def values(self, frames: Tensor) -> Tensor:
        """(n, C, 1, frames) -> (n, frames, attentions + width): attention logits, then values."""
        projected = self.project(frames).squeeze(2).transpose(1, 2)
        logits = projected[..., : self.attentions].clamp(-LOGIT_BOUND, LOGIT_BOUND)
        return torch.cat([logits, torch.relu(projected[..., self.attentions :])], dim=2)

    def pool(self, values: Tensor, known: Tensor) -> Tensor:
        """(n, frames, attentions + width) and a mask (n, frames), 1.0 where the frame is known -> logits (n, classes)."""
        logits: Tensor = self.classify(self.pooled(values, known))
        return logits

    def pooled(self, values: Tensor, known: Tensor) -> Tensor:
        """What is told of a window: attended values, mean, spread and maximum, (n, width * (attentions + 3))."""
        a = self.attentions
        mask = known.unsqueeze(2)
        weight = torch.softmax(values[..., :a] - 1e4 * (1.0 - mask), dim=1)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1.0)
        averages = torch.cat([weight, share], dim=2).transpose(1, 2) @ values
        attended, mean = averages[:, :-1, a:].flatten(1), averages[:, -1:]
        deviation = values - mean
        spread = torch.sqrt((share.transpose(1, 2) @ (deviation * deviation)).squeeze(1) + 1e-6)
        peak = (values * mask).amax(1)  # what counts of it is never negative
        return torch.cat([attended, mean[:, 0, a:], spread[:, a:], peak[:, a:]], dim=1)


class AcuteHead(nn.Module):
    """The last seconds' morphology frames (n, C, frames) to acute-rhythm logits: mean, spread and maximum, then two layers.

    The frames are of a scaled signal, so its level (n,), ln(scale / 100 µV), comes beside them: asystole is
    a line of little voltage.
    """

    def __init__(self, channels: int, n_classes: int, width: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.project = nn.Conv1d(channels, width, 1)
        self.classify = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(3 * width + 1, 64), nn.ReLU(), nn.Linear(64, n_classes)
        )

    def forward(self, frames: Tensor, level: Tensor) -> Tensor:
        values = torch.relu(self.project(frames))
        mean = values.mean(2)
        spread = torch.sqrt(((values - mean.unsqueeze(2)) ** 2).mean(2) + 1e-6)
        logits: Tensor = self.classify(torch.cat([mean, spread, values.amax(2), level.unsqueeze(1)], dim=1))
        return logits


class BeatHead(nn.Module):
    """A beat's context frame and what was measured of it (`ecgstream.measurements.one_beat`) to logits (n, classes).

    `told` is the frame's part; it depends on the frame alone. Figures are taken as so many spreads from their mean; one that isn't known is
    their mean, and said to be unknown.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, channels: int, n_figures: int, n_classes: int, width: int = 96, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.told = nn.Linear(channels, width)
        self.figures = nn.Linear(2 * n_figures, width, bias=False)
        self.classify = nn.Sequential(
            nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, n_classes)
        )
        self.register_buffer("mean", torch.zeros(n_figures))
        self.register_buffer("spread", torch.ones(n_figures))

    def measure_by(self, measured: Sequence[NDArray[np.float32]]) -> None:
        """Take mean and spread of the figures of some recordings' beats, (m, figures) each."""
        if measured:
            every = np.concatenate(measured).astype(np.float64)
            self.mean.copy_(torch.from_numpy(np.nanmean(every, axis=0)))
            self.spread.copy_(torch.from_numpy(np.nanstd(every, axis=0) + 1e-3))

    def classified(self, told: Tensor, measured: Tensor) -> Tensor:
        """(n, width) and (n, figures), NaN where unknown -> logits (n, classes)."""
        known = ~torch.isnan(measured)
        figures = torch.where(known, (measured - self.mean) / self.spread, 0.0).clamp(-BOUND, BOUND)
        logits: Tensor = self.classify(told + self.figures(torch.cat([figures, known.float()], dim=1)))
        return logits

    def forward(self, frames: Tensor, measured: Tensor) -> Tensor:
        return self.classified(self.told(frames), measured)


class Network(nn.Module):
    """Encoder and heads."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        channels = self.shape.levels[-1]
        self.encoder = Encoder(self.shape)
        self.rhythm = RhythmHead(channels, len(RHYTHMS))
        self.acute = AcuteHead(channels, len(ACUTE))
        self.beat = BeatHead(channels, len(one_beat.NAMES), len(BEATS))

    def receptive_fields(self) -> tuple[int, int]:
        """Samples that one morphology frame and one context frame read."""
        field, step = 15, 2
        for kernel in self.shape.kernels:
            field += (kernel - 1) * step
            step *= 2
            field += self.shape.residuals * (kernel - 1) * step
        return field, field + sum((kernel - 1) * step for kernel in self.shape.context_kernels)


def running_scale(block_means: Tensor) -> Tensor:
    """Scale at the block borders from mean |x| of each 1-s block: (n, blocks) -> (n, blocks + 1), µV, causal.

    The scale at a block's end is the mean of the last five blocks (as many as there are), at least 10 µV; at the
    stream's start it is the first block's. Between borders it runs straight.
    """
    n, blocks = block_means.shape
    total = torch.cumsum(torch.cat([block_means.new_zeros(n, 1), block_means], 1), 1)
    last = torch.arange(1, blocks + 1, device=block_means.device)
    first = (last - 5).clamp(min=0)
    mean = ((total[:, last] - total[:, first]) / (last - first)).clamp(min=SCALE_FLOOR_UV)
    return torch.cat([mean[:, :1], mean], 1)


def scaled(signal_uv: Tensor) -> Tensor:
    """A stream's signal over its running scale: (n, 128 * blocks) µV -> the same shape, about 1, within ±20."""
    n, samples = signal_uv.shape
    blocks = samples // FS_HZ
    scale = running_scale(signal_uv.abs().reshape(n, blocks, FS_HZ).mean(2))
    slope = torch.arange(FS_HZ, device=signal_uv.device, dtype=signal_uv.dtype) / FS_HZ
    line = scale[:, :-1, None] + (scale[:, 1:, None] - scale[:, :-1, None]) * slope
    return (signal_uv / line.reshape(n, samples)).clamp(-20.0, 20.0)


def alone(signal_uv: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Records that stand alone, scaled, in silence; and up to where frames of them may read.

    signal_uv: (n, 128 * blocks), each record at the front, 0 behind it; length: (n,) samples. The signals grow by `SILENCE` on either
    side, but for the `FIRST` sample, so that frames fall as in a stream. Frames that look past an end read silence there: the beats
    next to it are seen whole.
    """
    in_silence = nn.functional.pad(scaled(signal_uv), (SILENCE - FIRST, SILENCE + FIRST))
    return in_silence, length + 2 * SILENCE - FIRST
