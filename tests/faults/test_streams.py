"""What devices do to the system: wrong clocks, an hour's backlog, one that talks too much, a record that hits a bug."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from ecgstream.messages import Alert, AlertState, Chunk, DeadLetter
from ecgstream.model_folder import Model
from ecgstream.recordings import Recording
from ecgstream.replay import chunks
from process_ward import Expected, expect, findings_of, judge, running, stream
from streams import letters_until, read_until

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.timeout(900)]

POISONED = (str(Path(__file__).with_name("poisoned.py")),)
POISON = 20_000  # as there
COPIES = 8


async def test_clocks_that_jump(
    apache_servers: str, topic_prefix: str, patients: dict[str, Recording], model: Model
) -> None:
    def jump(made: list[Chunk], by_s: float) -> list[Chunk]:
        middle = len(made) // 2
        moved = [msgspec.structs.replace(c, start_us=c.start_us + round(by_s * 1e6)) for c in made[middle:]]
        return made[:middle] + moved

    jumps = dict(zip(patients, (60.0, -60.0, 86_400.0, -3600.0), strict=True))
    streams = {name: jump(list(chunks(r, name, "s")), jumps[name]) for name, r in patients.items()}
    expected = expect(f for made in streams.values() for f in findings_of(made, model))
    async with running(apache_servers, topic_prefix) as ward:
        await stream(ward, streams)
        await judge(ward, "clocks that jump by a minute, an hour, a day", expected)
        alerts = await read_until(ward.servers, ward.topics.alerts, Alert, lambda found: found)
    raised = {a.device_id for a in alerts if a.kind == "clock-fault" and a.state is AlertState.RAISED}
    assert raised == set(patients)


async def test_a_backlog_is_worked_off_as_if_nobody_had_been_away(
    apache_servers: str, topic_prefix: str, patients: dict[str, Recording], expected: Expected
) -> None:
    """All that was sent while neither process ran."""
    found = [
        msgspec.structs.replace(f, device_id=f"{f.device_id}-{k}")
        for k in range(COPIES)
        for f in expected.findings.values()
    ]
    streams = {
        f"{name}-{k}": chunks(r, f"{name}-{k}", "s") for name, r in patients.items() for k in range(COPIES)
    }
    async with running(apache_servers, topic_prefix, at_once=False) as ward:
        await stream(ward, streams, speed=1000)
        ward.start("alerting", "alerting")
        ward.start("monitor", "monitor")
        await judge(ward, "a backlog of all that was sent", expect(found), 400)


async def test_a_record_that_hits_a_bug_is_parked_and_told(
    apache_servers: str, topic_prefix: str, patients: dict[str, Recording], model: Model
) -> None:
    def without_poison(made: list[Chunk]) -> list[Chunk]:
        return [c for c in made if not c.first_sample <= POISON < c.end_sample or c.device_id != "asystole"]

    streams = {name: list(chunks(r, name, "s")) for name, r in patients.items()}
    expected = expect(f for made in streams.values() for f in findings_of(without_poison(made), model))
    assert sum(map(len, streams.values())) == 1 + sum(len(without_poison(c)) for c in streams.values())
    async with running(apache_servers, topic_prefix, at_once=False) as ward:
        ward.start("alerting", "alerting")
        supervisor = asyncio.create_task(
            ward.keep("monitor", "monitor", "--instance", "m0", program=POISONED)
        )
        try:
            await stream(ward, streams)
            await judge(ward, "a record that makes the monitor raise", expected)
        finally:
            supervisor.cancel()
        letters = await letters_until(ward.servers, ward.topics, 1)
        alerts = await read_until(
            ward.servers,
            ward.topics.alerts,
            Alert,
            lambda found: any(a.kind == "record-parked" for a in found),
        )
        assert ward.said("monitor").count("assigned") == 3  # two crashes
    assert [type(letter) for letter in letters if letter.parked] == [DeadLetter]
    assert {a.device_id for a in alerts if a.kind == "record-parked"} == {"asystole"}
