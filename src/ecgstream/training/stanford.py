"""Stanford's network for single-lead rhythm: a residual 1D CNN of 34 layers, implemented from the papers.

Rajpurkar et al. 2017 (arXiv:1707.01836) and Hannun et al. 2019 (doi:10.1038/s41591-018-0268-3): 33
convolutions and one dense layer; kernel 16; 32 filters, doubled every fourth block; 16 residual blocks of
two convolutions with pre-activation (batch norm, ReLU), subsampling by 2 in every second one, dropout 0.2
between the two; shortcuts are max-pooled by the same factor and padded with zeros where the filters double;
He initialisation. 30 s at 200 Hz (5,888 samples) give 23 outputs, one in 256 samples. It sees the whole
window ("same" padding), so each new second costs a whole pass.

It stands here as a yardstick: for the cost in `benchmarks/classifier.py`, and trained on the same split
(`ecgstream.evaluation.yardstick`). Departure: an even kernel has no middle; of the padding 7 samples stand before and 8 after.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ecgstream.training.learn import keep, loaded
from ecgstream.training_settings import ConfigError, claim

FS_HZ = 200
STEP = 256
WINDOW = 30 * FS_HZ // STEP * STEP
KERNEL = 16
BLOCKS = 16
FILTERS = 32


class SameConvolution(nn.Module):
    """Convolution of kernel 16 that keeps the length (divided by `stride`)."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, out, KERNEL, stride, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (KERNEL // 2 - 1, KERNEL // 2))
        result: Tensor = self.convolution(padded)
        return result


class Block(nn.Module):
    """Two convolutions beside a shortcut; `first` has no activation before its first convolution (the stem
    ends in one).
    """

    def __init__(
        self, channels: int, out: int, stride: int, *, first: bool = False, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.stride, self.extra = stride, out - channels
        self.before = nn.Identity() if first else nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())
        self.inner = nn.Sequential(
            SameConvolution(channels, out, stride),
            nn.BatchNorm1d(out),
            nn.ReLU(),
            nn.Dropout(dropout),
            SameConvolution(out, out),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.max_pool1d(x, self.stride) if self.stride > 1 else x
        if self.extra:
            shortcut = functional.pad(shortcut, (0, 0, 0, self.extra))
        inner: Tensor = self.inner(self.before(x))
        return shortcut + inner


class StanfordNetwork(nn.Module):
    """float32 (n, samples), samples a multiple of 256 -> logits (n, samples / 256, n_classes)."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConvolution(1, FILTERS), nn.BatchNorm1d(FILTERS), nn.ReLU())
        blocks, channels = [], FILTERS
        for k in range(BLOCKS):
            out = FILTERS * 2 ** (k // 4)
            blocks.append(Block(channels, out, 2 if k % 2 else 1, first=k == 0))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.after = nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())
        self.dense = nn.Linear(channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % STEP:
            raise ValueError(f"x: {x.shape[-1]} samples, expected a multiple of {STEP}")
        frames = self.after(self.blocks(self.stem(x[:, None])))
        logits: Tensor = self.dense(frames.transpose(1, 2))
        return logits


@dataclass(frozen=True)
class Recordings:
    """Short recordings of one label each: signals float32 (n,) at 200 Hz, any length; labels int64
    (n_records,).
    """

    signals: list[NDArray[np.float32]]
    labels: NDArray[np.int64]

    def normalised(self, mean: float, spread: float) -> "Recordings":
        """Less the training set's mean, over its spread: one pair for the whole data set, as the authors
        have it.
        """
        return Recordings([(s - np.float32(mean)) / np.float32(spread) for s in self.signals], self.labels)

    def digest(self) -> str:
        """A name for these recordings, by their lengths and labels."""
        sizes = np.array([s.size for s in self.signals], np.int64)
        hashed = hashlib.sha256(sizes.tobytes() + self.labels.tobytes()).hexdigest()
        return f"{len(sizes)} recordings, {hashed[:12]}"


class Settings(Struct, frozen=True):
    """What a run is made of."""

    seed: int
    epochs: int
    batch: int
    n_classes: int


def batch_of(signals: list[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Signals cut to whole steps and padded with zeros to the longest: (n, samples) and steps that are real
    (n, steps).
    """
    steps = [len(s) // STEP for s in signals]
    x = torch.zeros(len(signals), max(steps) * STEP)
    for row, signal, n in zip(x, signals, steps, strict=True):
        row[: n * STEP] = torch.from_numpy(signal[: n * STEP])
    real = torch.arange(max(steps))[None] < torch.tensor(steps)[:, None]
    return x, real


def fit(
    train: Recordings,
    tune: Recordings,
    n_classes: int,
    *,
    epochs: int,
    seed: int,
    device: torch.device,
    run: Path,
    batch: int = 32,
) -> StanfordNetwork:
    """Train as the authors did: each step has its record's label; Adam, 1e-3, a tenth of it when `tune`
    stops improving.

    Returns the network of the epoch with the lowest loss on `tune`. Keeps `run/checkpoint.pt` each epoch and goes on from it;
    `ConfigError` where `run` holds a run of other settings or recordings.
    """
    settings = Settings(seed, epochs, batch, n_classes)
    claim(run, settings, {"cinc2017": [train.digest(), tune.digest()]})
    torch.manual_seed(seed)
    network = StanfordNetwork(n_classes).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2)
    at = run / "checkpoint.pt"
    best, first, kept = float("inf"), 0, network.state_dict()
    if at.exists():
        state = loaded(at)
        try:
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            best, first, kept = state["best"], state["epoch"], state["kept"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{at}: not a checkpoint of this network; give another --run folder") from error
    for epoch in range(first, epochs):
        torch.manual_seed(1000 * seed + epoch)  # of the dropout
        network.train()
        batches = _batches(train, batch, np.random.default_rng([seed, epoch]))
        for rows in tqdm(batches, desc=f"epoch {epoch + 1}/{epochs}", leave=False):
            optimizer.zero_grad()
            _loss(network, train, rows, device).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.no_grad():
            parts = np.array_split(np.arange(len(tune.labels)), -(-len(tune.labels) // batch))
            loss = float(np.mean([float(_loss(network, tune, rows, device)) for rows in parts]))
        schedule.step(loss)
        told = f"epoch {epoch + 1}/{epochs}: loss on the records kept for stopping {loss:.4f}"
        tqdm.write(told, file=sys.stderr)
        if loss < best:
            best, kept = loss, {k: v.clone() for k, v in network.state_dict().items()}
        state = {"epoch": epoch + 1, "best": best, "kept": kept, "network": network.state_dict(),
                 "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}  # fmt: skip
        keep(state, at)
    network.load_state_dict(kept)
    return network.eval()


def _batches(data: Recordings, batch: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """All records once, in batches of similar length (padding costs as much as signal), both in random order."""
    order = rng.permutation(len(data.labels))
    pools = np.array_split(order, max(1, len(order) // (16 * batch)))
    alike = [pool[np.argsort([data.signals[i].size for i in pool], kind="stable")] for pool in pools]
    batches = [rows for pool in alike for rows in np.array_split(pool, -(-len(pool) // batch))]
    return [batches[i] for i in rng.permutation(len(batches))]


def _loss(
    network: StanfordNetwork, data: Recordings, rows: NDArray[np.int64], device: torch.device
) -> Tensor:
    x, real = batch_of([data.signals[i] for i in rows])
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = network(x.to(device)).float()
    truth = torch.from_numpy(data.labels[rows]).to(device)[:, None].expand(logits.shape[:2])
    each = functional.cross_entropy(logits.transpose(1, 2), truth, reduction="none")
    mask = real.to(device)
    return (each * mask).sum() / mask.sum()


@torch.no_grad()
def predict(
    network: StanfordNetwork, data: Recordings, prior: NDArray[np.float64], device: torch.device
) -> NDArray[np.float64]:
    """Record probabilities (n_records, n_classes): each step's over the class `prior`, then the share of
    steps won.

    The authors' entry to CinC 2017 gives a record the class that wins most steps after dividing by the prior.
    """
    out = np.zeros((len(data.signals), len(prior)))
    for i, signal in enumerate(data.signals):
        x, _ = batch_of([signal])
        share = torch.softmax(network(x.to(device))[0], dim=1).cpu().numpy() / prior
        out[i] = np.bincount(share.argmax(axis=1), minlength=len(prior)) / len(share)
    return out
