"""A gateway with a topic of its own speaks for its own devices, and nobody else does."""

import time
from typing import NamedTuple

import pytest

from ecgstream.acls import grants
from ecgstream.analysis import Analyzer
from ecgstream.codec import encode
from ecgstream.messages import Chunk
from ecgstream.pipeline import Pipeline
from ecgstream.topics import Topics
from fakes import FakeModel, FakeScorer

TOPICS = Topics(gateways=("acme", "acme-2"))


class Record(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def taken(topic: str, device_id: str) -> tuple[int, list[str]]:
    """How many devices one record makes, and the reasons of its dead letters."""
    model = FakeModel()
    pipeline = Pipeline(Analyzer(model, 2, FakeScorer(model, 2)), time.perf_counter, TOPICS.of_gateways)
    chunk = Chunk(
        device_id=device_id,
        session="s",
        first_sample=0,
        start_us=1_700_000_000_000_000,
        fs_hz=250.0,
        uv_per_lsb=5.0,
        samples=bytes(500),
    )
    letters = pipeline.process([Record(topic, device_id.encode(), encode(chunk))]).letters
    return pipeline.n_devices, [letter.reason for letter in letters]


@pytest.mark.parametrize(
    ("topic", "device_id"),
    [
        ("ecg.samples", "chest-7"),
        ("ecg.samples", "other.chest-7"),
        ("ecg.samples.acme", "acme.chest-7"),
        ("ecg.samples.acme-2", "acme-2.chest-7"),
    ],
)
def test_devices_are_taken_from_where_they_belong(topic: str, device_id: str) -> None:
    assert taken(topic, device_id) == (1, [])


@pytest.mark.parametrize(
    ("topic", "device_id", "named"),
    [
        ("ecg.samples.acme", "acme-2.chest-7", "'acme.'"),
        ("ecg.samples.acme", "chest-7", "'acme.'"),
        ("ecg.samples.acme-2", "acme.chest-7", "'acme-2.'"),
        ("ecg.samples", "acme.chest-7", "gateway acme"),
    ],
)
def test_whoever_pretends_is_refused_with_the_field_and_the_value(
    topic: str, device_id: str, named: str
) -> None:
    n_devices, (reason,) = taken(topic, device_id)
    assert n_devices == 0
    assert reason.startswith("device_id: ")
    assert repr(device_id) in reason
    assert named in reason


def test_a_gateway_may_write_its_own_topic_and_nothing_else() -> None:
    given = [g for g in grants(TOPICS) if g.role == "gateway-acme"]
    assert [(g.operation, g.resource, g.name) for g in given] == [("WRITE", "topic", "ecg.samples.acme")]
    writers = {g.role for g in grants(TOPICS) if g.operation == "WRITE" and g.name == "ecg.alerts"}
    assert writers == {"alerting"}
