"""Real processes against Apache Kafka, killed and moved while devices stream: no finding lost, the same alerts, each once."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ecgstream.analysis import Analyzer
from ecgstream.classifier import Model, load_model
from ecgstream.limits import load_limits
from ecgstream.messages import Alert, AlertState, Finding
from ecgstream.recordings import Recording
from ecgstream.replay import chunks, replay
from ecgstream.shipped import shipped_model
from ecgstream.simulator.scenarios import read_scenario
from ecgstream.topics import Topics, create
from ecgstream.watch import over_findings
from logs import chunk
from streams import raw, read_until

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.timeout(900)]

GALLERY = Path(__file__).parents[2] / "simulators" / "scenarios"
PATIENTS = ("asystole", "ventricular-fibrillation", "bradycardia", "atrial-fibrillation")
SPEED = 6.0
Wrong = Callable[["Ward"], Awaitable[None]]


def is_judged(alert: Alert) -> bool:
    return alert.category == "physiological" and alert.state is AlertState.RAISED


class Ward:
    """Monitor and alerting processes over one set of topics."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.servers, self.topics = servers, Topics(prefix)
        self.environment = {
            **os.environ,
            "ECGSTREAM_BOOTSTRAP_SERVERS": servers,
            "ECGSTREAM_TOPIC_PREFIX": prefix,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: str, *options: str) -> None:
        """Start a process; its groups are those of this ward's topics."""
        group = ("--group", f"{self.topics.prefix}monitor") if command == "monitor" else ()
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "ecgstream", command, *group, *options],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """SIGTERM, and it leaves well."""
        process = self.processes.pop(name)
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_model())


@pytest.fixture(scope="module")
def patients() -> dict[str, Recording]:
    return {name: read_scenario(GALLERY / f"{name}.yaml").signal() for name in PATIENTS}


@pytest.fixture(scope="module")
def expected(model: Model, patients: dict[str, Recording]) -> tuple[dict[tuple[str, int], Finding], set[str]]:
    """The findings and the ids of the alerts that an uninterrupted run gives."""
    findings: dict[tuple[str, int], Finding] = {}
    ids: set[str] = set()
    for name, recording in patients.items():
        own = [f for found in replay(recording, Analyzer(model, 1), name, "s") for f in found]
        findings |= {(name, f.window): f for f in own}
        ids |= {a.alert_id for a in over_findings(iter(own), load_limits()) if is_judged(a)}
    assert len(findings) > 100
    assert len(ids) >= 4
    return findings, ids


async def stream(ward: Ward, patients: dict[str, Recording]) -> None:
    """Send every patient's seconds at `SPEED`, and at each one's end another session, which ends the first."""
    streams: dict[str, Iterator[object]] = {name: chunks(r, name, "s") for name, r in patients.items()}
    async with AIOKafkaProducer(bootstrap_servers=ward.servers, request_timeout_ms=60_000) as producer:
        while streams:
            for name in list(streams):
                made = next(streams[name], None)
                if made is None:
                    del streams[name]
                    made = chunk(0, [0], device_id=name, session="over")
                key, value, headers = raw(made)  # type: ignore[arg-type]
                await producer.send(ward.topics.samples, value, key=key, headers=headers)
            await asyncio.sleep(1 / SPEED)
        await producer.flush()


@asynccontextmanager
async def running(servers: str, prefix: str) -> AsyncIterator[Ward]:
    ward = Ward(servers, prefix)
    ward.start("monitor", "monitor", "--instance", "m0")
    ward.start("alerting", "alerting")
    try:
        yield ward
    finally:
        for process in ward.processes.values():
            process.kill()
            process.wait()


async def kill_monitor(ward: Ward) -> None:
    for _ in range(3):
        await asyncio.sleep(random.Random(os.urandom(4)).uniform(4, 12))
        ward.kill("monitor")
        ward.start("monitor", "monitor", "--instance", "m0")


async def kill_alerting(ward: Ward) -> None:
    for _ in range(2):
        await asyncio.sleep(random.Random(os.urandom(4)).uniform(8, 18))
        ward.kill("alerting")
        ward.start("alerting", "alerting")


async def come_and_go(ward: Ward) -> None:
    await asyncio.sleep(8)
    ward.start("second", "monitor", "--instance", "m1")
    await asyncio.sleep(15)
    ward.end("monitor")
    await asyncio.sleep(10)
    ward.kill("second")
    ward.start("second", "monitor", "--instance", "m1")


@pytest.mark.parametrize(
    "wrong", [kill_monitor, kill_alerting, come_and_go], ids=lambda wrong: wrong.__name__
)
async def test_nothing_is_lost_and_nothing_told_twice(
    wrong: Wrong,
    apache_servers: str,
    topic_prefix: str,
    patients: dict[str, Recording],
    expected: tuple[dict[tuple[str, int], Finding], set[str]],
) -> None:
    findings, ids = expected
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, topics, 4)
    async with running(apache_servers, topic_prefix) as ward:
        await asyncio.gather(stream(ward, patients), wrong(ward))
        found = await read_until(
            ward.servers, topics.rhythm, Finding, lambda f: {(x.device_id, x.window) for x in f} >= findings.keys(), 240
        )  # fmt: skip
        alerts = await read_until(
            ward.servers, topics.alerts, Alert, lambda f: {a.alert_id for a in f if is_judged(a)} >= ids, 240
        )
    told = [f for f in found if f.session == "s"]
    assert {(f.device_id, f.window) for f in told} == findings.keys()
    for finding in told:  # what was read again was told again in the same words
        assert finding == findings[finding.device_id, finding.window]
    assert {a.alert_id for a in alerts if is_judged(a)} == ids
    revisions: dict[tuple[str, int], Alert] = {}
    for alert in alerts:  # a revision that comes again is the same one
        known = revisions.setdefault((alert.alert_id, alert.revision), alert)
        assert (known.state, known.onset_us) == (alert.state, alert.onset_us)
