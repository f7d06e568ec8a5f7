"""The alerting process: findings, answers and settings in; alerts out. A thin shell of Faust around `ecgstream.watch`.

State of each device is one value of a Faust table (a changelog topic), so that a restarted process, or another one
that takes the partition over, goes on where the last one stood. At-least-once, in this order: the
revisions are on the broker, then the table is set, then the record is acknowledged. What a crash repeats is
known by window (findings) or by its author and time (answers), and a revision published twice is the same revision.

A record that makes our own code raise is tried again at once (the state that it found is still the stored one), then
parked: it goes to the dead letters. A parked record, here or in the monitor, is told as a technical alert.

A timer looks at each device by the clock on the wall: escalation, snoozes and silence don't wait for its next finding.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import msgspec
import structlog
from aiokafka.partitioner import murmur2

from ecgstream import alerting_metrics, copartitioning, faust_app, letters, notify, watch
from ecgstream.alerting_metrics import DEVICES, HELD_BACK, REVISIONS
from ecgstream.codec import JSON, InvalidRecord, decode, decode_answer, encode
from ecgstream.device_state import State
from ecgstream.faust_app import Raised, our_own_code
from ecgstream.kafka import KafkaSettings
from ecgstream.limits import Limits, LimitsError, for_device
from ecgstream.listening import Listening
from ecgstream.messages import Ack, Alert, DeadLetter, DeviceSettings, Finding
from ecgstream.topics import Topics
from ecgstream.wall_clock import now_us

TICK_S, LOCKS = 1.0, 64
log = structlog.get_logger()


class Desk:
    """The watch over all devices of this process: takes events, publishes revisions, keeps the tables."""

    def __init__(self, app: faust.App, topics: Topics, limits: Limits, partitions: int) -> None:
        self.app, self.topics, self.limits = app, topics, limits
        self.partition_of = copartitioning.partitioner(partitions)
        table: dict[str, Any] = {"partitions": partitions, "use_partitioner": True} | faust_app.RAW_TABLE
        table["on_changelog_event"] = copartitioning.in_place(self.partition_of, self.fail)
        self.devices = app.Table("devices", **table)
        self.settings = app.Table("settings", **table)
        self.alerts = app.topic(topics.alerts, **faust_app.RAW)
        self.acks = app.topic(topics.acks, **faust_app.RAW)
        self.device_settings = app.topic(topics.device_settings, **faust_app.RAW)
        self.dead_letters = app.topic(topics.dead_letters, **faust_app.RAW)
        self._takes = {topics.rhythm: Finding, topics.acks: Ack, topics.device_settings: DeviceSettings}
        self.failed: asyncio.Future[None] | None = None
        self.listening = Listening(now_us())
        self._due: dict[bytes, int] = {}
        self._locks = [asyncio.Lock() for _ in range(LOCKS)]
        self._limits: dict[bytes, tuple[bytes, tuple[Limits, str]]] = {}

    async def begin_anew(self, *_: Any, **__: Any) -> None:
        """Partitions came or went, or there was a break in time: who was silent while nobody watched isn't silent yet."""
        self._due.clear()
        self._limits.clear()
        self.listening.begin_anew(now_us())

    async def take(self, stream: Any, act: Callable[[Any], Awaitable[None]]) -> None:
        """Take a stream's events one by one, acknowledging each when its results are on the broker."""
        async for event in stream.noack().events():
            try:
                try:
                    try:
                        await act(event)
                    except Raised:
                        await act(event)
                except InvalidRecord as error:
                    await self._bury(event, str(error))
                except Raised as error:
                    await self._park(event, error)
            except Exception as error:
                log.critical("alerting stops", at=faust_app.place(event), exc_info=error)
                self.fail(error)
                await asyncio.Event().wait()  # acknowledge nothing past it; the process is ending
            await stream.ack(event)

    async def on_finding(self, event: Any) -> None:
        """A record of ``ecg.rhythm``."""
        with our_own_code():
            finding = decode(Finding, event.message.value, faust_app.content_type(event))
        arrived_us = round(event.message.timestamp * 1e6)
        await self._change(
            finding.device_id,
            lambda state, limits: watch.on_finding(state, finding, limits, now_us(), arrived_us),
        )

    async def on_answer(self, event: Any) -> None:
        """A record of ``ecg.acks``; one that came to another device's partition is sent on to its own."""
        with our_own_code():
            answer = decode_answer(event.message.value, faust_app.content_type(event))
        key = answer.device_id.encode()
        if await self._is_astray(event, self.acks, key):
            return
        if isinstance(answer, Ack):
            await self._change(answer.device_id, lambda state, _: watch.on_ack(state, answer))
        else:
            await self._change(
                answer.device_id, lambda state, limits: watch.on_snooze(state, answer, limits, now_us())
            )

    async def on_settings(self, event: Any) -> None:
        """A record of ``ecg.device-settings``; one without a value takes the device's settings away. As answers, they may come astray."""
        key, value = event.message.key or b"", event.message.value
        refused: str | None = None
        if value:
            try:
                with our_own_code():
                    settings = decode(DeviceSettings, value, faust_app.content_type(event))
                    key = settings.device_id.encode()
                    for_device(self.limits, settings)
            except (InvalidRecord, LimitsError) as error:
                refused = str(error)
                field = letters.field_at_fault(refused, DeviceSettings)
                log.warning("settings refused", device=letters.loggable_id(key), reason=field)
        if letters.loggable_id(key) == letters.NO_ID:
            raise InvalidRecord(refused or "key: expected the device's id")
        if await self._is_astray(event, self.device_settings, key):
            return
        if refused is None:
            await faust_app.changelogs_known(self.app)
            self.settings[key] = value or b""
        at = faust_app.place(event)
        await self._change(
            key.decode(), lambda state, limits: watch.on_settings(state, refused, at, limits, now_us())
        )

    async def on_dead_letter(self, event: Any) -> None:
        """A record of ``ecg.dead-letters``: a parked one and an alert that reached nobody are told; the rest is its sender's to see."""
        key = event.message.key
        try:  # not `decode`: a letter may be longer than any other record
            letter = msgspec.msgpack.decode(event.message.value or b"", type=DeadLetter)
        except msgspec.DecodeError:
            HELD_BACK.labels("unreadable dead letter").inc()
            return
        is_id = key is not None and letters.loggable_id(key) != letters.NO_ID
        if not letter.parked or not is_id or event.message.partition != self.partition_of(key):
            return
        at = letters.place(letter)
        kind, why = "record-parked", {"parked": f"{at}: {letter.reason.removeprefix('parked: ')}"}
        if letter.topic == self.topics.alerts:
            kind, why = notify.FAILED, {"undelivered": letter.reason}
        await self._change(
            key.decode(), lambda state, limits: watch.on_failure(state, kind, at, why, limits, now_us())
        )

    async def tick(self) -> None:
        """Let time pass for every device of this process that has something due."""
        now = now_us()
        if self.listening.broke_off(now):
            log.warning("the clock was set, or all stood still: nobody was silent meanwhile")
            await self.begin_anew()
        if self.app.rebalancing or self.app.unassigned or self.app.tables.recovery.in_recovery:  # type: ignore[attr-defined]
            return
        actives = self.app.assignor.assigned_actives()
        mine = {tp.partition: tp for tp in actives if tp.topic == self.topics.rhythm}
        for partition, tp in mine.items():
            self.listening.note(partition, await faust_app.place_in(self.app, tp), now)
        owned = [key for key in self.devices if self.partition_of(key) in mine]
        DEVICES.set(len(owned))
        for key in (key for key in owned if self._due.get(key, 0) <= now):
            await self._tick_of(key)
            if self.listening.broke_off(now_us()):  # the broker was away, and nobody could be heard
                await self.begin_anew()
                return

    async def _tick_of(self, key: bytes) -> None:
        try:
            await self._change(key.decode(), lambda state, limits: watch.on_tick(state, limits, now_us()))
        except Raised as error:  # the others' time must pass
            self._due[key] = now_us() + watch.SILENT_CHECK_US
            HELD_BACK.labels("tick that raised").inc()
            log.critical("tick raised", device=key.decode(), exc_info=error.__cause__)
        except Exception as error:
            log.critical("alerting stops", device=key.decode(), exc_info=error)
            self.fail(error)

    async def _is_astray(self, event: Any, topic: Any, key: bytes) -> bool:
        """Whether a record came to a partition that isn't its device's; then it is sent on to that."""
        partition = self.partition_of(key)
        if event.message.partition != partition:
            await faust_app.delivered(topic, key, event.message.value, event.headers, partition)
        return bool(event.message.partition != partition)

    async def _change(self, device_id: str, act: Callable[[State, Limits], list[Alert]]) -> None:
        """Change one device's state: publish what that gives, then store it."""
        key = device_id.encode()
        async with self._locks[murmur2(key) % LOCKS]:
            stored = self.devices.get(key)
            with our_own_code():  # `state` is a copy
                state = msgspec.msgpack.decode(stored, type=State) if stored else State(device_id)
                watch.on_clock(state, now_us())
                state.seen_at_us = max(state.seen_at_us, self.listening.since_us(self.partition_of(key)))
                held_back = dict(state.counts)
                limits, refused = self._limits_of(key)
                alerts = act(state, limits)
                if refused != state.refused:
                    state.refused, state.refusals = refused, state.refusals + 1
                    cause = f"{limits.name} {state.refusals}"
                    alerts += watch.on_settings(state, refused or None, cause, limits, now_us())
                if is_over := watch.is_over(state, limits, now_us()):
                    alerts += watch.on_farewell(state, limits, now_us())
            for alert in alerts:
                await self._publish(key, alert)
            await faust_app.changelogs_known(self.app)
            for cause, n in state.counts.items():
                HELD_BACK.labels(cause).inc(n - held_back.get(cause, 0))
            self._due[key] = watch.next_due_us(state, limits, now_us())
            changed = msgspec.msgpack.encode(state)
            if is_over:
                self.devices.pop(key, None)
                self._due.pop(key, None)
            elif changed != stored:
                self.devices[key] = changed

    async def _publish(self, key: bytes, alert: Alert) -> None:
        alert = msgspec.structs.replace(alert, published_us=now_us())
        await faust_app.delivered(self.alerts, key, encode(alert, JSON), {"content-type": JSON.encode()})
        REVISIONS.labels(alert.kind, str(alert.state)).inc()
        log.info("alert", id=alert.alert_id, revision=alert.revision, state=str(alert.state), kind=alert.kind)

    def _limits_of(self, key: bytes) -> tuple[Limits, str]:
        """A device's limits; and, where its settings can't be under this table, which they may have been under another, why."""
        value = self.settings.get(key)
        if not value:
            return self.limits, ""
        cached = self._limits.get(key)
        if cached is None or cached[0] != value:
            try:
                found = for_device(self.limits, decode(DeviceSettings, value)), ""
            except (InvalidRecord, LimitsError) as error:
                found = self.limits, f"under this alarm table: {error}"
            cached = self._limits[key] = value, found
        return cached[1]

    async def _park(self, event: Any, error: Raised) -> None:
        at = faust_app.place(event)
        log.critical("parked", at=at, exc_info=error.__cause__)
        if event.message.topic == self.topics.dead_letters:  # told by the log alone, or it would go round
            HELD_BACK.labels("parked letter that raised").inc()
            return
        await self._bury(event, f"parked: {error} raised twice here", parked=True)

    async def _bury(self, event: Any, reason: str, *, parked: bool = False) -> None:
        HELD_BACK.labels("parked" if parked else "dead letter").inc()
        field = "parked" if parked else letters.field_at_fault(reason, self._takes[event.message.topic])
        log.warning("dead letter", at=faust_app.place(event), reason=field)
        letter = letters.dead_letter(event.message, reason, parked=parked)
        await faust_app.delivered(self.dead_letters, letter.key, encode(letter), {})

    async def on_left_out(self, letter: DeadLetter) -> None:
        """A record that can't be unpacked."""
        HELD_BACK.labels("dead letter").inc()
        log.warning("dead letter", at=letters.place(letter), reason=letters.UNREADABLE)
        await faust_app.delivered(self.dead_letters, None, encode(letter), {})

    def fail(self, error: Exception) -> None:
        """End the process by that error."""
        if self.failed is not None and not self.failed.done():
            self.failed.set_exception(error)


def build(settings: KafkaSettings, limits: Limits, partitions: int, folder: str) -> tuple[faust.App, Desk]:
    """The Faust application and its desk, as `faust_app.application` takes them."""
    topics = Topics(settings.topic_prefix)
    app = faust_app.application(settings, partitions, folder)
    desk = Desk(app, topics, limits, partitions)
    app.tell = desk.on_left_out  # type: ignore[attr-defined]
    for topic, act in (
        (topics.rhythm, desk.on_finding),
        (topics.acks, desk.on_answer),
        (topics.device_settings, desk.on_settings),
        (topics.dead_letters, desk.on_dead_letter),
    ):
        app.agent(app.topic(topic, **faust_app.RAW), name=f"alerting.{act.__name__}")(
            faust_app.agent(desk.take, act)
        )
    app.timer(interval=TICK_S)(desk.tick)
    app.timer(interval=copartitioning.EVERY_S)(copartitioning.unchanged(settings, partitions, desk.fail))
    app.on_partitions_assigned.connect(desk.begin_anew, weak=False)
    return app, desk


async def run(settings: KafkaSettings, limits: Limits, stop: asyncio.Event) -> None:
    """Watch until `stop` is set; raises what made it impossible to go on."""
    alerting_metrics.begin()
    partitions = await copartitioning.partitions_of(settings)
    with tempfile.TemporaryDirectory(prefix="ecgstream-alerting-") as folder:
        app, desk = build(settings, limits, partitions, folder)
        desk.failed = asyncio.get_running_loop().create_future()
        app.finalize()
        await faust_app.run(app, stop, desk.failed)
