"""What staff see and say in a terminal: alerts, ack, snooze, against Apache Kafka."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from clinical import beats, stream
from console_ward import acknowledged, alert
from ecgstream.cli import app
from ecgstream.codec import decode, decode_answer, encode
from ecgstream.kafka import started
from ecgstream.messages import Ack, Alert, Snooze
from ecgstream.topics import Topics, create

pytestmark = pytest.mark.kafka

VT = alert("vt-2d2ae2891222aa09", device_id="chest-7")
AF = alert(
    "af-77", device_id="chest-8", kind="af", priority="low", rhythm="af", message="Atrial fibrillation"
)
OVER = alert("svt-1", device_id="chest-9", kind="svt", priority="medium", state="ended")
ANSWERED = acknowledged(AF, Ack(alert_id=AF.alert_id, device_id="chest-8", by="Dr. B", at_us=7))


class Terminal:
    """Runs `ecgstream` as somebody at a terminal would, and reads what it has sent."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self.servers, self.topics = servers, topics

    async def run(self, *words: str) -> Result:
        environment = {
            "ECGSTREAM_BOOTSTRAP_SERVERS": self.servers,
            "ECGSTREAM_TOPIC_PREFIX": self.topics.prefix,
        }
        environment |= {"COLUMNS": "160"}
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, words, env=environment))

    async def answers(self) -> list[tuple[bytes, Any]]:
        reading = {"bootstrap_servers": self.servers, "auto_offset_reset": "earliest"}
        async with started(AIOKafkaConsumer, self.topics.acks, **reading) as consumer:
            lots = await consumer.getmany(timeout_ms=3000)
            return [(r.key, decode_answer(r.value)) for lot in lots.values() for r in lot]


@pytest.fixture
async def terminal(apache_servers: str, topic_prefix: str) -> Terminal:
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, topics, 2)
    async with started(AIOKafkaProducer, bootstrap_servers=apache_servers) as producer:
        for record in (VT, AF, OVER, ANSWERED):
            await producer.send_and_wait(topics.alerts, encode(record), key=record.device_id.encode())
        await producer.send_and_wait(topics.alerts, b"{}", key=b"chest-7")
    return Terminal(apache_servers, topics)


async def test_the_table_shows_what_is_open_and_counts_what_is_not(terminal: Terminal) -> None:
    shown = (await terminal.run("alerts", "--no-follow")).output
    assert shown.index("chest-7") < shown.index("chest-8")
    assert "answered by Dr. B" in shown
    assert "1 ended, 1 unreadable records" in shown
    assert "chest-9" not in shown


async def test_other_programs_read_each_revision_once_as_a_line(terminal: Terminal) -> None:
    lines = (await terminal.run("alerts", "--no-follow", "--json")).output.splitlines()
    revisions = [decode(Alert, line.encode()) for line in lines]
    assert sorted((a.alert_id, a.revision) for a in revisions) == [
        ("af-77", 0), ("af-77", 1), ("svt-1", 0), (VT.alert_id, 0),
    ]  # fmt: skip
    assert VT in revisions
    bundles = [
        json.loads(line)
        for line in (await terminal.run("alerts", "--no-follow", "--fhir")).output.splitlines()
    ]
    assert len(bundles) == len(lines)
    issues = {b["entry"][0]["resource"]["id"]: b for b in bundles}
    assert set(issues) == {a.alert_id for a in revisions}
    assert issues[VT.alert_id]["entry"][1]["resource"]["resourceType"] == "Observation"


async def test_an_answer_needs_only_the_beginning_of_an_id(terminal: Terminal) -> None:
    done = await terminal.run("ack", "vt-2d", "--by", "Dr. A", "--note", "seen, awake")
    assert done.exit_code == 0, done.output
    ((key, ack),) = await terminal.answers()
    assert key == b"chest-7"
    assert (ack.alert_id, ack.by, ack.note) == (VT.alert_id, "Dr. A", "seen, awake")


async def test_a_report_is_made_of_what_the_topics_hold_of_a_device(
    terminal: Terminal, tmp_path: Path
) -> None:
    now_us = time.time_ns() // 1000
    async with started(AIOKafkaProducer, bootstrap_servers=terminal.servers) as producer:
        for found in stream(beats(("N", 0.8, 60)), 30):
            at_us = now_us + found.window * 1_000_000
            record = replace(found, end_us=at_us)
            await producer.send_and_wait(terminal.topics.rhythm, encode(record), key=b"chest-7")
    page = tmp_path / "page.html"
    done = await terminal.run("report", "chest-7", "--out", str(page))
    assert done.exit_code == 0, done.output
    assert "30 findings, 1 events" in done.output
    assert "chest-7" in page.read_text()
    unknown = await terminal.run("report", "chest-99", "--out", str(page))
    assert unknown.exit_code == 2
    assert "no findings of a device of that name" in unknown.output


async def test_a_broker_without_topics_says_how_to_make_them(apache_servers: str) -> None:
    done = await Terminal(apache_servers, Topics("nowhere.")).run("alerts", "--no-follow")
    assert done.exit_code == 2
    assert "nowhere.alerts: no such topic; `ecgstream topics create`" in done.output


async def test_a_snooze_goes_to_its_device(terminal: Terminal) -> None:
    done = await terminal.run("snooze", "chest-8", "lead-off", "--minutes", "20", "--by", "N. B")
    assert done.exit_code == 0, done.output
    ((key, order),) = await terminal.answers()
    assert isinstance(order, Snooze)
    assert (key, order.kind, order.until_us - order.at_us) == (b"chest-8", "lead-off", 1_200_000_000)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("ack", "block"), "block: no alert of the last 14 days begins so"),
        (("ack", ""), "af-77, svt-1"),
        (("snooze", "chest-7", "hiccups"), "hiccups: no such kind"),
        (("snooze", "chest 7", "vt"), "device_id"),
    ],
)
async def test_what_can_not_be_meant_is_refused_by_name(
    terminal: Terminal, words: tuple[str, ...], named: str
) -> None:
    done = await terminal.run(*words, "--by", "Dr. A")
    assert done.exit_code == 2
    assert named in done.output
    assert await terminal.answers() == []
