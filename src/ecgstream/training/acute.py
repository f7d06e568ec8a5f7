"""The acute head: trained on the frozen morphology frames of VFDB, MIT-BIH and SVDB, with patient-wise folds on VFDB.

VFDB shows the rhythms that kill, MIT-BIH and SVDB how fast and how ectopic an organised one can be. The encoder has not
seen VFDB. For each fold a head is trained without the fold's patients and kept in the model folder, so that any figure on VFDB, also one
of the whole alarm chain, can be taken with a head (and an encoder) that never met the patient. The head that serves is trained on all
of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ecgstream.classifier import level_of
from ecgstream.patterns import runs_of
from ecgstream.training.corpus import Packed
from ecgstream.training.examples import Augmentation, vary
from ecgstream.training.network import ACUTE, FIRST, FRAME, FS_HZ, SCALE_FLOOR_UV, AcuteHead, Network, scaled
from ecgstream.training.splits import MITDB, SVDB, VFDB, VFDB_FOLDS, fold_of

WINDOW = 5 * FS_HZ
N_LINES, LINE_UV = 48, (2.0, 40.0)
EVERY = {VFDB: 2, MITDB: 5, SVDB: 10}  # one in so many organised windows is learnt
ACUTE_RHYTHM = {
    "VT": "vt", "VF": "vf", "VFIB": "vf", "VFL": "vf", "ASYS": "asystole", "NOISE": "noise",
}  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """Frames of 5-s windows: float16 (n, channels, frames), level (n,), classes, records."""

    frames: NDArray[np.float16]
    level: NDArray[np.float32]
    classes: NDArray[np.int64]
    records: NDArray[np.str_]
    database: str

    def chosen(self, mask: NDArray[np.bool_]) -> "Windows":
        """Those where `mask` (n,) is true."""
        return Windows(
            self.frames[mask], self.level[mask], self.classes[mask], self.records[mask], self.database
        )


def n_window_frames(field: int) -> int:
    """Frames whose receptive field lies within the window."""
    return (WINDOW - field) // FRAME + 1


@torch.no_grad()
def frames_of(network: Network, signal: NDArray[np.float32], device: torch.device) -> NDArray[np.float16]:
    """Morphology frames of a recording as a stream gives them: float16 (channels, frames); frame i ends with sample 16 i + field."""
    whole = signal[: signal.size // FS_HZ * FS_HZ]
    x = scaled(torch.from_numpy(whole).to(device)[None])[:, None, None, FIRST:]
    network.eval()
    morphology, _ = network.encoder(x.contiguous(memory_format=torch.channels_last))
    frames: NDArray[np.float16] = morphology[0, :, 0].half().cpu().numpy()
    return frames


def acute_windows(record: Packed, hop: int = FS_HZ) -> list[tuple[int, int]]:
    """(end sample, class) of each 5-s window of a record that is one acute rhythm throughout.

    Where beats alone are annotated, all is organised but for runs of three or more ventricular or fusion beats.
    """
    whole = [(0, record.signal.size, "N")] if record.beats.size else []
    out = []
    for a, b, note in record.rhythms or whole:
        name = ACUTE_RHYTHM.get(note, "organised")
        out += [(end, ACUTE.index(name)) for end in range(a + 5 * FS_HZ, b + 1, hop)]
    if record.rhythms:
        return out
    runs = runs_of("V", np.where(record.kinds == "F", "V", record.kinds).tolist())
    spans = [(record.beats[run[0]], record.beats[run[-1]]) for run in runs if len(run) >= 3]
    return [
        (end, k) for end, k in out if not any(a < end + FS_HZ / 2 and b > end - 5.5 * FS_HZ for a, b in spans)
    ]


def windows_of(
    network: Network, record: Packed, signal: NDArray[np.float32], device: torch.device, every: int
) -> Windows:
    """The record's 5-s windows of one rhythm; one in `every` organised ones."""
    field, _ = network.receptive_fields()
    n_frames, frames = n_window_frames(field), frames_of(network, signal, device)
    kept, scales, classes = [], [], []
    for i, (end, k) in enumerate(acute_windows(record)):
        last = (end - field) // FRAME  # index of the last frame that ends by `end`
        if (k == 0 and i % every) or last - n_frames + 1 < 0 or last >= frames.shape[1]:
            continue
        kept.append(frames[:, last - n_frames + 1 : last + 1])
        scales.append(max(SCALE_FLOOR_UV, float(np.abs(signal[end - WINDOW : end]).mean())))
        classes.append(k)
    return Windows(
        np.stack(kept) if kept else np.empty((0, frames.shape[0], n_frames), np.float16),
        level_of(np.array(scales, np.float32)),
        np.array(classes, np.int64),
        np.full(len(classes), record.record),
        record.database,
    )


def joined(parts: list[Windows]) -> Windows:
    """Windows of one database together."""
    return Windows(
        np.concatenate([p.frames for p in parts]),
        np.concatenate([p.level for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.records for p in parts]),
        parts[0].database,
    )


def flat_lines(noises: list[NDArray[np.float32]], seed: int) -> list[Packed]:
    """Asystole as an electrode sees it, of which VFDB has little: recorded noise of small voltage, a minute each."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(N_LINES):
        noise = noises[i % len(noises)]
        start = int(rng.integers(max(1, noise.size - 60 * FS_HZ)))
        part = noise[start : start + 60 * FS_HZ]
        level_uv = np.exp(rng.uniform(*np.log(LINE_UV)))
        signal = np.rint(part * level_uv / (np.abs(part).mean() + 1e-3)).astype(np.int16)
        rhythm = [(0, signal.size, "ASYS")]
        lines.append(
            Packed("nstdb", f"line{i}", 0, signal, np.empty(0), np.empty(0, "U1"), rhythm, np.empty(0))
        )
    return lines


def collect(
    network: Network,
    records: list[Packed],
    noises: list[NDArray[np.float32]],
    copies: int,
    seed: int,
    device: torch.device,
) -> Windows:
    """Windows of many records, as they are and in `copies` noisy, turned or filtered versions."""
    rng = np.random.default_rng(seed)
    parts = []
    for record in tqdm(records, desc="acute windows", unit="lead", leave=False):
        clean = record.signal.astype(np.float32)
        for copy in range(copies + 1):
            x = clean if copy == 0 else vary(clean, noises, rng, Augmentation(snr_db=(6.0, 24.0)))
            parts.append(windows_of(network, record, x, device, EVERY.get(record.database, 1)))
    return joined(parts)


def fit(parts: list[Windows], seed: int, device: torch.device, epochs: int) -> AcuteHead:
    """Train one head; every (record, class) weighs by the root of its length, so that no long record rules."""
    torch.manual_seed(seed)
    classes = np.concatenate([p.classes for p in parts])
    groups = np.concatenate([np.char.add(p.records.astype(np.str_), f"/{p.database}") for p in parts])
    weight = np.zeros(len(classes))
    for k in range(len(ACUTE)):
        mine = classes == k
        _, inverse, counts = np.unique(groups[mine], return_inverse=True, return_counts=True)
        w = 1 / np.sqrt(counts[inverse]) if mine.any() else np.empty(0)
        weight[mine] = w / max(w.sum(), 1e-9) * (2.0 if k == 0 else 1.0)
    frames = torch.from_numpy(np.concatenate([p.frames for p in parts]))
    level = torch.from_numpy(np.concatenate([p.level for p in parts]))
    target = torch.from_numpy(classes)
    head = AcuteHead(frames.shape[1], len(ACUTE)).to(device)
    n = min(len(classes), 60_000)
    batch = min(512, n)
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (n // batch))
    generator = torch.Generator().manual_seed(seed)
    p = torch.from_numpy(weight / weight.sum())
    head.train()
    for _ in range(epochs):
        order = torch.multinomial(p, n // batch * batch, replacement=True, generator=generator)
        for chosen in order.reshape(-1, batch):
            logits = head(frames[chosen].float().to(device), level[chosen].to(device))
            loss = nn.functional.cross_entropy(logits, target[chosen].to(device), label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return head.eval()


@torch.no_grad()
def predict(head: AcuteHead, windows: Windows, device: torch.device) -> NDArray[np.float32]:
    """Logits (n, classes)."""
    out = [
        head(
            torch.from_numpy(windows.frames[i : i + 4096]).float().to(device),
            torch.from_numpy(windows.level[i : i + 4096]).to(device),
        ).cpu()
        for i in range(0, len(windows.frames), 4096)
    ]
    return torch.cat(out).numpy() if out else np.empty((0, len(ACUTE)), np.float32)


def train_acute(
    network: Network,
    vfdb: list[Packed],
    others: Sequence[list[Packed]],
    noises: list[NDArray[np.float32]],
    seed: int,
    device: torch.device,
    epochs: int = 12,
) -> tuple[AcuteHead, list[AcuteHead], tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]]:
    """The serving head, the folds' heads, and (logits, classes, records) of VFDB's first lead out of fold.

    `others`: the learnt records of MIT-BIH, and of SVDB.
    """
    known = [collect(network, records, noises, 1, seed, device) for records in others if records]
    theirs = collect(network, vfdb, noises, 2, seed, device)
    known.append(collect(network, flat_lines(noises, seed), [], 0, seed, device))
    fold = np.array([fold_of(VFDB, r) for r in theirs.records])
    heads, logits, truth, names = [], [], [], []
    for k in tqdm(range(VFDB_FOLDS), desc="acute folds"):
        head = fit([*known, theirs.chosen(fold != k)], seed, device, epochs)
        heads.append(head)
        for record in vfdb:
            if record.lead == 0 and fold_of(VFDB, record.record) == k:
                windows = windows_of(network, record, record.signal.astype(np.float32), device, every=1)
                logits.append(predict(head, windows, device))
                truth.append(windows.classes)
                names.append(windows.records)
    serving = fit([*known, theirs], seed, device, epochs)
    return serving, heads, (np.concatenate(logits), np.concatenate(truth), np.concatenate(names))


def temperature_of(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017, arXiv:1706.04599), by a search over a grid."""
    x, y = torch.from_numpy(logits), torch.from_numpy(classes)
    grid = np.exp(np.linspace(np.log(0.4), np.log(4.0), 60))
    return float(min(grid, key=lambda t: float(nn.functional.cross_entropy(x / t, y))))


def summary(
    logits: NDArray[np.float32], classes: NDArray[np.int64], records: NDArray[np.str_]
) -> dict[str, float]:
    """Window-wise sensitivities and specificity of "shockable" (VT or VF) out of fold."""
    said = np.argmax(logits, 1)
    shock = np.isin(said, [ACUTE.index("vt"), ACUTE.index("vf")])
    share = {
        f"{name}_called_shockable": float(shock[classes == k].mean())
        for k, name in enumerate(ACUTE)
        if (classes == k).any()
    }
    right = {
        f"{name}_right": float((said[classes == k] == k).mean())
        for k, name in enumerate(ACUTE)
        if (classes == k).any()
    }
    return {k: round(v, 4) for k, v in (share | right).items()} | {
        "windows": len(classes),
        "records": len(set(records)),
    }
