"""The training loop: encoder, rhythm and beat heads together; then the acute head on the frozen frames.

The encoder never sees VFDB, so that the acute head's patient-wise folds on VFDB are honest without training five
encoders. Weights are averaged over the steps (Polyak & Juditsky 1992, doi:10.1137/0330046), and the average is what is kept.
"""

import copy
import json
import math
import pickle
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ecgstream import training_settings as settings
from ecgstream.training.calibrate import cinc_scores
from ecgstream.training.corpus import Packed
from ecgstream.training.examples import Annotated, Augmentation, Batch, Sampler
from ecgstream.training.losses import as_image, known_frames, loss_of
from ecgstream.training.network import FS_HZ, RHYTHMS, Network, alone
from ecgstream.training.splits import CINC2017
from ecgstream.training_settings import ConfigError

Config = settings.Config
Databases = Mapping[str, list[Packed]]
CALIBRATES = "calibrates.pt"  # the weights before the records for calibration were learnt


def prefetched(sampler: Sampler, plans: list[Any]) -> Iterator[Batch]:
    """The batches of `plans`, each made while the one before is learnt."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(sampler.batch, plan) for plan in plans[:2]]
        for plan in [*plans[2:], None, None]:
            if not waiting:
                break
            yield waiting.pop(0).result()
            if plan is not None:
                waiting.append(pool.submit(sampler.batch, plan))


class Averaged:
    """A network whose weights are the running average of another's."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards `network`; quickly at first."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for mine, theirs in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


def both(some: Databases, others: Databases) -> Databases:
    """The records of two splits together."""
    return {database: [*records, *others.get(database, [])] for database, records in some.items()}


def _with_beats(learnt: Databases) -> list[Packed]:
    return [r for database, records in learnt.items() if database != CINC2017 for r in records]


def check(config: Config, train_records: Databases) -> None:
    """`ConfigError` where there are too few records to fill a batch."""
    n = len(train_records[CINC2017])
    if n < config.n_cinc:
        raise ConfigError(f"n_cinc: {config.n_cinc} recordings a batch, but CinC 2017 has {n} to learn from")


def train(
    train_records: Databases,
    tune: Databases,
    noises: list[NDArray[np.float32]],
    config: Config,
    run: Path,
    device: torch.device,
) -> Network:
    """Train encoder, rhythm and beat heads; keeps `run/checkpoint.pt` each epoch and goes on from it. Returns the average."""
    check(config, train_records)
    torch.manual_seed(config.seed)
    network = Network(config.shape()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    cinc, kept = train_records[CINC2017], tune[CINC2017]
    everything = both(train_records, tune)
    known = {
        id(r): Annotated.of(r) for r in tqdm(_with_beats(everything), desc="measuring beats", leave=False)
    }
    samplers = [
        Sampler(
            learnt[CINC2017],
            [known[id(r)] for r in _with_beats(learnt)],
            noises,
            Augmentation(ectopy=config.ectopy),
            config.seed,
        )
        for learnt in (train_records, everything)
    ]
    network.beat.measure_by([a.measured for a in samplers[0].annotated])
    n_late = max(0, config.epochs - config.join_epoch)
    steps = (config.epochs - n_late) * (len(cinc) // config.n_cinc) + n_late * (
        (len(cinc) + len(kept)) // config.n_cinc
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, (i + 1) / 200) * 0.5 * (1 + math.cos(math.pi * min(1.0, i / steps)))
    )
    average = Averaged(network, config.averaging)
    first = _resume(run, network, average, optimizer, schedule, device)
    for epoch in range(first, config.epochs):
        if epoch == config.join_epoch:
            keep(average.network.state_dict(), run / CALIBRATES)
        sampler = samplers[epoch >= config.join_epoch]
        network.train()
        parts: dict[str, list[float]] = {"rhythm": [], "beat": [], "made_beat": []}
        plans = sampler.epoch(epoch, config.n_cinc, config.n_annotated)
        started = time.monotonic()
        for batch in tqdm(
            prefetched(sampler, plans),
            total=len(plans),
            desc=f"epoch {epoch + 1}/{config.epochs}",
            leave=False,
        ):
            loss, part = loss_of(network, batch, config, device)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update(network)
            for name, value in part.items():
                parts[name].append(value)
        line: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1)}
        line |= {name: round(float(np.mean(values)), 4) for name, values in parts.items()}
        if kept and epoch < config.join_epoch and ((epoch + 1) % 5 == 0 or epoch + 1 == config.join_epoch):
            line["tune"] = cinc_scores(kept, predict_records(average.network, kept, device))
        with (run / "progress.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        tqdm.write(json.dumps(line))
        _checkpoint(run, epoch + 1, network, average, optimizer, schedule, device)
    return average.network


def calibrating(network: Network, config: Config, run: Path) -> Network:
    """The network as it was before it learnt the records that are kept for calibration."""
    if config.join_epoch >= config.epochs:
        return network
    before = Network(config.shape())
    kept = loaded(run / CALIBRATES)
    try:
        before.load_state_dict(kept)
    except RuntimeError as error:
        raise ConfigError(
            f"{run / CALIBRATES}: weights of another network; give another --run folder"
        ) from error
    return before


def loaded(path: Path) -> Any:
    """What torch kept in a file, on the CPU; `ConfigError` where it isn't whole."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"{path}: can't be read whole; give another --run folder, or delete this one"
        ) from error


def _checkpoint(
    run: Path,
    epoch: int,
    network: Network,
    average: Averaged,
    optimizer: Any,
    schedule: Any,
    device: torch.device,
) -> None:
    state = {"epoch": epoch, "network": network.state_dict(), "average": average.network.state_dict(), "steps": average.steps,
             "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "random": random_state(device)}  # fmt: skip
    keep(state, run / "checkpoint.pt")


def keep(state: Any, path: Path) -> None:
    """Write what torch is to keep, never in part; `OSError` where it can't be written, such as on a full disk."""
    unfinished = path.with_suffix(".tmp")
    try:
        torch.save(state, unfinished)
    except RuntimeError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(f"{path}: can't be written whole; is the disk full?") from error
    unfinished.replace(path)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where torch's random numbers are, of which dropout is drawn: of the CPU and of the device."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _resume(
    run: Path, network: Network, average: Averaged, optimizer: Any, schedule: Any, device: torch.device
) -> int:
    path = run / "checkpoint.pt"
    if not path.exists():
        return 0
    state = loaded(path)
    try:
        network.load_state_dict(state["network"])
        average.network.load_state_dict(state["average"])
        average.steps = state["steps"]
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        epoch = int(state["epoch"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{path}: not a checkpoint of this network; give another --run folder") from error
    random = state.get("random", {})  # which earlier checkpoints lack
    if "cpu" in random:
        torch.set_rng_state(random["cpu"])
    if "cuda" in random and device.type == "cuda":
        torch.cuda.set_rng_state(random["cuda"], device)
    return epoch


@torch.no_grad()
def predict_records(
    network: Network, records: list[Packed], device: torch.device, batch: int = 64
) -> NDArray[np.float32]:
    """Rhythm probabilities of whole records, each as one window: float32 (records, classes); NaN where one is too short."""
    network.eval()
    _, field = network.receptive_fields()
    order = sorted(range(len(records)), key=lambda i: records[i].signal.size)
    out = np.full((len(records), len(RHYTHMS)), np.nan, np.float32)
    for i in range(0, len(order), batch):
        chosen = order[i : i + batch]
        sizes = [records[j].signal.size for j in chosen]
        signal = np.zeros((len(chosen), math.ceil(max(sizes) / FS_HZ) * FS_HZ), np.float32)
        for k, j in enumerate(chosen):
            signal[k, : sizes[k]] = records[j].signal
        x, length = alone(torch.from_numpy(signal).to(device), torch.tensor(sizes, device=device))
        _, context = network.encoder(as_image(x))
        mask = known_frames(length, x.shape[1], field)
        p = torch.softmax(network.rhythm.pool(network.rhythm.values(context), mask), 1).cpu().numpy()
        p[np.array(sizes) < field] = np.nan
        out[chosen] = p
    return out
