"""The broker in trouble while devices stream: stopped, killed, frozen. Its disk is kept."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from ecgstream.brokers import Broker
from ecgstream.recordings import Recording
from ecgstream.replay import chunks
from process_ward import Expected, Ward, judge, running, stream

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.timeout(900)]

Wrong = Callable[[Broker], Awaitable[None]]


async def restart(broker: Broker) -> None:
    await asyncio.sleep(10)
    await asyncio.to_thread(broker.stop)
    await asyncio.sleep(5)
    await asyncio.to_thread(broker.start)


async def crash(broker: Broker) -> None:
    await asyncio.sleep(10)
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)


async def stutter(broker: Broker) -> None:
    for _ in range(6):
        await asyncio.sleep(3)
        await freeze(broker, 2.5)


async def freeze_long(broker: Broker) -> None:
    await asyncio.sleep(10)
    await freeze(broker, 20)  # longer than the sessions of the groups' members


async def freeze(broker: Broker, seconds: float) -> None:
    assert broker.process is not None
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)


NAMES: dict[Wrong, str] = {
    restart: "broker stopped and started again",
    crash: "kill -9 of the broker",
    stutter: "slow broker: stands still for 2.5 s, six times",
    freeze_long: "broker stands still for 20 s",
}


async def keep_up(ward: Ward) -> None:
    """Start a process again that ended: without its broker it may."""
    await asyncio.gather(
        ward.keep("monitor", "monitor", "--instance", "m0"), ward.keep("alerting", "alerting")
    )


@pytest.mark.parametrize("wrong", NAMES, ids=lambda wrong: wrong.__name__)
async def test_the_broker_in_trouble_costs_nothing_but_time(
    wrong: Wrong, broker: Broker, topic_prefix: str, patients: dict[str, Recording], expected: Expected
) -> None:
    async with running(broker.bootstrap_servers, topic_prefix) as ward:
        streams = {name: chunks(r, name, "s") for name, r in patients.items()}
        supervisor = asyncio.create_task(keep_up(ward))
        try:
            await asyncio.gather(stream(ward, streams), wrong(broker))
            await judge(ward, NAMES[wrong], expected)
        finally:
            supervisor.cancel()
