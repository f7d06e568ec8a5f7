"""What the metrics count, and from when on."""

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ecgstream.messages import DeadLetter
from ecgstream.observability import note_batch
from ecgstream.pieces import Counts
from ecgstream.pipeline import Batch

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
