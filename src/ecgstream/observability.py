"""What a monitor says of itself: metrics, structured logs, and whether it is alive and ready.

``/metrics`` is Prometheus text. ``/healthz`` is 200 while the work loop goes round and no records wait unread for
long, ``/readyz`` while it also has partitions; both look at progress, not at whether the process exists. Nothing here
holds a signal or a finding.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from ecgstream.letters import field_at_fault, known_fields
from ecgstream.messages import Quality
from ecgstream.pipeline import STAGES, Batch, Pipeline
from ecgstream.sessions import Partition

HEALTHY_S = 60.0
AT_FAULT_TOGETHER = "fs_hz, uv_per_lsb"  # in the words of `Chunk`
LATENCIES_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 3600)

RECORDS = Counter("ecgstream_records_total", "Records read from the samples topic.")
FINDINGS = Counter("ecgstream_findings_total", "Findings published.", ["quality"])
DEAD_LETTERS = Counter("ecgstream_dead_letters_total", "Records refused, by the field at fault.", ["field"])
STAGE_SECONDS = Counter("ecgstream_stage_seconds_total", "Time spent, by stage.", ["stage"])
BATCH_SECONDS = Histogram("ecgstream_batch_seconds", "Time for one batch of records.")
BATCH_RECORDS = Histogram(
    "ecgstream_batch_records", "Records in one batch.", buckets=[1, 10, 50, 100, 500, 1000, 5000]
)
CNN_BATCH = Histogram(
    "ecgstream_cnn_batch_streams",
    "Streams in one call of the network.",
    buckets=[1, 4, 16, 64, 256, 1024, 4096],
)
FROM_SAMPLE = Histogram(
    "ecgstream_finding_latency_from_sample_seconds",
    "From the device's time of a window's end to its finding.",
    buckets=LATENCIES_S,
)
FROM_PUBLISH = Histogram(
    "ecgstream_latency_from_publish_seconds",
    "From a record's time in the log to the findings that followed from it.",
    buckets=LATENCIES_S,
)
LAG_RECORDS = Gauge("ecgstream_lag_records", "Records not read yet.", ["topic", "partition"])
LAG_SECONDS = Gauge(
    "ecgstream_lag_seconds",
    "Of the partition farthest behind: age of the last record read, by the log's time; before the first, how long "
    "records wait; 0 while none waits.",
)
DEVICES = Gauge("ecgstream_live_devices", "Devices with a session.")
REASSEMBLY = Gauge("ecgstream_reassembly", "What reassembly did to chunks, since the start.", ["what"])


def begin() -> None:
    """Show what may be counted, at 0: of a series that comes with its first event, ``increase`` doesn't see that event."""
    for quality in Quality:
        FINDINGS.labels(quality.value)
    for field in (*known_fields(), AT_FAULT_TOGETHER):
        DEAD_LETTERS.labels(field)
    for stage in (*STAGES, "produce"):
        STAGE_SECONDS.labels(stage)


def note_batch(batch: Batch, pipeline: Pipeline, record_ms: list[int], seconds: float) -> None:
    """Count what one batch came to; `record_ms` are its records' log times."""
    now = time.time()
    RECORDS.inc(len(record_ms))
    BATCH_RECORDS.observe(len(record_ms))
    BATCH_SECONDS.observe(seconds)
    for stage, spent in batch.seconds.items():
        STAGE_SECONDS.labels(stage).inc(spent)
    for finding in batch.findings:
        FINDINGS.labels(finding.quality.value).inc()
        FROM_SAMPLE.observe(max(0.0, now - finding.end_us / 1e6))
    if record_ms:
        FROM_PUBLISH.observe(max(0.0, now - min(record_ms) / 1e3))
    for letter in batch.letters:
        DEAD_LETTERS.labels(field_at_fault(letter.reason)).inc()
    for n_streams in batch.network_batches:
        CNN_BATCH.observe(n_streams)
    for what, n in asdict(pipeline.counts).items():
        REASSEMBLY.labels(what).set(n)
    DEVICES.set(pipeline.n_devices)


class Progress:
    """When the work loop last went round, whether it has partitions, and whether records wait that it doesn't get."""

    def __init__(self) -> None:
        self._at = self._read_at = time.monotonic()
        self._waiting_since: dict[Partition, float] = {}  # where records wait
        self._read_to_s: dict[Partition, float] = {}  # the log's time up to which all is read
        self.assigned = False
        LAG_SECONDS.set_function(lambda: self.lag_s)

    def tick(self) -> None:
        """The loop went round."""
        self._at = time.monotonic()

    def read(self, record_ms: Mapping[Partition, int]) -> None:
        """Records were worked off, the last of each partition written at `record_ms` by the log's time."""
        self._read_at = time.monotonic()
        self._read_to_s |= {partition: ms / 1e3 for partition, ms in record_ms.items()}

    def waiting(self, behind: Mapping[Partition, int]) -> None:
        """How many records the broker has that weren't read, of each partition that this process has."""
        now, by_log = time.monotonic(), time.time()
        since = self._waiting_since
        self._waiting_since = {p: since.get(p, now) for p, n_records in behind.items() if n_records > 0}
        read_to = {p: s for p, s in self._read_to_s.items() if p in self._waiting_since}
        # What comes to a partition that had been idle hasn't waited since that one's last record.
        self._read_to_s = read_to | {p: by_log for p, n_records in behind.items() if n_records <= 0}

    @property
    def lag_s(self) -> float:
        """Age of the last record read [s] in the partition farthest behind; 0 while no record waits.

        Before the first: how long records are known to wait. Since none waited: how long that is ago.
        """
        now, by_log, read_to = time.monotonic(), time.time(), self._read_to_s
        ages = [
            by_log - read_to[p] if p in read_to else now - since for p, since in self._waiting_since.items()
        ]
        return max(0.0, *ages) if ages else 0.0

    @property
    def healthy(self) -> bool:
        """Whether the loop went round lately, and records that wait were read lately."""
        now, since = time.monotonic(), min(self._waiting_since.values(), default=None)
        is_stuck = since is not None and now - max(since, self._read_at) >= HEALTHY_S
        return now - self._at < HEALTHY_S and not is_stuck


@asynccontextmanager
async def served(progress: Progress, host: str, port: int | None) -> AsyncIterator[int | None]:
    """Serve the three pages while the block runs (port 0 takes a free one; None serves nothing); gives the port."""
    if port is None:
        yield None
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), 5.0)
            status, kind, body = _page(line.decode("latin-1").split(" ")[1:2], progress)
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # whoever asked went away or spoke no HTTP; there is nobody to tell
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def _page(path: list[str], progress: Progress) -> tuple[str, str, bytes]:
    text = "text/plain; charset=utf-8"
    match path:
        case ["/metrics"]:
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
        case ["/healthz"]:
            good = progress.healthy
        case ["/readyz"]:
            good = progress.healthy and progress.assigned
        case _:
            return "404 Not Found", text, b"/metrics, /healthz, /readyz\n"
    return ("200 OK", text, b"ok\n") if good else ("503 Service Unavailable", text, b"no progress\n")
