"""Alerting on a real broker: restarts, answers that get lost or go astray, repeated findings, silent devices."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from aiokafka.admin import NewPartitions

from alerting_ward import FINDINGS, Ward
from ecgstream import alerting, copartitioning, notify
from ecgstream.kafka import administration, load_settings
from ecgstream.limits import Limits, load_limits
from ecgstream.messages import (
    Ack,
    Alert,
    AlertState,
    DeviceSettings,
    Finding,
    KindSettings,
    Priority,
    Snooze,
)
from ecgstream.topics import Topics, TopicsMismatch, create
from ecgstream.watch import over_findings

MIDDLE = 48  # the run is going on

pytestmark = pytest.mark.timeout(150)


def quick() -> Limits:
    """The packaged table with short waits."""
    limits = load_limits()
    kinds = dict(limits.kinds)
    kinds["vt"] = msgspec.structs.replace(kinds["vt"], escalate_after_s=2.0, escalate_times=2)
    thresholds = msgspec.structs.replace(limits.limits, signal_lost_s=5.0)
    return msgspec.structs.replace(limits, kinds=kinds, limits=thresholds)


PARTITION_OF = copartitioning.partitioner(4)


def identity(alert: Alert) -> tuple[str, int, AlertState, int]:
    return alert.alert_id, alert.revision, alert.state, alert.onset_us


def outline(identities: list[tuple[str, int, AlertState, int]]) -> list[tuple[str, AlertState, int]]:
    """What was raised and what ended: on a slow machine the device is silent long enough for an escalation between."""
    return [
        (i, state, onset)
        for i, _, state, onset in identities
        if state in (AlertState.RAISED, AlertState.ENDED)
    ]


def uninterrupted() -> list[Alert]:
    """What the core alone says, before any escalation."""
    return [a for a in over_findings(FINDINGS, load_limits()) if a.state is not AlertState.ESCALATED]


async def test_a_restart_in_mid_event_and_repeated_findings_give_the_same_alerts_each_once(
    ward: Ward,
) -> None:
    async with ward.alerting():
        await ward.send(FINDINGS[:MIDDLE])
        await ward.until(lambda: ward.of("vt"))
    async with ward.alerting():
        await ward.send(FINDINGS[MIDDLE - 20 :])  # the monitor was restarted, too, and begins further back
        await ward.until(lambda: any(a.end_us is not None for a in ward.of("vt")))
    seen = list(dict.fromkeys(identity(a) for a in ward.alerts if a.category == "physiological"))
    assert outline(seen) == outline([identity(a) for a in uninterrupted()])
    for alert_id in {identity[0] for identity in seen}:
        revisions = [revision for one, revision, _, _ in seen if one == alert_id]
        assert revisions == list(range(len(revisions)))


async def test_answers_lost_repeated_unknown_and_astray(ward: Ward) -> None:
    async with ward.alerting():
        await ward.say(ward.topics.acks, Ack(alert_id="vt-00", device_id="chest-7", by="x", at_us=1))
        await ward.producer.send_and_wait(ward.topics.acks, b'{"nonsense": 1}', key=b"chest-7")
        await ward.send(FINDINGS[:MIDDLE])
        await ward.until(lambda: ward.of("vt"))
        ack = Ack(alert_id=ward.of("vt")[0].alert_id, device_id="chest-7", by="Dr. A", at_us=2)
        for partition in range(4):  # a client with another partitioner, that sends it again and again
            await ward.say(ward.topics.acks, ack, partition=partition)
        await ward.until(lambda: ward.has("vt", AlertState.ACKNOWLEDGED))
        await ward.send(FINDINGS[MIDDLE:])
        await ward.until(lambda: ward.has("vt", AlertState.ENDED))
        await ward.until(lambda: ward.letters)
    revisions = [a.revision for a in ward.of("vt")]
    assert revisions == list(range(len(revisions)))
    answered = [a for a in ward.of("vt") if a.acknowledgement is not None]
    assert {a.acknowledgement.by for a in answered if a.acknowledgement} == {"Dr. A"}
    assert len(ward.letters) == 1
    assert ward.letters[0].topic == ward.topics.acks


async def test_an_unanswered_alert_escalates_while_its_device_is_silent_also_after_a_restart(
    ward: Ward,
) -> None:
    async with ward.alerting(quick()):
        await ward.send(FINDINGS[:MIDDLE])
        await ward.until(lambda: ward.has("vt", AlertState.ESCALATED))
        await ward.until(lambda: ward.has("signal-lost", AlertState.RAISED))
    async with ward.alerting(quick()):
        await ward.until(lambda: max((a.escalations for a in ward.of("vt")), default=0) == 2)
    lost = ward.of("signal-lost")
    assert [a.state for a in lost] == [AlertState.RAISED]
    assert (lost[0].category, lost[0].device_id) == ("technical", "chest-7")


async def test_nobody_is_silent_whose_findings_wait_unread(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = msgspec.structs.replace(
        quick(), limits=msgspec.structs.replace(quick().limits, signal_lost_s=8.0)
    )
    on_finding = alerting.Desk.on_finding

    async def slowly(desk: alerting.Desk, event: Any) -> None:
        await asyncio.sleep(0.1)
        await on_finding(desk, event)

    slowly.__name__ = on_finding.__name__
    monkeypatch.setattr(alerting.Desk, "on_finding", slowly)
    ids = [f"chest-{i}" for i in range(8, 100)]
    here = PARTITION_OF(b"chest-7")
    beside = [device_id for device_id in ids if PARTITION_OF(device_id.encode()) == here]
    others = [
        msgspec.structs.replace(finding, device_id=device_id)
        for device_id in beside[:5]
        for finding in FINDINGS[:36]
    ]
    await ward.send([FINDINGS[0], *others, *FINDINGS[1:MIDDLE]])
    async with ward.alerting(limits):
        await ward.until(lambda: ward.of("vt"))
        assert ward.of("signal-lost") == []
        await ward.until(lambda: "chest-7" in {a.device_id for a in ward.of("signal-lost")})


async def test_settings_of_a_device_hold_after_a_restart_and_bad_ones_are_refused_by_name(ward: Ward) -> None:
    off = DeviceSettings(device_id="chest-7", kinds={"vt": KindSettings(enabled=False)})
    bad = DeviceSettings(device_id="chest-7", limits={"hart_rate": 1.0})
    async with ward.alerting():
        await ward.say(ward.topics.device_settings, off)
        await ward.say(ward.topics.device_settings, bad)
        await ward.until(lambda: ward.has("settings-refused", AlertState.RAISED))
    assert "limits.hart_rate" in ward.of("settings-refused")[0].message
    async with ward.alerting():
        await ward.send(FINDINGS[:90])
        await ward.until(lambda: ward.has("extreme-tachycardia", AlertState.RAISED))
    assert ward.of("vt") == []


async def test_settings_that_another_client_put_elsewhere_come_to_their_device(ward: Ward) -> None:
    """Clients of other libraries choose other partitions for a key."""
    off = DeviceSettings(device_id="chest-7", kinds={"vt": KindSettings(enabled=False)})
    bad = DeviceSettings(device_id="chest-7", limits={"hart_rate": 1.0})
    partitions = await ward.producer.partitions_for(ward.topics.device_settings)
    async with ward.alerting():
        for partition in partitions:
            await ward.say(ward.topics.device_settings, off, partition=partition)
            await ward.say(ward.topics.device_settings, bad, partition=partition)
        await ward.until(lambda: ward.has("settings-refused", AlertState.RAISED))
        await ward.send(FINDINGS[:90])
        await ward.until(lambda: ward.has("extreme-tachycardia", AlertState.RAISED))
    assert (ward.of("vt"), ward.letters) == ([], [])


async def test_settings_that_a_new_table_refuses_stop_nobody(ward: Ward) -> None:
    table = load_limits()
    stricter = msgspec.structs.replace(
        table, limits=msgspec.structs.replace(table.limits, extreme_tachycardia_bpm=130.0)
    )
    async with ward.alerting(table):
        await ward.say(
            ward.topics.device_settings, DeviceSettings(device_id="chest-7", limits={"high_rate_bpm": 135.0})
        )
        await ward.send(FINDINGS[:MIDDLE])
        await ward.until(lambda: ward.of("vt"))
    assert ward.of("settings-refused") == []
    async with ward.alerting(stricter):
        await ward.until(lambda: ward.has("settings-refused", AlertState.RAISED))
        await ward.send(FINDINGS[MIDDLE:])
        await ward.until(lambda: any(a.end_us is not None for a in ward.of("vt")))
    assert "limits.high_rate_bpm: 135 must be below" in ward.of("settings-refused")[0].message
    async with ward.alerting(table):
        await ward.until(lambda: ward.has("settings-refused", AlertState.ENDED))


async def test_an_alert_that_reaches_nobody_is_told_until_somebody_answers(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(title: str, text: str, priority: Priority) -> bool:
        return False

    monkeypatch.setattr(notify, "TRIES", 1)
    settings = load_settings({}, bootstrap_servers=ward.servers, topic_prefix=ward.topics.prefix)
    stop = asyncio.Event()
    async with ward.alerting():
        notifying = asyncio.create_task(notify.run(settings, [never], Priority.HIGH, stop))
        await ward.send(FINDINGS[:MIDDLE])
        await ward.until(lambda: any(a.evidence.get("latched") for a in ward.of("delivery-failed")))
        failed, vt = ward.of("delivery-failed")[-1], ward.of("vt")[0]
        assert vt.alert_id in failed.message
        answer = Ack(alert_id=failed.alert_id, device_id=failed.device_id, by="Dr. A", at_us=1)
        await ward.say(ward.topics.acks, answer)
        await ward.until(lambda: ward.has("delivery-failed", AlertState.ENDED))
        stop.set()
        await notifying
    assert [letter.topic for letter in ward.letters] == [ward.topics.alerts]


async def test_a_snooze_is_shown_and_holds_back(ward: Ward) -> None:
    order = Snooze(device_id="chest-7", kind="vt", until_us=2**52, by="N. B", at_us=1)
    async with ward.alerting():
        await ward.send(FINDINGS[:10])
        await ward.say(ward.topics.acks, order)
        await ward.until(lambda: ward.has("snoozed", AlertState.RAISED))
        await ward.send(FINDINGS[10:90])
        await ward.until(lambda: ward.has("snoozed", AlertState.UPDATED))
    assert ward.of("vt") == []
    assert ward.of("snoozed")[-1].evidence["held_back"] == {"vt": 1}


@pytest.mark.kafka
async def test_alerting_begins_on_no_state_that_stands_in_another_devices_partition(
    apache_servers: str, topic_prefix: str
) -> None:
    """An administrator gave all topics more partitions while nobody ran: the embedded broker can't."""
    topics, options = Topics(topic_prefix), {"bootstrap_servers": apache_servers}
    await create(options, topics, 4)
    async with Ward(apache_servers, topics).open() as ward:
        async with ward.alerting():
            await ward.send(FINDINGS[:MIDDLE])
            await ward.until(lambda: ward.of("vt"))
        async with administration(options) as admin:
            await admin.create_partitions({name: NewPartitions(6) for name in topics.configurations()})
        settings = load_settings({}, bootstrap_servers=apache_servers, topic_prefix=topic_prefix)
        with pytest.raises(TopicsMismatch, match="another number of partitions"):
            await asyncio.wait_for(alerting.run(settings, load_limits(), asyncio.Event()), 60)
    assert PARTITION_OF(b"chest-7") == 1
    assert copartitioning.partitioner(6)(b"chest-7") == 5


async def test_two_processes_share_the_devices_and_one_goes_away(ward: Ward) -> None:
    devices = [f"d{i}" for i in range(12)]

    def of(device: str, findings: Sequence[Finding]) -> list[Finding]:
        return [msgspec.structs.replace(f, device_id=device) for f in findings]

    async with ward.alerting():
        async with ward.alerting():
            for device in devices:
                await ward.send(of(device, FINDINGS[:MIDDLE]))
            await ward.until(lambda: {a.device_id for a in ward.of("vt")} == set(devices))
        for device in devices:
            await ward.send(of(device, FINDINGS[MIDDLE:]))
        await ward.until(
            lambda: len({a.device_id for a in ward.of("vt") if a.end_us is not None}) == len(devices)
        )
    for device in devices:
        assert len({a.alert_id for a in ward.of("vt") if a.device_id == device}) == 1
        revisions = sorted({a.revision for a in ward.of("vt") if a.device_id == device})
        assert revisions == list(range(len(revisions)))
