"""The monitor beside the pipeline that a newcomer would write, and beside Stanford's network: devices a core, in one run.

    python benchmarks/newcomer.py --devices 500 --newcomers 20

All through one Apache Kafka, each alone at its load, with one finding a second a device. The newcomer's pipeline is a Faust agent that
takes one message a second from each device, cleans the last 30 s with `neurokit2.ecg_clean`, and gives them to a network in
torch eager: ours, or the 34 layers of Rajpurkar et al. 2017. CPU time is that of the whole process.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer
from system import FS_HZ, TOPICS, Sender, cpu_s, in_real_time, monitored

from ecgstream.brokers import embedded_broker
from ecgstream.codec import decode
from ecgstream.messages import Chunk

WINDOW_S, MEASURED_S = 30, 25
NETWORKS = ("ours", "stanford")


def classifier(network: str) -> Callable[[np.ndarray], list[float]]:
    """30 s of cleaned signal at 250 Hz to probabilities, in torch eager on one thread."""
    import torch
    from scipy import signal

    from ecgstream.training import stanford
    from ecgstream.training.network import FS_HZ as MODEL_FS_HZ
    from ecgstream.training.network import Network, scaled

    torch.set_num_threads(1)
    ours, theirs = Network().eval(), stanford.StanfordNetwork(12).eval()

    @torch.inference_mode()
    def with_ours(x: np.ndarray) -> list[float]:
        line = torch.from_numpy(signal.resample(x, WINDOW_S * MODEL_FS_HZ).astype(np.float32))[None]
        _, context = ours.encoder(scaled(line)[:, None, None])
        values = ours.rhythm.values(context)
        return torch.softmax(ours.rhythm.pool(values, torch.ones(values.shape[:2])), 1)[0].tolist()

    @torch.inference_mode()
    def with_stanfords(x: np.ndarray) -> list[float]:
        line = torch.from_numpy(signal.resample(x, stanford.WINDOW).astype(np.float32))[None]
        return torch.softmax(theirs(line), -1).flatten().tolist()

    return with_ours if network == "ours" else with_stanfords


async def newcomer(servers: str, network: str) -> None:
    """The newcomer's process: runs until it is stopped."""
    import faust
    import neurokit2

    app = faust.App(
        f"newcomer-{network}-{os.getpid()}", broker=f"kafka://{servers}", store="memory://", web_enabled=False, topic_partitions=8,
        value_serializer="raw", autodiscover=False, stream_wait_empty=False, datadir=tempfile.mkdtemp(),
        consumer_auto_offset_reset="latest",
    )  # fmt: skip
    samples = app.topic(TOPICS.samples, value_type=bytes, value_serializer="raw")
    rhythm = app.topic("newcomer.rhythm", value_type=bytes, value_serializer="raw", partitions=8)
    windows: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW_S * FS_HZ))
    classify = classifier(network)

    async def agent(stream: Any) -> None:
        async for value in stream:
            chunk = decode(Chunk, value)
            window = windows[chunk.device_id]
            window.extend(np.frombuffer(chunk.samples, "<i2") * chunk.uv_per_lsb)
            if len(window) == WINDOW_S * FS_HZ:
                clean = neurokit2.ecg_clean(np.array(window), sampling_rate=FS_HZ)
                finding = {"device_id": chunk.device_id, "rhythm": classify(clean)}
                await rhythm.send(value=json.dumps(finding).encode())

    app.agent(samples, name="newcomer")(agent)
    app.finalize()
    await app.start()
    print("started", flush=True)
    await asyncio.Event().wait()


async def measured(client: dict[str, str], network: str, n_devices: int) -> dict[str, object]:
    """The newcomer's figures under a load that it can hold: where that isn't `n_devices`, half of it, and so on."""
    used, wall = await under_load(client, network, n_devices)
    if used > 0.95 * wall and n_devices > 1:
        print(
            f"newcomer, {network}: doesn't hold {n_devices} devices, half as many are tried", file=sys.stderr
        )
        return await measured(client, network, n_devices // 2)
    return {
        "devices": n_devices,
        "cores": round(used / wall, 3),
        "devices_a_core": round(n_devices * wall / used),
    }


async def under_load(client: dict[str, str], network: str, n_devices: int) -> tuple[float, float]:
    """Run the newcomer's process; the CPU time that it used and the time that passed, once all windows are full [s]."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--serve",
        network,
        client["bootstrap_servers"],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        await asyncio.sleep(5)  # its partitions
        async with AIOKafkaProducer(**client, linger_ms=5) as producer:
            sender = Sender(producer, f"n-{network}", n_devices)
            streaming = asyncio.create_task(sender.stream(WINDOW_S + 5 + MEASURED_S))
            await asyncio.sleep(WINDOW_S + 5)
            before, begin = cpu_s(process.pid), time.monotonic()
            await streaming
            used, wall = cpu_s(process.pid) - before, time.monotonic() - begin
    finally:
        process.kill()
        await process.wait()
    return used, wall


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    found: dict[str, dict[str, Any]] = {}
    async with embedded_broker("apache") as servers:
        client = {"bootstrap_servers": servers}
        async with monitored(client) as (pid, port):
            found["ecgstream"] = await in_real_time(client, pid, port, arguments.devices, 2 * MEASURED_S)
        for network in NETWORKS:
            found[f"newcomer, {network}"] = await measured(client, network, arguments.newcomers)
    first = found["ecgstream"]["devices_a_core"]
    print(f"{'':24}{'devices':>9}{'cores':>8}{'devices a core':>16}{'ours holds':>12}")
    for name, row in found.items():
        times = first / row["devices_a_core"]
        print(f"{name:24}{row['devices']:9}{row['cores']:8}{row['devices_a_core']:16}{times:11.1f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=500, help="devices for ecgstream's monitor")
    parser.add_argument("--newcomers", type=int, default=20, help="devices for each newcomer's process")
    parser.add_argument("--serve", nargs=2, metavar=("NETWORK", "SERVERS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(newcomer(given.serve[1], given.serve[0]))
    else:
        asyncio.run(main(given))
