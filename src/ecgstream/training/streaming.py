"""The network as it is served: one second in, eight frames out, the last inputs of each convolution carried along.

Every convolution of kernel `k` and stride `s` remembers its last `k - s` inputs. Fed from zeros, the
frames that would read before the stream's start are void; all later ones are those of the unpadded encoder on the signal from sample
`FIRST` on (so that frames end on multiples of 16 samples), each computed once.

Between the convolutions a signal stands as (n, 1, time, channels): what is remembered is put before it as one
block, which took a third of the graph's time where the channels stood before the time. What to remember next is the end of the line that
a convolution reads; the line is given whole, since who keeps its end copies that anyway.
"""

import math

import torch
from torch import Tensor, nn

from ecgstream.training.calibrate import FLOOR, MEMBER, Calibration
from ecgstream.training.network import (
    BEAT_TREES,
    BEAT_WEIGHT,
    FRAME,
    FS_HZ,
    S_FOR_N,
    AcuteHead,
    Network,
    Residual,
    Separable,
)


def reach(convolution: nn.Conv2d) -> int:
    """How many past inputs a convolution keeps."""
    return convolution.kernel_size[1] - convolution.stride[1]


class StreamingNetwork(nn.Module):
    """`forward(x, *memories)`: scaled signal (n, 1, 128 * seconds, 1) and what each convolution remembers, (n, 1, reach, channels) ->
    rhythm values, morphology frames, what the beat head is told (each (n, 8 * seconds, channels)), then what each convolution read,
    (n, 1, reach + time, channels): its last `reach` inputs are to be remembered."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.eval()

    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions that keep a memory, in the order of the signal."""
        return [
            m for m in self.network.encoder.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[1] > 1
        ]

    def memories(self, n: int) -> list[Tensor]:
        """Empty memories for `n` streams."""
        return [torch.zeros(n, 1, reach(c), c.in_channels) for c in self.convolutions()]

    def void_frames(self) -> tuple[int, int]:
        """How many of a stream's first morphology and context frames read before its start."""
        return tuple(-(-(field - FRAME) // FRAME) for field in self.network.receptive_fields())  # type: ignore[return-value]

    def forward(self, x: Tensor, *memories: Tensor) -> tuple[Tensor, ...]:
        old = list(memories)
        read: list[Tensor] = []
        encoder = self.network.encoder
        x = _convolved(encoder.stem, self._line(x, old, read))
        for layer in encoder.levels:
            x = self._layer(x, layer, old, read)
        morphology = x
        for layer in encoder.context:
            x = self._layer(x, layer, old, read)
        told = self.network.beat.told(x.squeeze(1))
        return (self.network.rhythm.values(_channels_first(x)), morphology.squeeze(1), told, *read)

    def _layer(self, x: Tensor, layer: nn.Module, old: list[Tensor], read: list[Tensor]) -> Tensor:
        if isinstance(layer, Residual):
            line = self._line(x, old, read)
            centre = line[:, :, layer.crop : line.shape[2] - layer.crop]
            return centre + _convolved(layer.separable, line)
        assert isinstance(layer, Separable)
        return _convolved(layer, self._line(x, old, read))

    def _line(self, x: Tensor, old: list[Tensor], read: list[Tensor]) -> Tensor:
        read.append(torch.cat([old.pop(0), x], dim=2))
        return read[-1]


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _convolved(layer: nn.Module, line: Tensor) -> Tensor:
    convolved: Tensor = layer(_channels_first(line))
    return convolved.permute(0, 2, 3, 1)


class BeatVerdict(nn.Module):
    """What the beat head is told (n, width), what was measured (n, figures) and what the trees say (n, classes) of some beats -> the
    opinion of both, probabilities (n, classes).

    The weights that the classes had in the loss are taken back; what isn't V is shared between N and S by `S_FOR_N`.
    """

    weighted: Tensor
    odds: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.head = network.beat.eval()
        self.register_buffer("weighted", torch.log(torch.tensor(BEAT_WEIGHT)))
        self.register_buffer("odds", torch.tensor((1.0, S_FOR_N)))

    def forward(self, told: Tensor, measured: Tensor, trees: Tensor) -> Tensor:
        logs = torch.log_softmax(self.head.classified(told, measured) - self.weighted, 1).clamp(
            min=math.log(FLOOR)
        )
        p = torch.softmax((1.0 - BEAT_TREES) * logs + BEAT_TREES * torch.log(trees.clamp(min=FLOOR)), 1)
        others, v = p[:, :2] * self.odds, p[:, 2:]
        return torch.cat([(1.0 - v) * others / others.sum(1, keepdim=True).clamp(min=1e-9), v], 1)


class RhythmVerdict(nn.Module):
    """What the rhythm head is told of a window (n, features) and what the trees say of it (n, labels) -> the opinion of both,
    probabilities (n, rhythms): `Calibration.of` as a graph."""

    member: Tensor
    offsets: Tensor

    def __init__(self, network: Network, calibration: Calibration) -> None:
        super().__init__()
        self.head, self.calibration = network.rhythm.eval(), calibration
        self.register_buffer("member", torch.tensor(MEMBER, dtype=torch.float32))
        self.register_buffer("offsets", torch.tensor(calibration.offsets))

    def forward(self, features: Tensor, trees: Tensor) -> Tensor:
        logs = torch.log_softmax(self.head.classify(features), 1).clamp(min=math.log(FLOOR))
        others = (self.member.T[None] - 1.0) * 1e4  # 0 for a label's rhythms
        labels = torch.logsumexp(logs[:, None, :] + others, 2)
        trees = torch.log(trees.clamp(min=FLOOR))
        pooled = self.calibration.network * labels + self.calibration.trees * trees + self.offsets
        within = logs - labels @ self.member.T
        return torch.exp(torch.log_softmax(pooled, 1) @ self.member.T + within)


class AcutePool(nn.Module):
    """The last morphology frames (n, frames, channels) and the signal's level (n,) -> probabilities (n, classes).

    `AcuteHead` on frames as a stream holds them. Mean and spread are products: ONNX Runtime's means over the middle axis
    differ in the last bit between one stream and many.
    """

    def __init__(self, head: AcuteHead, temperature: float) -> None:
        super().__init__()
        self.head, self.temperature = head.eval(), temperature

    def forward(self, values: Tensor, level: Tensor) -> Tensor:
        project = self.head.project
        shown = torch.relu(nn.functional.linear(values, project.weight[:, :, 0], project.bias))
        share = shown.new_full((1, shown.shape[1]), 1.0 / shown.shape[1])
        mean = share @ shown
        deviation = shown - mean
        spread = torch.sqrt(share @ (deviation * deviation) + 1e-6)
        told = torch.cat([mean[:, 0], spread[:, 0], shown.amax(1), level.unsqueeze(1)], dim=1)
        return torch.softmax(self.head.classify(told) / self.temperature, 1)


def example_block(n: int) -> Tensor:
    """One second of signal for `n` streams, as the exporter wants it."""
    return torch.randn(n, 1, FS_HZ, 1)
