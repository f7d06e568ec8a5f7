"""What the metrics count, and from when on."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter

from ecgstream import alerting, copartitioning, monitor
from ecgstream.alerting_metrics import HELD_BACK, REVISIONS
from ecgstream.kafka import load_settings
from ecgstream.letters import field_at_fault
from ecgstream.limits import KINDS, load_limits
from ecgstream.messages import AlertState, DeadLetter
from ecgstream.observability import DEAD_LETTERS, FINDINGS, STAGE_SECONDS, note_batch
from ecgstream.pieces import Counts
from ecgstream.pipeline import Batch
from ecgstream.topics import Topics
from logs import chunk

EMPTY: Any = SimpleNamespace(counts=Counts(), n_devices=0)  # a pipeline to which nothing came


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("content-type: expected application/json", "content-type"),
        ("fs_hz, uv_per_lsb: nan, 1.0: not a number", "fs_hz, uv_per_lsb"),
        ("samples[1]: 40000 is outside", "samples"),
        ("Mueller: 3 is refused", "value"),
    ],
)
def test_dead_letters_are_counted_by_the_field_that_the_log_names(reason: str, field: str) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("ecgstream_dead_letters_total", {"field": field}) or 0.0

    before = counted()
    letter = DeadLetter(reason=reason, topic="ecg.samples", partition=0, offset=1)
    note_batch(Batch(letters=[letter]), EMPTY, [1000], 0.1)
    assert counted() - before == 1


class TooFar(Exception):
    """The start went on to where a broker is needed."""


def too_far(*_: object) -> None:
    raise TooFar


def clear(*counters: Counter) -> None:
    """Take away what other tests counted."""
    for counter in counters:
        counter.clear()


def series(counter: Counter) -> dict[tuple[str, ...], float]:
    """The values of a labelled counter, by its labels."""
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return {tuple(s.labels.values()): s.value for s in samples if s.name.endswith("_total")}


async def test_a_monitors_counters_stand_at_0_before_anything_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clear(DEAD_LETTERS, FINDINGS, STAGE_SECONDS)
    monkeypatch.setattr(monitor, "warm_up", too_far)
    analyzer: Any = SimpleNamespace(max_devices=1)
    with pytest.raises(TooFar):
        await monitor.Monitor({}, Topics(), analyzer, monitor.MonitorOptions()).run(asyncio.Event())
    with pytest.raises(ValueError, match="not a number") as refused:
        chunk(0, [1], uv_per_lsb=float("nan"))
    fields = series(DEAD_LETTERS)
    beside = {("key",), ("value",), ("partition",), ("content-type",), ("record",)}
    assert beside | {("device_id",), ("samples",), (field_at_fault(str(refused.value)),)} <= fields.keys()
    assert len(fields) < 20
    assert series(FINDINGS) == {("full",): 0, ("rate-only",): 0, ("unreadable",): 0}
    assert len(series(STAGE_SECONDS)) == 5
    assert set(fields.values()) == {0}


async def test_alertings_counters_stand_at_0_before_anything_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clear(HELD_BACK, REVISIONS)
    monkeypatch.setattr(copartitioning, "partitions_of", too_far)
    with pytest.raises(TooFar):
        await alerting.run(load_settings({}), load_limits(), asyncio.Event())
    alarmed = {("parked",), ("parked letter that raised",), ("tick that raised",)}
    assert alarmed <= series(HELD_BACK).keys()
    assert series(REVISIONS).keys() == {(kind, str(state)) for kind in KINDS for state in AlertState}
    assert {*series(HELD_BACK).values(), *series(REVISIONS).values()} == {0}
