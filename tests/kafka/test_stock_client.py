"""What the README shows: a chunk typed by hand, sent with Kafka's own console producer, is taken."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from ecgstream.brokers import java_command
from ecgstream.codec import decode
from ecgstream.messages import DeadLetter
from ecgstream.topics import Topics, create
from logs import ecg
from streams import findings_until, monitoring

README = Path(__file__).parents[2] / "README.md"
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"


async def type_by_hand(servers: str, topic: str, lines: list[str]) -> None:
    """Send ``key|value`` lines as the README's command does."""
    command = java_command(
        PRODUCER, "--bootstrap-server", servers, "--topic", topic,
        "--property", "parse.key=true", "--property", "key.separator=|",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    assert process.returncode == 0, output.decode()


async def dead_letters(servers: str, topic: str) -> list[DeadLetter]:
    """All dead letters that stand there now."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        got = await consumer.getmany(timeout_ms=2000)
    return [decode(DeadLetter, record.value) for records in got.values() for record in records]


@pytest.mark.kafka
async def test_chunks_typed_by_hand_are_taken(apache_servers: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, topics, 2)
    readme = README.read_text(encoding="utf-8")
    typed = [json.loads(text) for text in re.findall(r"\{\"device_id\".*?\}", readme, re.S)]
    assert len(typed) == 2
    # The session that was begun by hand goes on, so that a finding comes of it.
    fs_hz, n = typed[0]["fs_hz"], sum(len(chunk["samples"]) for chunk in typed)
    rest = typed[0] | {
        "first_sample": n,
        "start_us": typed[0]["start_us"] + n * 1_000_000 // fs_hz,
        "samples": ecg(fs_hz * 8, fs_hz).tolist(),
    }
    lines = [f"chest-7|{json.dumps(chunk)}" for chunk in [*typed, rest]]
    async with monitoring(apache_servers, topics):
        await type_by_hand(apache_servers, topics.samples, lines)
        found = await findings_until(apache_servers, topics, lambda f: any(x.window == 4 for x in f))
    assert {(f.device_id, f.session) for f in found} == {("chest-7", "a")}
    assert {f.window: f.end_us for f in found}[4] == typed[0]["start_us"] + 5_000_000
    assert await dead_letters(apache_servers, topics.dead_letters) == []


@pytest.mark.kafka
async def test_a_slip_of_the_hand_is_explained(apache_servers: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, topics, 2)
    slip = '{"device_id": "chest-7", "session": "a", "first_sample": 0, "start_us": 1767225600000000, "fs_hz": 25}'
    async with monitoring(apache_servers, topics):
        await type_by_hand(apache_servers, topics.samples, [f"chest-7|{slip}"])
        for _ in range(30):
            letters = await dead_letters(apache_servers, topics.dead_letters)
            if letters:
                break
    assert len(letters) == 1
    assert letters[0].value == slip.encode()
    assert letters[0].key == b"chest-7"
    assert re.search("fs_hz|uv_per_lsb|samples", letters[0].reason)
