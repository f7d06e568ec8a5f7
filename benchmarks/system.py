"""The monitor end to end through Apache Kafka: latency and CPU by number of devices, and a backlog caught up.

    python benchmarks/system.py --devices 500 1000 2000 --backlog-minutes 60

Devices send 1-s chunks of 250 Hz in real time, spread over the second. *Latency* is from the sending of the chunk with which a
finding became possible (the front end looks 1.1 s ahead, so two chunks after the window's end) to its reading from ecg.rhythm.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from scipy import signal

from ecgstream.brokers import embedded_broker, free_ports
from ecgstream.codec import MSGPACK, decode, encode
from ecgstream.messages import Chunk, Finding
from ecgstream.recordings import toy_recording
from ecgstream.topics import Topics, create

FS_HZ, TICKS = 250, 20
AHEAD_CHUNKS = 2
HEADERS = [("content-type", MSGPACK.encode())]
TOPICS = Topics()


class Sender:
    """Chunks of a fleet; remembers when each was sent."""

    def __init__(self, producer: AIOKafkaProducer, name: str, n_devices: int) -> None:
        line = signal.resample_poly(toy_recording().samples.astype(np.float64), 25, 36).astype("<i2")
        self.parts = [line[k * FS_HZ : (k + 1) * FS_HZ].tobytes() for k in range(len(line) // FS_HZ)]
        self.producer, self.name, self.n_devices = producer, name, n_devices
        self.start_us = time.time_ns() // 1000
        self.sent_at: dict[tuple[int, int], float] = {}

    async def send(self, device: int, second: int) -> None:
        """One chunk."""
        device_id = f"{self.name}-{device}"
        chunk = Chunk(
            device_id=device_id, session="s", first_sample=second * FS_HZ, start_us=self.start_us + second * 1_000_000,
            fs_hz=float(FS_HZ), uv_per_lsb=5.0, samples=self.parts[(second + 7 * device) % len(self.parts)],
        )  # fmt: skip
        self.sent_at[device, second] = time.time()
        await self.producer.send(TOPICS.samples, encode(chunk), key=device_id.encode(), headers=HEADERS)

    async def stream(self, seconds: int) -> float:
        """In real time; returns how late the last tick was [s]."""
        begin, late = time.monotonic(), 0.0
        for second in range(seconds):
            for tick in range(TICKS):
                due = begin + second + tick / TICKS
                late = time.monotonic() - due
                await asyncio.sleep(max(0.0, -late))
                for device in range(tick, self.n_devices, TICKS):
                    await self.send(device, second)
        await self.producer.flush()
        return late


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


def stages(port: int) -> dict[str, float]:
    """Seconds spent by stage, from /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        text = page.read().decode()
    found = re.findall(r'ecgstream_stage_seconds_total\{stage="(\w+)"\} ([\d.e+-]+)', text)
    return {name: float(value) for name, value in found}


async def in_real_time(
    client: dict[str, str], pid: int, port: int, n_devices: int, seconds: int
) -> dict[str, object]:
    """One load: its figures over the second half."""
    name = f"r{n_devices}"
    latencies: list[float] = []
    async with AIOKafkaProducer(**client, linger_ms=5) as producer:
        sender = Sender(producer, name, n_devices)
        consumer = AIOKafkaConsumer(TOPICS.rhythm, **client)
        async with consumer:

            async def follow() -> None:
                async for message in consumer:
                    finding = decode(Finding, message.value)
                    device = finding.device_id.rpartition("-")[2]
                    sent = sender.sent_at.get((int(device), finding.window + AHEAD_CHUNKS))
                    if finding.device_id.startswith(f"{name}-") and sent and finding.window > seconds // 2:
                        latencies.append(time.time() - sent)

            task = asyncio.create_task(follow())
            half = asyncio.create_task(asyncio.sleep(seconds / 2))
            streaming = asyncio.create_task(sender.stream(seconds))
            await half
            cpu, before, wall = cpu_s(pid), stages(port), time.monotonic()
            late = await streaming
            used, wall = cpu_s(pid) - cpu, time.monotonic() - wall
            after = stages(port)
            await asyncio.sleep(3)
            task.cancel()
    spent = {k: after[k] - before.get(k, 0.0) for k in after}
    total = sum(spent.values())
    quantiles = np.percentile(latencies, [50, 95, 99]) if latencies else [float("nan")] * 3
    return {
        "devices": n_devices, "findings": len(latencies), "p50_ms": round(quantiles[0] * 1e3), "p95_ms": round(quantiles[1] * 1e3),
        "p99_ms": round(quantiles[2] * 1e3), "cores": round(used / wall, 3), "devices_a_core": round(n_devices * wall / used),
        "memory_mb": round(memory_mb(pid)), "sender_late_s": round(late, 2),
        "share": {k: round(v / total, 3) for k, v in spent.items()},
    }  # fmt: skip


async def backlog(client: dict[str, str], pid: int, n_devices: int, minutes: int) -> dict[str, object]:
    """A backlog that is in the log before the monitor reads on (it is stopped meanwhile): how fast it is caught up."""
    import signal as unix

    os.kill(pid, unix.SIGSTOP)
    try:
        async with AIOKafkaProducer(**client, linger_ms=20) as producer:
            sender = Sender(producer, "b", n_devices)
            for second in range(minutes * 60):
                for device in range(n_devices):
                    await sender.send(device, second)
            await producer.flush()
    finally:
        os.kill(pid, unix.SIGCONT)
    last: set[str] = set()
    begin = time.monotonic()
    async with AIOKafkaConsumer(TOPICS.rhythm, **client) as consumer:
        async for message in consumer:
            finding = decode(Finding, message.value)
            if finding.device_id.startswith("b-") and finding.window >= minutes * 60 - 10:
                last.add(finding.device_id)
                if len(last) == n_devices:
                    break
    wall = time.monotonic() - begin
    return {"devices": n_devices, "minutes": minutes, "caught_up_s": round(wall, 1), "times_real_time": round(minutes * 60 / wall, 1),
            "device_seconds_a_second": round(n_devices * minutes * 60 / wall), "memory_mb": round(memory_mb(pid))}  # fmt: skip


async def main(arguments: argparse.Namespace) -> None:
    """Start broker and monitor, measure, print."""
    async with embedded_broker("apache") as servers:
        client = {"bootstrap_servers": servers}
        async with monitored(client) as (pid, port):
            for n in arguments.devices:
                print(json.dumps(await in_real_time(client, pid, port, n, arguments.seconds)), flush=True)
            if arguments.backlog_minutes:
                print(json.dumps(await backlog(client, pid, 200, arguments.backlog_minutes)), flush=True)


@asynccontextmanager
async def monitored(client: dict[str, str]) -> AsyncIterator[tuple[int, int]]:
    """Make the topics and run a monitor while the block runs: its process and the port of its metrics."""
    await create(client, TOPICS, 8)
    (port,) = free_ports(1)
    with tempfile.TemporaryFile() as log:
        monitor = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ecgstream", "monitor", "--bootstrap-servers", client["bootstrap_servers"],
            "--metrics-port", str(port), "--max-devices", "12000", stdout=log, stderr=log,
        )  # fmt: skip
        try:
            await in_ready(port)
            yield monitor.pid, port
        finally:
            monitor.terminate()
            await monitor.wait()


async def in_ready(port: int) -> None:
    """Wait until the monitor has its partitions."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:  # noqa: ASYNC210
                if answer.status == 200:
                    return
        except OSError:
            pass
        await asyncio.sleep(0.2)
    raise TimeoutError("monitor: not ready within 120 s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--backlog-minutes", type=int, default=10)
    asyncio.run(main(parser.parse_args()))
