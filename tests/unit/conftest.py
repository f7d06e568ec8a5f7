"""A console with one alert and one device, for the tests of what it refuses."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import console_calls
from console_ward import SECRET, alert, finding, users_file
from ecgstream.console.app import create_app
from ecgstream.console.feed import MemoryFeed
from ecgstream.console.settings import load_console_settings


@pytest.fixture(scope="session")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return users_file(tmp_path_factory.mktemp("console"))


@pytest.fixture
def feed() -> MemoryFeed:
    return MemoryFeed()


@pytest.fixture
def client(users: Path, feed: MemoryFeed) -> Iterator[TestClient]:
    app = create_app(load_console_settings({"users_file": users, "secret": SECRET}), feed)
    with TestClient(app, base_url=console_calls.BASE, follow_redirects=False) as client:
        app.state.desk.take_alert(alert("a1"), time.time_ns() // 1000)
        app.state.desk.take_finding(finding("bed-07", time.time_ns() // 1000), time.time_ns() // 1000)
        yield client
