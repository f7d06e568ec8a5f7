"""Whether memory stays flat over a day of one device's stream, through monitor and alerting but for Kafka, as fast as it goes.

    python benchmarks/memory.py [HOURS]

Records of one second at 250 Hz, in batches of `BATCH`, with the faults of real life: a gap, a repeated record, a second
without contact and a new session now and then. Prints for the end of each hour what the process holds, what alerting
stores of the device, and how many records back a restart would read; then the slope over all hours but the first, in
which tables and buffers reach their sizes.
"""

import argparse
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ecgstream.analysis import Analyzer
from ecgstream.codec import encode
from ecgstream.limits import load_limits
from ecgstream.messages import Chunk
from ecgstream.model_folder import load_model
from ecgstream.pipeline import Pipeline
from ecgstream.shipped import shipped_model
from ecgstream.simulator.scenarios import read_scenario
from ecgstream.speaking import State
from ecgstream.watch import on_finding, on_tick

PARTITION = ("ecg.samples", 0)
FS_HZ, BATCH, HOUR_S = 250, 10, 3600
START_US = 1_700_000_000_000_000
SCENARIO = Path(__file__).parents[1] / "simulators" / "scenarios" / "frequent-pvcs.yaml"


class Record(NamedTuple):
    """A record as a consumer gives it."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes = b"device"
    topic: str = "ecg.samples"
    partition: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def records(hours: int) -> Iterator[Record]:
    """The device's records of so many hours."""
    recording = read_scenario(SCENARIO).signal()
    signal = np.ascontiguousarray(recording.samples, dtype="<i2")
    assert recording.fs_hz == FS_HZ
    n_seconds, session, first = len(signal) // FS_HZ, "s0", 0
    offset = 0
    for second in range(hours * HOUR_S):
        if second % 7200 == 7199:
            session, first = f"s{second}", second
        if second % 301 == 300:
            continue  # lost
        at = second % n_seconds * FS_HZ
        chunk = Chunk(
            device_id="device",
            session=session,
            first_sample=(second - first) * FS_HZ,
            start_us=START_US + second * 1_000_000,
            fs_hz=FS_HZ,
            uv_per_lsb=recording.uv_per_lsb,
            samples=signal[at : at + FS_HZ].tobytes(),
            lead_off=second % 997 == 0,
        )
        for _ in range(2 if second % 211 == 0 else 1):
            yield Record(offset, START_US // 1000 + second * 1000, encode(chunk))
            offset += 1


def resident_mb() -> float:
    """What this process holds in memory [MB]."""
    gc.collect()
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1000


def main(hours: int) -> None:
    """Stream, and print the table."""
    pipeline = Pipeline(Analyzer(load_model(shipped_model()), max_devices=1), time.perf_counter)
    limits, state = load_limits(), State("device")
    print(
        f"{'hour':>4} {'findings':>9} {'alerts':>7} {'read again':>11} {'stored kB':>10} {'MB':>8}",
        flush=True,
    )
    batch: list[Record] = []
    n_findings, alerts, held_mb, hour = 0, set[str](), [], 0
    for record in records(hours):
        batch.append(record)
        if len(batch) < BATCH:
            continue
        for finding in pipeline.process(batch).findings:
            n_findings += 1
            told = on_finding(state, finding, limits, finding.end_us)
            alerts |= {alert.alert_id for alert in told + on_tick(state, limits, finding.end_us)}
        next_offset = record.offset + 1
        behind = next_offset - pipeline.committable({PARTITION: next_offset})[PARTITION]
        batch = []
        if (record.timestamp - START_US // 1000) // 1000 >= (hour + 1) * HOUR_S - 2 * BATCH:
            hour += 1
            held_mb.append(resident_mb())
            stored_kb = len(msgspec.msgpack.encode(state)) / 1000
            print(
                f"{hour:4d} {n_findings:9,d} {len(alerts):7,d} {behind:11d} {stored_kb:10.1f} {held_mb[-1]:8.1f}",
                flush=True,
            )
    if len(held_mb) > 2:
        slope = np.polyfit(np.arange(1, len(held_mb)), held_mb[1:], 1)[0]
        print(f"slope after the first hour: {1000 * slope:+.0f} kB an hour")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hours", nargs="?", type=int, default=24, help="of the stream (default: 24)")
    main(parser.parse_args().hours)
