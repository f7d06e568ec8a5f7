"""Limits, priorities and kinds of alerts: the alarm table, and a device's own settings over it.

The table is a YAML file (`alarms.yaml`, packaged; another may be given). It is checked whole: an unknown
name, a value out of its range or a chain that bites its own tail is refused with the entry's name. A device's
settings (`ecgstream.messages.DeviceSettings`) change limits, switch kinds off or change priorities; a bad
entry is refused by name and whatever was in force stays.
"""

import hashlib
import math
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta, Struct

from ecgstream.messages import DeviceSettings, Priority

Seconds = Annotated[float, Meta(ge=0.0, le=604_800.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, Meta(ge=10.0, le=400.0)]
Count = Annotated[int, Meta(ge=2, le=100_000)]
Seen = Annotated[int, Meta(ge=2, le=60)]  # beats that the 30 s of a finding hold in any case from 120/min on


class LimitsError(ValueError):
    """An alarm table or a device's settings can't be; the text names the entry and the value."""


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds of `ecgstream.events`: seconds, beats per minute, numbers of beats, probabilities, voltages."""

    asystole_s: Annotated[float, Meta(ge=2.0, le=10.0)]
    pause_s: Annotated[float, Meta(ge=1.5, le=10.0)]
    extreme_bradycardia_bpm: Rate
    extreme_bradycardia_beats: Seen
    extreme_tachycardia_bpm: Rate
    extreme_tachycardia_beats: Seen
    low_rate_bpm: Rate
    high_rate_bpm: Rate
    rate_beats: Seen
    rate_hysteresis_bpm: Annotated[float, Meta(ge=0.0, le=50.0)]
    vt_beats: Annotated[int, Meta(ge=3, le=100)]
    vt_bpm: Rate
    vt_on: Share
    vt_off: Share
    vf_on: Share
    vf_off: Share
    asystole_veto: Share
    asystole_on: Share
    asystole_off: Share
    asystole_moves: Share
    burst_uv: Annotated[float, Meta(gt=0.0, le=100_000.0)]
    burst_ratio: Annotated[float, Meta(gt=1.0, le=100.0)]
    burst_s: Annotated[float, Meta(ge=0.0, le=30.0)]
    steady_beats: Annotated[int, Meta(ge=3, le=60)]
    steady_s: Annotated[float, Meta(gt=0.0, le=30.0)]
    steady_within: Annotated[float, Meta(gt=0.0, lt=1.0)]
    acute_lookback_s: Seconds
    v_run_beats: Annotated[int, Meta(ge=3, le=100)]
    beat_probability: Share
    svt_beats: Annotated[int, Meta(ge=3, le=100)]
    svt_bpm: Rate
    af_on: Share
    af_off: Share
    bigeminy_on: Share
    bigeminy_off: Share
    trigeminy_on: Share
    trigeminy_off: Share
    block_on: Share
    block_off: Share
    idioventricular_on: Share
    idioventricular_off: Share
    rhythm_lookback_s: Seconds
    pvc_burden: Share
    pvc_burden_beats: Count
    clock_jump_s: Seconds
    lag_s: Seconds
    signal_lost_s: Annotated[float, Meta(ge=5.0, le=86_400.0)]
    forget_device_s: Annotated[float, Meta(ge=3600.0, le=604_800.0)]
    max_snooze_s: Seconds


class KindRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the table says of one kind of event (see the head of `alarms.yaml`)."""

    title: str
    category: Annotated[str, Meta(pattern=r"^(physiological|technical)$(?!\n)")]
    priority: Priority
    min_on_s: Seconds
    min_off_s: Seconds
    max_blind_s: Seconds
    folds: list[str]
    enabled: bool = True
    latch: bool = False
    escalate_after_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] | None = None
    escalate_times: Annotated[int, Meta(ge=0, le=100)] = 0
    refractory_s: Seconds = 0.0


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alarm table, its `kinds` in the order of the file; `name` tells which table an alert came from."""

    name: str
    limits: Thresholds
    kinds: dict[str, KindRule]

    def folded_by(self, kind: str) -> list[str]:
        """The kinds that silence `kind` while they are open."""
        return [other for other, rule in self.kinds.items() if kind in rule.folds]


KINDS = frozenset(
    {
        "asystole",
        "vf",
        "vt",
        "extreme-tachycardia",
        "extreme-bradycardia",
        "pause",
        "svt",
        "high-rate",
        "low-rate",
        "block",
        "idioventricular",
        "v-run",
        "af",
        "bigeminy",
        "trigeminy",
        "pvc-burden",
        "signal-lost",
        "lead-off",
        "flat",
        "unreadable",
        "clipped",
        "stream-gap",
        "clock-fault",
        "lagging",
        "snoozed",
        "settings-refused",
        "delivery-failed",
        "record-parked",
    }
)
_ORDERED = (  # each pair must hold, strictly, whoever sets it
    ("extreme_bradycardia_bpm", "low_rate_bpm"),
    ("low_rate_bpm", "high_rate_bpm"),
    ("high_rate_bpm", "extreme_tachycardia_bpm"),
    ("pause_s", "asystole_s"),
    *(
        (f"{name}_off", f"{name}_on")
        for name in ("asystole", "vt", "vf", "af", "bigeminy", "trigeminy", "block", "idioventricular")
    ),
)


def load_limits(path: Path | None = None) -> Limits:
    """Read the alarm table at `path`, or the packaged one; raises `LimitsError`."""
    try:
        text = path.read_text() if path else resources.files("ecgstream").joinpath("alarms.yaml").read_text()
        limits = msgspec.convert(yaml.safe_load(text), Limits, strict=False)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LimitsError(f"{path or 'alarms.yaml'}: not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise LimitsError(f"{path or 'alarms.yaml'}: {error}") from error
    _check(limits)
    return msgspec.structs.replace(limits, name=f"{limits.name}@{_digest(text)}")


def for_device(limits: Limits, settings: DeviceSettings) -> Limits:
    """The table with a device's settings over it; raises `LimitsError`, naming the entry that can't be."""
    values: dict[str, Any] = msgspec.to_builtins(limits.limits)
    for name, value in settings.limits.items():
        if name not in values:
            raise LimitsError(f"limits.{name}: no such limit")
        if not math.isfinite(value):
            raise LimitsError(f"limits.{name}: {value} is no number")
        whole = isinstance(values[name], int) and value == int(value)
        values[name] = int(value) if whole else value
        try:
            msgspec.convert(values, Thresholds)
        except msgspec.ValidationError as error:
            raise LimitsError(f"limits.{name}: {value:g} is refused: {error}") from error
    kinds = dict(limits.kinds)
    for kind, change in settings.kinds.items():
        if kind not in kinds:
            raise LimitsError(f"kinds.{kind}: no such kind")
        rule = kinds[kind]
        kinds[kind] = msgspec.structs.replace(
            rule,
            enabled=rule.enabled if change.enabled is None else change.enabled,
            priority=rule.priority if change.priority is None else change.priority,
        )
    changed = msgspec.structs.replace(limits, limits=msgspec.convert(values, Thresholds), kinds=kinds)
    _check(changed)
    entries = msgspec.json.encode((settings.limits, settings.kinds), order="sorted").decode()
    name = f"{limits.name}+{_digest(entries)}"
    return msgspec.structs.replace(changed, name=name)


def _check(limits: Limits) -> None:
    if unknown := sorted(set(limits.kinds) - KINDS):
        raise LimitsError(f"kinds.{unknown[0]}: no such kind")
    if missing := sorted(KINDS - set(limits.kinds)):
        raise LimitsError(f"kinds.{missing[0]}: missing")
    for low, high in _ORDERED:
        below, above = getattr(limits.limits, low), getattr(limits.limits, high)
        if not below < above:
            raise LimitsError(f"limits.{low}: {below:g} must be below limits.{high} ({above:g})")
    for kind, rule in limits.kinds.items():
        for folded in rule.folds:
            if folded not in KINDS:
                raise LimitsError(f"kinds.{kind}.folds: no such kind {folded!r}")
            if kind in _reach(limits, folded):
                raise LimitsError(f"kinds.{kind}.folds: {folded!r} folds {kind!r} in turn")


def _reach(limits: Limits, kind: str) -> set[str]:
    """All that `kind` silences, itself included."""
    reached, ahead = {kind}, [kind]
    while ahead:
        for folded in limits.kinds[ahead.pop()].folds:
            if folded in KINDS and folded not in reached:
                reached.add(folded)
                ahead.append(folded)
    return reached


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
