"""What a training run is made of, checked as it is read; and the folder of a run, which belongs to its settings and records.

Stands apart from `learn`, as the command line lists the settings and torch takes seconds to import.
"""

import os
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from ecgstream.training.network import Shape

MAX_SEED = 2**32 - 1
MAX_WEIGHT = 1e6  # holds off infinity
NAMED = 3  # of the records that differ


class ConfigError(ValueError):
    """A configuration, or a folder, that can't be used; names the field or the file."""


class Config(Struct, forbid_unknown_fields=True):
    """What a run is made of; kept in the model folder.

    In a share `ectopy` of the normal recordings ectopic beats are made, which weigh `made_weight` beside those annotated. From epoch
    `join_epoch` on the records that calibration was kept for are learnt, too: the network as it was before then is what
    calibrates. With `join_epoch` at `epochs` or beyond the network never learns them.
    """

    seed: Annotated[int, Meta(ge=0, le=MAX_SEED, description="of weights, order and augmentation")] = 1
    epochs: Annotated[int, Meta(ge=1, description="how often the recordings of CinC 2017 are learnt")] = 26
    join_epoch: Annotated[
        int, Meta(ge=1, description="epochs before the records kept for calibration are learnt, too")
    ] = 20
    n_cinc: Annotated[int, Meta(ge=1, description="recordings of CinC 2017 in a batch")] = 32
    n_annotated: Annotated[int, Meta(ge=0, description="crops of MIT-BIH and SVDB in a batch")] = 20
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="AdamW's, at its highest")] = 2e-3
    weight_decay: Annotated[float, Meta(ge=0, le=MAX_WEIGHT, description="AdamW's")] = 0.03
    averaging: Annotated[
        float, Meta(ge=0, lt=1, description="how much of the averaged weights stays at each step")
    ] = 0.999
    share_weight: Annotated[
        float, Meta(ge=0, le=MAX_WEIGHT, description="of annotated rhythms in the loss")
    ] = 0.5
    beat_weight: Annotated[float, Meta(ge=0, le=MAX_WEIGHT, description="of beats in the loss")] = 0.7
    ectopy: Annotated[
        float, Meta(ge=0, le=1, description="share of normal recordings in which ectopic beats are made")
    ] = 0.4
    made_weight: Annotated[
        float, Meta(ge=0, le=MAX_WEIGHT, description="of made beats beside annotated ones")
    ] = 0.8
    acute_epochs: Annotated[int, Meta(ge=1, description="epochs of the acute head")] = 12
    n_trees: Annotated[int, Meta(ge=1, description="boosted trees with a say on rhythms")] = 300
    n_beat_trees: Annotated[int, Meta(ge=1, description="boosted trees with a say on beats")] = 60
    stem: Annotated[int, Meta(ge=1, description="channels of the first convolution")] = 32
    levels: Annotated[
        tuple[Annotated[int, Meta(ge=1)], ...],
        Meta(min_length=3, max_length=3, description="channels of the three levels"),
    ] = (64, 128, 192)
    dropout: Annotated[float, Meta(ge=0, lt=1, description="share of channels dropped while learning")] = 0.15

    def shape(self) -> "Shape":
        """The network's sizes."""
        from ecgstream.training.network import Shape

        return Shape(stem=self.stem, levels=self.levels, dropout=self.dropout)


def listed() -> Iterable[tuple[str, Any, str]]:
    """Each setting's name, default and meaning."""
    hints = typing.get_type_hints(Config, include_extras=True)
    for field in msgspec.structs.fields(Config):
        (meta,) = hints[field.name].__metadata__
        yield field.name, field.default, meta.description


def read_config(path: Path | None) -> Config:
    """The configuration in a YAML file, or the defaults; what can't be is refused with its name and value."""
    if path is None:
        return Config()
    import yaml

    try:
        stated = yaml.safe_load(path.read_text())
        return msgspec.convert({} if stated is None else stated, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_named(str(error), stated)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _named(message: str, stated: Any) -> str:
    """A message of msgspec with the field and the value before it."""
    found = re.search(r" - at `\$\.(\w+)", message)
    if found is None or not isinstance(stated, dict):
        return message
    return f"{found[1]}: {stated.get(found[1])!r}: {message[: found.start()]}"


def check_folder(path: Path) -> None:
    """`ConfigError` where `path` can't become a folder."""
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise ConfigError(f"{part}: a file, expected a folder")
            return


def claim(run: Path, settings: Any, learnt: Mapping[str, Iterable[str]]) -> None:
    """Make `run` the folder of runs of these settings (a `Struct`) on these records (names by database).

    `ConfigError` where it holds a run of others, or another process trains there. A run that kept no records, or no settings,
    is taken up.
    """
    check_folder(run)
    run.mkdir(parents=True, exist_ok=True)
    _hold(run)
    config, records = run / "config.json", run / "learnt.json"
    named = {database: sorted(set(names)) for database, names in learnt.items()}
    if config.exists() and _kept(config, type(settings)) != settings:
        raise ConfigError(
            f"{run}: holds a run of another configuration ({config.read_text()}); give another --run folder"
        )
    if records.exists():
        differing = _differing(_kept(records, dict[str, list[str]]), named)
        if differing:
            raise ConfigError(
                f"{run}: holds a run that learnt other records ({differing}); give another --run folder"
            )
    _keep(config, settings)
    _keep(records, named)


def _hold(run: Path) -> None:
    """Hold the folder against a second process until this one ends, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        os.close(lock)
        raise ConfigError(
            f"{run}: another process trains there; wait for it, or give another --run folder"
        ) from error
    except OSError:
        os.close(lock)  # a disk that knows no locks


def _keep(path: Path, what: Any) -> None:
    """Write a file of a run, which is never there in part."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.json.encode(what))
    unfinished.replace(path)


def _kept(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path}: not what a run keeps there ({error}); give another --run folder"
        ) from error


def _differing(then: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> str:
    """What was learnt then and isn't there now, and the other way round; empty where nothing differs."""
    told = []
    for database in sorted({*then, *now}):
        before, after = set(then.get(database, [])), set(now.get(database, []))
        for names, what in ((before - after, "missing now"), (after - before, "new")):
            if names:
                some = ", ".join(sorted(names)[:NAMED]) + (", …" if len(names) > NAMED else "")
                told.append(f"{database}: {len(names)} {what}, {some}")
    return "; ".join(told)
