"""Records as they come from the topics: what is taken, what is passed over, and what then is in force."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from console_ward import SECRET, alert, finding
from ecgstream.codec import JSON, encode
from ecgstream.console import feed
from ecgstream.console.app import create_app
from ecgstream.console.desk import Desk
from ecgstream.console.feed import MemoryFeed
from ecgstream.console.live import Live
from ecgstream.console.settings import load_console_settings
from ecgstream.console.store import Store
from ecgstream.console.ward import Ward
from ecgstream.limits import Limits, load_limits
from ecgstream.messages import Ack, DeviceSettings, Snooze
from ecgstream.topics import Topics

TOPICS = Topics()
T0_MS = 1_760_000_000_000


def desk(limits: Limits | None = None) -> Desk:
    return Desk(Store(), Ward(), Live(), limits)


def record(topic: str, value: Any, **more: Any) -> "ConsumerRecord[bytes, bytes]":
    """A record as aiokafka hands it out; `value` is encoded unless it is bytes or None."""
    raw = value if value is None or isinstance(value, bytes) else encode(value, JSON)
    fields: dict[str, Any] = {
        "topic": topic, "partition": 2, "offset": 41, "timestamp": T0_MS, "timestamp_type": 0, "key": b"bed-07", "value": raw,
        "checksum": None, "serialized_key_size": 6, "serialized_value_size": len(raw or b""), "headers": (),
    }  # fmt: skip
    return ConsumerRecord(**(fields | more))


def take(console: Desk, *records: "ConsumerRecord[bytes, bytes]") -> None:
    for one in records:
        feed.take(console, one, TOPICS)


def limits_of(console: Desk) -> dict[str, float]:
    return console.settings["bed-07"].limits


@pytest.mark.parametrize("headers", [(), (("content-type", None),), (("content-type", JSON.encode()),)])
def test_a_header_without_a_value_is_no_header(headers: Any) -> None:
    console = desk()
    take(console, record(TOPICS.alerts, alert("a"), headers=headers))
    assert [known.alert_id for known in console.store.inbox()] == ["a"]
    assert (console.undecodable, console.failed) == (0, 0)


@pytest.mark.parametrize("topic", [TOPICS.alerts, TOPICS.acks, TOPICS.rhythm, TOPICS.device_settings])
def test_what_can_not_be_decoded_is_counted_with_its_place(topic: str) -> None:
    console = desk()
    with capture_logs() as logs:
        take(console, record(topic, b"{rubbish"))
    assert (console.undecodable, console.failed) == (1, 0)
    assert [line["place"] for line in logs] == [f"{topic}[2]@41"]


def test_a_record_that_our_code_fails_on_is_counted_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    console = desk()
    take_alert = console.take_alert

    def fail_on_a(known: Any, at_us: int) -> None:
        if known.alert_id == "a":
            raise ZeroDivisionError
        take_alert(known, at_us)

    monkeypatch.setattr(console, "take_alert", fail_on_a)
    with capture_logs() as logs:
        take(console, *(record(TOPICS.alerts, alert(name)) for name in ("a", "b")))
    assert [known.alert_id for known in console.store.inbox()] == ["b"]
    assert (console.totals()["undecodable"], console.totals()["failed"]) == (0, 1)
    assert [(line["place"], line["log_level"]) for line in logs] == [(f"{TOPICS.alerts}[2]@41", "error")]


def test_a_history_that_can_not_be_written_is_no_record_s_fault() -> None:
    console = desk()
    console.store.close()
    with pytest.raises(sqlite3.Error):
        take(console, record(TOPICS.alerts, alert("a")))


def test_a_snooze_in_the_answers_topic_answers_nothing() -> None:
    console = desk()
    snooze = Snooze(device_id="bed-07", kind="vt", until_us=1, by="anna", at_us=1)
    answer = Ack(alert_id="a", device_id="bed-07", by="anna", at_us=T0_MS * 1000 + 1)
    take(console, record(TOPICS.alerts, alert("a")), record(TOPICS.acks, snooze))
    assert console.inbox()[0]["pending"] is None
    take(console, record(TOPICS.acks, answer))
    assert console.inbox()[0]["pending"] is not None
    assert console.undecodable == 0


@pytest.mark.parametrize("nothing", [None, b""])
def test_settings_that_were_taken_away_are_no_longer_shown(nothing: bytes | None) -> None:
    console = desk()
    own = record(TOPICS.device_settings, DeviceSettings(device_id="bed-07", limits={"high_rate_bpm": 130.0}))
    take(console, own)
    assert limits_of(console) == {"high_rate_bpm": 130.0}
    take(console, record(TOPICS.device_settings, nothing), record(TOPICS.device_settings, None, key=None))
    assert console.settings == {}


@pytest.mark.parametrize(
    "refused", [{"high_rate_bpm": 300.0, "nonsense": 1.0}, {"high_rate_bpm": 9999.0}, {"high_rate_bpm": 1.0}]
)
def test_settings_that_alerting_refuses_leave_the_old_ones_shown(refused: dict[str, float]) -> None:
    console = desk()
    for limits in ({"high_rate_bpm": 130.0}, refused):
        take(console, record(TOPICS.device_settings, DeviceSettings(device_id="bed-07", limits=limits)))
    assert limits_of(console) == {"high_rate_bpm": 130.0}
    assert console.failed == 0


def test_settings_are_judged_by_the_table_that_alerting_uses(tmp_path: Path) -> None:
    table = msgspec.to_builtins(load_limits())
    table["limits"] |= {"low_rate_bpm": 90.0}
    path = tmp_path / "alarms.yaml"
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    own = DeviceSettings(device_id="bed-07", limits={"high_rate_bpm": 80.0})
    for limits, known in ((None, True), (load_limits(path), False)):
        app = create_app(load_console_settings({"secret": SECRET}), MemoryFeed(), limits=limits)
        take(app.state.desk, record(TOPICS.device_settings, own))
        assert ("bed-07" in app.state.desk.settings) == known


def test_a_finding_shows_when_its_record_came() -> None:
    console = desk()
    take(console, record(TOPICS.rhythm, finding("bed-07", T0_MS * 1000 - 5)))
    assert console.devices()[0]["heard_us"] == console.last_finding_us == T0_MS * 1000
