import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokers_here import start_or_skip
from ecgstream.analysis import Analyzer
from ecgstream.brokers import Broker
from ecgstream.model_folder import Model, load_model
from ecgstream.recordings import Recording
from ecgstream.replay import replay
from ecgstream.shipped import shipped_model
from ecgstream.simulator.scenarios import read_scenario
from process_ward import GALLERY, Expected, expect

PATIENTS = ("asystole", "ventricular-fibrillation", "bradycardia", "atrial-fibrillation")


@pytest.fixture(scope="session")
def patients() -> dict[str, Recording]:
    """Four patients in trouble, by their device."""
    return {name: read_scenario(GALLERY / f"{name}.yaml").signal() for name in PATIENTS}


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model(shipped_model())


@pytest.fixture(scope="session")
def expected(model: Model, patients: dict[str, Recording]) -> Expected:
    """The findings and alerts that an uninterrupted run gives of them."""
    made = expect(
        finding
        for name, recording in patients.items()
        for found in replay(recording, Analyzer(model, 1), name, "s")
        for finding in found
    )
    assert len(made.findings) > 100
    assert len(made.alerts) >= 4
    return made


@pytest.fixture
def broker() -> Iterator[Broker]:
    """An Apache Kafka of the test's own, to stop, kill and freeze."""
    with tempfile.TemporaryDirectory(prefix="ecgstream-test-", ignore_cleanup_errors=True) as folder:
        own = Broker("apache", Path(folder))
        start_or_skip(own)
        try:
            yield own
        finally:
            own.stop()
