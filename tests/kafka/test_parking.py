"""Records that make our own code raise, on real brokers: parked the second time, told once, and nobody else is harmed."""

from typing import Any

import msgspec
import pytest

import ecgstream.watch
from alerting_ward import FINDINGS, Ward
from ecgstream.frontend import Block
from ecgstream.limits import load_limits
from ecgstream.messages import Alert, AlertState, Chunk, DeadLetter, Finding
from ecgstream.replay import Place
from ecgstream.topics import Topics, create
from ecgstream.watch import over_findings
from logs import Memoryless, chunk, ecg, read
from streams import DEVICES, findings_until, letters_until, monitoring, publish, raw, stumble

FS, POISON = 100, 2350  # a sample of device d1 on which the front end raises


class Poisoned(Memoryless):
    """A front end with a bug."""

    def feed(self, batch: Any) -> list[Block]:
        for _, piece in batch:
            if piece.device_id == "d1" and 0 <= POISON - piece.first_sample < len(piece.samples):
                raise ZeroDivisionError("a bug")
        return super().feed(batch)


def cut(device_id: str, seed: int) -> list[Chunk]:
    samples = ecg(FS * 100, FS, seed)
    made = [chunk(at, samples[at : at + FS], device_id=device_id) for at in range(0, len(samples), FS)]
    return [*made, chunk(10**6, [0] * 10 * FS, device_id=device_id, session="over")]


def is_poison(record: Chunk) -> bool:
    return record.device_id == "d1" and record.first_sample <= POISON < record.end_sample


def without_poison(chunks: list[Chunk]) -> dict[tuple[str, str, int], Finding]:
    kept = [c for c in chunks if not is_poison(c)]
    return read([(c, Place(k, 1)) for k, c in enumerate(kept)], memoryless=True).by_identity()


@pytest.mark.kafka  # the embedded broker keeps no metadata with commits
async def test_a_record_on_which_the_monitor_raises_is_parked_and_harms_nobody(
    apache_servers: str, topic_prefix: str
) -> None:
    servers, topics = apache_servers, Topics(topic_prefix)
    await create({"bootstrap_servers": servers}, topics, 4)
    devices = [cut(f"d{k}", seed=k) for k in range(5)]
    in_turn = [c for together in zip(*devices, strict=True) for c in together]
    expected: dict[tuple[str, str, int], Finding] = {}
    for chunks in devices:
        expected |= without_poison(chunks)
    await publish(servers, topics.samples, [raw(c) for c in in_turn[:250]])
    await stumble(servers, topics, Poisoned(DEVICES), ZeroDivisionError)
    assert not await letters_until(servers, topics, 0)  # one crash may be chance
    await stumble(servers, topics, Poisoned(DEVICES), ZeroDivisionError)
    async with monitoring(servers, topics, Poisoned(DEVICES)):
        await findings_until(servers, topics, lambda f: len(f) > 100)
    await publish(servers, topics.samples, [raw(c) for c in in_turn[250:]])
    async with monitoring(servers, topics, Poisoned(DEVICES)):  # it reads that record again
        found = await findings_until(
            servers,
            topics,
            lambda f: {(x.device_id, x.session, x.window) for x in f} >= expected.keys(),
        )
    told = {(f.device_id, f.session, f.window): f for f in found}
    assert told.keys() == expected.keys()
    assert all(expected[f.device_id, f.session, f.window] == f for f in found)
    letters = await letters_until(servers, topics, 1)
    assert [letter.value for letter in letters] == [raw(c)[1] for c in in_turn if is_poison(c)]
    assert letters[0].parked
    assert "ZeroDivisionError" in letters[0].reason


async def test_a_parked_record_is_told_once_of_its_device_or_of_the_monitor(ward: Ward) -> None:
    def letter(key: bytes | None, offset: int, **fields: Any) -> DeadLetter:
        reason = "parked: ValueError raised in a batch with it, then by it alone"
        return DeadLetter(reason=reason, topic="t", partition=0, offset=offset, key=key, **fields)

    async def send(letter: DeadLetter) -> None:
        value, key = msgspec.msgpack.encode(letter), letter.key or b"monitor"
        await ward.producer.send_and_wait(ward.topics.dead_letters, value, key=key)

    async with ward.alerting():
        for sent in (letter(b"chest-7", 4, parked=True), letter(b"chest-9", 5), letter(None, 6, parked=True)):
            await send(sent)
            await send(sent)
        await ward.until(lambda: len({a.device_id for a in ward.of("record-parked")}) == 2)
        await send(letter(b"chest-8", 7, parked=True))
        await ward.until(lambda: "chest-8" in {a.device_id for a in ward.of("record-parked")})
    raised = [a for a in ward.of("record-parked") if a.state is AlertState.RAISED]
    assert sorted(a.device_id for a in raised) == ["chest-7", "chest-8", "monitor"]
    assert "t[0]@4: ValueError" in next(a.message for a in raised if a.device_id == "chest-7")


async def test_a_finding_on_which_alerting_raises_is_parked_and_the_rest_goes_on(
    ward: Ward, monkeypatch: Any
) -> None:
    good, poison = ecgstream.watch.on_finding, 20

    def on_finding(state: Any, finding: Finding, *arguments: Any) -> list[Alert]:
        alerts = good(state, finding, *arguments)
        if finding.window == poison:
            raise ZeroDivisionError("a bug")
        return alerts

    monkeypatch.setattr(ecgstream.watch, "on_finding", on_finding)
    kept = [f for f in FINDINGS if f.window != poison]
    expected = {a.alert_id for a in over_findings(kept, load_limits())}
    async with ward.alerting():
        await ward.send(FINDINGS)
        await ward.until(
            lambda: (
                any(a.end_us is not None for a in ward.of("vt"))
                and ward.has("record-parked", AlertState.RAISED)
            )
        )
    assert {a.alert_id for a in ward.alerts if a.category == "physiological"} == expected
    assert [letter.parked for letter in ward.letters] == [True]
    assert "ZeroDivisionError raised twice" in ward.letters[0].reason
    assert len({a.alert_id for a in ward.of("record-parked")}) == 1
