"""What tests share: brokers that are started once, topics of each test's own, the recordings' folder."""

import importlib.util
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokers_here import start_or_skip
from ecgstream.brokers import Broker, BrokerKind
from ecgstream.topics import Topics, create

PARTITIONS = 4

on_apache = pytest.param("apache", marks=pytest.mark.kafka)
on_embedded = pytest.param("tansu", marks=pytest.mark.embedded, id="embedded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs torch where it isn't installed."""
    if importlib.util.find_spec("torch") is None:
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip(reason="torch is not installed (the train extra)"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The unpacked PhysioNet recordings; the test is skipped without them."""
    folder = os.environ.get("ECGSTREAM_DATA")
    if not folder:
        pytest.skip("ECGSTREAM_DATA is not set: no recordings")
    path = Path(folder).expanduser()
    if not path.is_dir():
        pytest.skip(f"ECGSTREAM_DATA: {path} is no folder: no recordings")
    return path


def _running(kind: BrokerKind) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ecgstream-test-", ignore_cleanup_errors=True) as folder:
        broker = Broker(kind, Path(folder))
        start_or_skip(broker)
        try:
            yield broker.bootstrap_servers
        finally:
            broker.stop()


@pytest.fixture(scope="session")
def apache_servers() -> Iterator[str]:
    """Address of an Apache Kafka that all tests share (mark the test ``kafka``)."""
    yield from _running("apache")


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[str]:
    """Address of an embedded broker that all tests share (mark the test ``embedded``)."""
    yield from _running("tansu")


@pytest.fixture(params=[on_apache, on_embedded])
def bootstrap_servers(request: pytest.FixtureRequest) -> str:
    """Runs the test twice: against Apache Kafka and against the embedded broker."""
    name = "apache_servers" if request.param == "apache" else "embedded_servers"
    servers: str = request.getfixturevalue(name)
    return servers


@pytest.fixture
def topic_prefix() -> str:
    """Beginning of topic and group names that no other test has: the brokers are shared."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
async def topics(bootstrap_servers: str, topic_prefix: str) -> Topics:
    """This test's own topics, made on `bootstrap_servers`, with `PARTITIONS` partitions each."""
    names = Topics(topic_prefix)
    await create({"bootstrap_servers": bootstrap_servers}, names, PARTITIONS)
    return names
