"""Real processes against Apache Kafka, killed, moved and doubled while devices stream: no finding lost, the same alerts, each once."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable

import pytest

from ecgstream.recordings import Recording
from ecgstream.replay import chunks
from process_ward import Expected, Ward, judge, running, stream

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.timeout(900)]

Wrong = Callable[[Ward], Awaitable[None]]


async def kill_monitor(ward: Ward) -> None:
    for _ in range(3):
        await asyncio.sleep(random.Random(os.urandom(4)).uniform(4, 12))
        ward.kill("monitor")
        ward.start("monitor", "monitor", "--instance", "m0")


async def kill_alerting(ward: Ward) -> None:
    for _ in range(2):
        await asyncio.sleep(random.Random(os.urandom(4)).uniform(8, 18))
        ward.kill("alerting")
        ward.start("alerting", "alerting")


async def come_and_go(ward: Ward) -> None:
    await asyncio.sleep(8)
    ward.start("second", "monitor", "--instance", "m1")
    await asyncio.sleep(15)
    ward.end("monitor")
    await asyncio.sleep(10)
    ward.kill("second")
    ward.start("second", "monitor", "--instance", "m1")


NAMES: dict[Wrong, str] = {
    kill_monitor: "kill -9 of a monitor, three times",
    kill_alerting: "kill -9 of alerting, twice",
    come_and_go: "monitors come and go",
}


IN_CI = pytest.param(kill_monitor, marks=pytest.mark.brief)


@pytest.mark.parametrize("wrong", [IN_CI, *list(NAMES)[1:]], ids=lambda wrong: wrong.__name__)
async def test_nothing_is_lost_and_nothing_told_twice(
    wrong: Wrong, apache_servers: str, topic_prefix: str, patients: dict[str, Recording], expected: Expected
) -> None:
    async with running(apache_servers, topic_prefix) as ward:
        streams = {name: chunks(r, name, "s") for name, r in patients.items()}
        await asyncio.gather(stream(ward, streams), wrong(ward))
        await judge(ward, NAMES[wrong], expected)


async def test_of_two_monitors_with_one_static_id_the_older_one_ends(
    apache_servers: str, topic_prefix: str, patients: dict[str, Recording], expected: Expected
) -> None:
    async def double(ward: Ward) -> None:
        await ward.until(lambda: "assigned" in ward.said("monitor"), "the monitor's partitions")
        await asyncio.sleep(5)
        ward.start("twin", "monitor", "--instance", "m0")
        await ward.until(lambda: ward.processes["monitor"].poll() is not None, "the older one's end")

    async with running(apache_servers, topic_prefix) as ward:
        streams = {name: chunks(r, name, "s") for name, r in patients.items()}
        await asyncio.gather(stream(ward, streams), double(ward))
        await judge(ward, "two monitors with one static id", expected)
        assert ward.processes["monitor"].returncode == 2  # a supervisor doesn't start it again
        assert "--instance m0: another monitor" in ward.said("monitor")
        assert ward.processes["twin"].poll() is None
