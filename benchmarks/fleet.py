"""The greatest fleet that one simulator process holds in real time: 1-s chunks of 250 Hz into Apache Kafka.

    python benchmarks/fleet.py --devices 2000 4000 8000 12000

Each size streams for `--seconds` through the gateway client; it is held when no record comes more than a second late. CPU is the
simulator's own, as a share of one core. Ends after the first size that isn't held.
"""

import argparse
import asyncio
import time
from dataclasses import replace

import numpy as np
from scipy import signal

from ecgstream.brokers import embedded_broker
from ecgstream.gateway import Gateway
from ecgstream.kafka import load_settings
from ecgstream.recordings import Recording, toy_recording
from ecgstream.simulator.devices import deliveries_of, fleet, merged
from ecgstream.simulator.fleet import Pace, play
from ecgstream.topics import Topics, create

FS_HZ = 250


def at_250_hz() -> Recording:
    """The five minutes of MIT-BIH 208, at the rate of the fleet."""
    toy = toy_recording()
    samples = signal.resample_poly(toy.samples.astype(np.float64), 25, 36).round().astype(np.int16)
    return replace(toy, fs_hz=float(FS_HZ), samples=samples, annotations=None)


async def streamed(servers: str, recording: Recording, devices: int, seconds: float) -> Pace:
    """Stream a fleet of this size."""
    now_us = time.time_ns() // 1000
    members = fleet(
        recording, devices, prefix=f"fleet-{devices}", session=str(now_us), start_us=now_us, phase_spread_s=1.0, chunk_s=1.0,
        content_type="application/msgpack", loop=True,
    )  # fmt: skip
    deliveries = merged([deliveries_of(member) for member in members])
    async with Gateway(load_settings(bootstrap_servers=servers)) as gateway:
        return await play(deliveries, gateway, 1.0, for_s=seconds)


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    recording = at_250_hz()
    print(f"{'devices':>8}{'records/s':>11}{'worst lag':>11}{'one core':>10}   held")
    async with embedded_broker("apache") as servers:
        await create({"bootstrap_servers": servers}, Topics(), 8)
        await streamed(servers, recording, 100, 5.0)  # the broker takes up its new partitions
        for devices in arguments.devices:
            pace = await streamed(servers, recording, devices, arguments.seconds)
            share = 100 * pace.cpu_s / pace.wall_s
            held = "yes" if pace.is_held else "no"
            print(f"{devices:8}{pace.rate:11.0f}{pace.worst_lag_s:9.2f} s{share:8.0f} %   {held}", flush=True)
            if not pace.is_held:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--devices", type=int, nargs="+", default=[1000, 2000, 3000, 4000, 6000, 8000, 12000, 16000]
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    asyncio.run(main(parser.parse_args()))
