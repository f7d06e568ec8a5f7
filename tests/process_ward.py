"""What the fault tests share: real processes over topics of their own, patients who stream, and the judgement.

With `FAULTS_TO` set to a file, each judgement is added to it as a line of JSON; `tests/faults/table.py` makes a table of it.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from ecgstream.analysis import Analyzer
from ecgstream.codec import decode
from ecgstream.limits import load_limits
from ecgstream.messages import Alert, Chunk, Finding
from ecgstream.model_folder import Model
from ecgstream.pieces import Event, Refusal
from ecgstream.replay import Place
from ecgstream.sessions import Sessions
from ecgstream.topics import Topics, create
from ecgstream.watch import over_findings
from logs import chunk
from streams import raw

GALLERY = Path(__file__).parents[1] / "simulators" / "scenarios"
PARTITIONS = 4
SPEED = 6.0
Window = tuple[str, str, int]
Life = tuple[int, int | None]  # onset and end of an alert's last revision


@dataclass(frozen=True)
class Expected:
    """What an uninterrupted run gives: each finding, and each alert's onset and end."""

    findings: Mapping[Window, Finding]
    alerts: Mapping[str, Life]


def expect(findings: Iterable[Finding]) -> Expected:
    """What must come of these findings."""
    told = list(findings)
    return Expected(
        {(f.device_id, f.session, f.window): f for f in told}, lives(over_findings(told, load_limits()))
    )


def findings_of(chunks: Iterable[Chunk], model: Model) -> list[Finding]:
    """What the core finds in one device's chunks, as they come, to their end."""
    sessions, analyzer = Sessions(max_devices=1), Analyzer(model, 1)
    found: list[Finding] = []
    events: list[Event] = []
    refused: list[Refusal] = []
    for n, made in enumerate(chunks):
        sessions.push(made, Place(n), events, refused)
        found += analyzer.feed(events)
        events.clear()
    sessions.end_all(events, refused)
    assert refused == []
    return found + analyzer.feed(events)


def lives(alerts: Iterable[Alert]) -> dict[str, Life]:
    """Onset and end of each patient's alert, by its last revision; technical ones depend on the clock on the wall."""
    last: dict[str, Alert] = {}
    for alert in alerts:
        known = last.get(alert.alert_id)
        if alert.category == "physiological" and (known is None or alert.revision >= known.revision):
            last[alert.alert_id] = alert
    return {alert_id: (alert.onset_us, alert.end_us) for alert_id, alert in last.items()}


class Ward:
    """Monitor and alerting processes over one set of topics; what they say is in `said(name)`."""

    def __init__(self, servers: str, prefix: str, folder: Path) -> None:
        self.servers, self.topics, self.folder = servers, Topics(prefix), folder
        self.group = f"{prefix}monitor"
        self.environment = {
            **os.environ,
            "ECGSTREAM_BOOTSTRAP_SERVERS": servers,
            "ECGSTREAM_TOPIC_PREFIX": prefix,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: str, *options: str, program: tuple[str, ...] = ("-m", "ecgstream")
    ) -> None:
        """Start a process; its groups are those of this ward's topics."""
        group = ("--group", self.group) if command == "monitor" else ()
        with (self.folder / name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *program, command, *group, *options],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def said(self, name: str) -> str:
        """What the processes of that name have written."""
        return (self.folder / name).read_text(errors="replace")

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """SIGTERM, and it leaves well."""
        process = self.processes.pop(name)
        process.terminate()
        assert process.wait(60) == 0, self.said(name)[-3000:]

    async def until(self, there: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Wait until `there()`; fails, saying `what` did not come, when it takes longer."""
        deadline = time.monotonic() + timeout_s
        while not there():
            assert time.monotonic() < deadline, (
                f"{what}: {[self.said(name)[-1500:] for name in self.processes]}"
            )
            await asyncio.sleep(0.1)

    async def keep(
        self, name: str, command: str, *options: str, program: tuple[str, ...] = ("-m", "ecgstream")
    ) -> None:
        """Start that process again whenever it ends, as a supervisor does, until cancelled."""
        while True:
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name, command, *options, program=program)
            await asyncio.sleep(0.5)


@asynccontextmanager
async def running(servers: str, prefix: str, *, at_once: bool = True) -> AsyncIterator[Ward]:
    """Make the topics, run a monitor and an alerting process (`at_once`), and kill whatever runs at the end."""
    await create({"bootstrap_servers": servers}, Topics(prefix), PARTITIONS)
    with tempfile.TemporaryDirectory() as folder:
        ward = Ward(servers, prefix, Path(folder))
        if at_once:
            ward.start("monitor", "monitor", "--instance", "m0")
            ward.start("alerting", "alerting")
        try:
            yield ward
        finally:
            for process in ward.processes.values():
                process.kill()
                process.wait()


async def stream(
    ward: Ward, streams: Mapping[str, Iterable[Chunk]], speed: float = SPEED
) -> dict[tuple[str, int], float]:
    """Send every patient's chunks, one a turn, `speed` turns a second; at each one's end 10 s of another session, which end it.

    Gives when each was sent, by device and first sample.
    """
    sent_s: dict[tuple[str, int], float] = {}
    sent = []
    waiting: dict[str, Iterator[Chunk]] = {name: iter(chunks) for name, chunks in streams.items()}
    async with AIOKafkaProducer(bootstrap_servers=ward.servers, request_timeout_ms=120_000) as producer:
        while waiting:
            for name in list(waiting):
                made = next(waiting[name], None)
                if made is None:
                    del waiting[name]
                    made = chunk(10**6, [0] * 1000, device_id=name, session="over")
                key, value, headers = raw(made)
                sent.append(await producer.send(ward.topics.samples, value, key=key, headers=headers))
                sent_s[name, made.first_sample] = time.time()
            await asyncio.sleep(1 / speed)
        await asyncio.gather(*sent)
    return sent_s


async def judge(ward: Ward, fault: str, expected: Expected, timeout_s: float = 180.0) -> None:
    """Wait until all that is expected is there, and nothing more comes; note the outcome; fail where it isn't perfect.

    Devices of which nothing is expected don't count.
    """
    findings, alerts = await _read(ward, expected, timeout_s)
    told: dict[Window, Finding] = {}
    changed = 0
    for finding in findings:
        if finding.session == "over":
            continue
        identity = (finding.device_id, finding.session, finding.window)
        changed += told.setdefault(identity, finding) != finding
    changed += sum(expected.findings.get(identity, f) != f for identity, f in told.items())
    got = lives(alerts)
    lost = sorted(expected.findings.keys() - told.keys())
    outcome: dict[str, str | int] = {
        "fault": fault,
        "findings": len(expected.findings),
        "findings_lost": len(lost),
        "alerts": len(expected.alerts),
        "alerts_lost": len(expected.alerts.keys() - got.keys()),
        "alerts_doubled": len(got.keys() - expected.alerts.keys()),
    }
    _note(outcome)
    assert not lost, (outcome, lost, [ward.said(name)[-1500:] for name in ward.processes])
    assert changed == 0
    assert not told.keys() - expected.findings.keys()
    assert got == expected.alerts
    revisions: dict[tuple[str, int], Alert] = {}
    for alert in alerts:  # a revision that comes again is the same one
        known = revisions.setdefault((alert.alert_id, alert.revision), alert)
        assert (known.state, known.onset_us) == (alert.state, alert.onset_us)
    await _offsets_are_sane(ward)


def _note(outcome: dict[str, str | int]) -> None:
    if file := os.environ.get("FAULTS_TO"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(outcome) + "\n")


async def _read(ward: Ward, expected: Expected, timeout_s: float) -> tuple[list[Finding], list[Alert]]:
    findings: list[Finding] = []
    alerts: list[Alert] = []
    names = (ward.topics.rhythm, ward.topics.alerts)
    devices = {device_id.encode() for device_id, _, _ in expected.findings}
    deadline = time.monotonic() + timeout_s
    async with AIOKafkaConsumer(
        *names, bootstrap_servers=ward.servers, auto_offset_reset="earliest"
    ) as consumer:
        while time.monotonic() < deadline:
            got = await consumer.getmany(timeout_ms=1500)
            for place, records in got.items():
                values = [record.value for record in records if record.key in devices]
                if place.topic == ward.topics.rhythm:
                    findings += [decode(Finding, value) for value in values]
                else:
                    alerts += [decode(Alert, value) for value in values]
            there = {(f.device_id, f.session, f.window) for f in findings}
            if (
                not got
                and there >= expected.findings.keys()
                and lives(alerts).items() >= expected.alerts.items()
            ):
                break
    return findings, alerts


async def _offsets_are_sane(ward: Ward) -> None:
    """What both groups have committed lies within the logs."""
    admin = AIOKafkaAdminClient(bootstrap_servers=ward.servers)
    await admin.start()
    try:
        for group in (ward.group, f"{ward.topics.prefix}alerting"):
            stored = await admin.list_consumer_group_offsets(group)
            async with AIOKafkaConsumer(bootstrap_servers=ward.servers) as consumer:
                ends = await consumer.end_offsets(list(stored))
            assert stored, f"{group}: nothing committed"
            for tp, committed in stored.items():
                assert 0 <= committed.offset <= ends[tp], (group, tp, committed, ends[tp])
    finally:
        await admin.close()
