"""All of ecgstream on one machine: a broker, the monitor, alerting, the console, and a small ward of patients.

The processes are the same that a server runs, only started from here. One patient is a real recording, the others are
simulated. Their first seconds are sent ahead: once a finding comes back, all stands, and what is left of the recording
follows at the chosen speed. From its end on, which is now, the ward goes on in real time.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgstream.brokers import BrokerKind, embedded_broker
from ecgstream.codec import MSGPACK, decode
from ecgstream.kafka import ENV_PREFIX, client_options, load_settings, started
from ecgstream.messages import Alert, AlertState, Finding
from ecgstream.topics import Topics, create

if TYPE_CHECKING:
    from ecgstream.recordings import Recording

AHEAD_S = 10
READY_TIMEOUT_S = 180.0
SETTLE_S = 10.0
STOP_TIMEOUT_S = 15.0
CONSOLE_PORT = 8344


class DemoFailed(RuntimeError):
    """The demo can't go on; the text says why."""


@dataclass
class Progress:
    """How far the demo is, in seconds of the recording."""

    total_s: float
    sent_s: float = 0.0
    analysed_s: float = 0.0
    findings: int = 0
    raised: set[str] = field(default_factory=set)
    begun: float = field(default_factory=time.monotonic)
    first_alert_s: float | None = None
    last_news: float = field(default_factory=time.monotonic)
    is_followed: asyncio.Event = field(default_factory=asyncio.Event)
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, record: Finding | Alert) -> None:
        """Take in one record that came back."""
        self.last_news = time.monotonic()
        if isinstance(record, Finding):
            self.findings += 1
            self.is_answered.set()
            self.analysed_s = max(self.analysed_s, min(self.total_s, record.window + 1.0))
        elif record.state is AlertState.RAISED:
            self.raised.add(record.alert_id)
            if self.first_alert_s is None:
                self.first_alert_s = time.monotonic() - self.begun

    @property
    def is_over(self) -> bool:
        """Whether all was sent and nothing has come back for a while."""
        return self.sent_s >= self.total_s and time.monotonic() - self.last_news > SETTLE_S


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo is to do. Without `bootstrap_servers` it runs a broker of its own, of kind `broker`."""

    recording: "Recording"
    device_id: str
    speed: float
    broker: BrokerKind = "tansu"
    bootstrap_servers: str | None = None
    partitions: int = 4
    stay: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where Kafka is for this demo: aiokafka's options, the topics, the environment of the processes."""

    options: dict[str, Any]
    topics: Topics
    environment: dict[str, str]
    is_own: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the demo shows things."""

    say: Callable[[str], None]
    show_alert: Callable[[Alert], None]
    show_progress: Callable[[Progress], None]


async def run(plan: Plan, screen: Screen) -> Progress:
    """Run the demo to the recording's end, or with `stay` until it is cancelled; gives how far it came.

    Raises `DemoFailed` when a process ends by itself, `BrokerUnavailable` when the broker can't run here.
    """
    async with AsyncExitStack() as stack:
        place = await _place(plan, stack, screen)
        await create(place.options, place.topics, plan.partitions)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecgstream-demo-")))
        port = _port()
        commands = (("monitor",), ("alerting",), ("serve", "--port", str(port)))
        processes = {
            command[0]: await stack.enter_async_context(_process(command, place, folder))
            for command in commands
        }
        screen.say(
            "Monitor, alerting and console start (the first time, kernels are compiled: a minute or two)."
        )
        screen.say(f"The on-call console: http://127.0.0.1:{port}")
        progress = Progress(total_s=plan.recording.duration_s)
        session = f"demo-{time.time_ns() // 1_000_000}"
        work = [
            asyncio.create_task(_follow(place, session, progress, screen)),
            asyncio.create_task(_publish(place, plan, session, progress, screen)),
            asyncio.create_task(_until_over(progress, plan.stay)),
            *(asyncio.create_task(_guard(name, process, folder)) for name, process in processes.items()),
        ]
        try:
            await _first_end(work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return progress


async def _place(plan: Plan, stack: AsyncExitStack, screen: Screen) -> Place:
    if plan.bootstrap_servers is not None:
        settings = load_settings(bootstrap_servers=plan.bootstrap_servers)
        environment = {**os.environ, f"{ENV_PREFIX}BOOTSTRAP_SERVERS": settings.bootstrap_servers}
        return Place(client_options(settings), Topics(settings.topic_prefix), environment, is_own=False)
    servers = await stack.enter_async_context(embedded_broker(plan.broker))
    screen.say(f"Broker ({plan.broker}) listens on {servers}.")
    # What the environment says of another Kafka is none of this one's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    environment[f"{ENV_PREFIX}BOOTSTRAP_SERVERS"] = servers
    return Place({"bootstrap_servers": servers}, Topics(), environment, is_own=True)


async def _first_end(work: list[asyncio.Task[None]]) -> None:
    """Wait until the demo is over (the third task ends) or any task fails."""
    over = work[2]
    pending = set(work)
    while over in pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _until_over(progress: Progress, stay: bool) -> None:
    while stay or not progress.is_over:  # noqa: ASYNC110 (it is over when time has passed, which is no event)
        await asyncio.sleep(0.2)


def _port() -> int:
    """The console's usual port, or a free one where that is taken."""
    for port in (CONSOLE_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no port is free for the console on 127.0.0.1")


@asynccontextmanager
async def _process(
    command: tuple[str, ...], place: Place, folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of ecgstream's processes, in a session of its own so that Ctrl-C reaches the demo alone."""
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ecgstream", *command,
            cwd=folder, env={**place.environment, "TMPDIR": str(folder)}, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _guard(name: str, process: asyncio.subprocess.Process, folder: Path) -> None:
    """Fail when the process ends by itself."""
    code = await process.wait()
    log = (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    raise DemoFailed(f"{name}: ended with code {code}\n{log[-3000:]}")


async def _publish(place: Place, plan: Plan, session: str, progress: Progress, screen: Screen) -> None:
    """Send the ward's streams: the first seconds, after a finding on them the rest of the recording, then real time."""
    from aiokafka import AIOKafkaProducer

    from ecgstream.simulator import ward
    from ecgstream.simulator.devices import deliveries_of, merged

    length_s, headers = progress.total_s, [("content-type", MSGPACK.encode())]
    replay_s = max(0.0, length_s - AHEAD_S) / plan.speed  # what comes after it, in real time, is of now
    start_us = time.time_ns() // 1000 - round((length_s - replay_s) * 1e6)
    devices = await asyncio.to_thread(ward.devices, plan.recording, plan.device_id, session, start_us)
    await progress.is_followed.wait()
    begin: float | None = None
    async with started(AIOKafkaProducer, **place.options) as producer:
        for delivery in merged([deliveries_of(device) for device in devices]):
            if delivery.at_s > length_s and not plan.stay:
                break
            if delivery.at_s > AHEAD_S:
                if begin is None:
                    await producer.flush()
                    await _answer(progress)
                    screen.say(f"The recording is replayed at {plan.speed:g} times its speed.")
                    begin = time.monotonic() - AHEAD_S / plan.speed
                fast_s = min(delivery.at_s, length_s)
                due = begin + fast_s / plan.speed + delivery.at_s - fast_s
                await asyncio.sleep(due - time.monotonic())
            await producer.send(place.topics.samples, delivery.value, key=delivery.key, headers=headers)
            progress.sent_s = min(delivery.at_s, length_s)
            progress.last_news = time.monotonic()
            screen.show_progress(progress)
        await producer.flush()
        progress.sent_s = length_s


async def _answer(progress: Progress) -> None:
    try:
        await asyncio.wait_for(progress.is_answered.wait(), READY_TIMEOUT_S)
    except TimeoutError:
        raise DemoFailed(f"monitor: no finding within {READY_TIMEOUT_S:.0f} s") from None


async def _follow(place: Place, session: str, progress: Progress, screen: Screen) -> None:
    """Read findings and alerts of the session as they come."""
    from aiokafka import AIOKafkaConsumer

    kinds: dict[str, type[Any]] = {place.topics.rhythm: Finding, place.topics.alerts: Alert}
    start = "earliest" if place.is_own else "latest"
    async with started(AIOKafkaConsumer, *kinds, **place.options, auto_offset_reset=start) as consumer:
        for partition in consumer.assignment():
            await consumer.position(partition)  # from here on, nothing is missed
        progress.is_followed.set()
        async for message in consumer:
            record = decode(kinds[message.topic], message.value)
            if record.session == session:
                progress.note(record)
                screen.show_progress(progress)
                if isinstance(record, Alert):
                    screen.show_alert(record)
