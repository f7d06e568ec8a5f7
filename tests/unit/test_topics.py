"""The topics' names and settings."""

from pathlib import Path

import pytest

from ecgstream.alerting import build
from ecgstream.codec import MAX_RECORD_BYTES
from ecgstream.kafka import load_settings
from ecgstream.limits import load_limits
from ecgstream.topics import TABLES, Topics, broken_promises


def test_names_are_those_of_the_documents() -> None:
    topics = Topics()
    assert [
        topics.samples, topics.rhythm, topics.alerts, topics.acks, topics.dead_letters, topics.device_settings,
        topics.audit,
    ] == [
        "ecg.samples", "ecg.rhythm", "ecg.alerts", "ecg.acks", "ecg.dead-letters", "ecg.device-settings",
        "ecg.audit",
    ]  # fmt: skip


def test_every_name_is_made_and_begins_with_the_prefix() -> None:
    topics = Topics("ward-7.", ("acme", "beta"))
    values = [getattr(topics, name) for name, value in vars(Topics).items() if isinstance(value, property)]
    named = {name for value in values for name in ([value] if isinstance(value, str) else value)}
    assert named == set(topics.configurations())
    assert all(name.startswith("ward-7.") for name in named)


def test_the_tables_of_alerting_are_called_as_faust_calls_them(tmp_path: Path) -> None:
    settings = load_settings({}, topic_prefix="ward-7.")
    app, desk = build(settings, load_limits(), 3, str(tmp_path))
    names = {table.changelog_topic.get_topic_name() for table in app.tables.values()}
    assert {desk.devices.name, desk.settings.name} == set(TABLES)
    assert names == set(Topics("ward-7.").changelogs)


def test_only_settings_and_tables_are_compacted() -> None:
    compacted = [
        name for name, c in Topics().configurations().items() if c.get("cleanup.policy") == "compact"
    ]
    assert compacted == [
        "ecg.device-settings", "ecg.alerting-devices-changelog", "ecg.alerting-settings-changelog",
    ]  # fmt: skip


def test_a_dead_letter_holds_the_largest_record() -> None:
    as_base64 = MAX_RECORD_BYTES * 4 / 3
    assert int(Topics().configurations()["ecg.dead-letters"]["max.message.bytes"]) > 2 * as_base64


def test_configurations_are_copies() -> None:
    Topics().configurations()["ecg.samples"]["retention.ms"] = "1"
    assert Topics().configurations()["ecg.samples"]["retention.ms"] != "1"


@pytest.mark.parametrize("name", sorted(Topics().configurations()))
def test_our_own_settings_keep_what_they_promise(name: str) -> None:
    ours = Topics().configurations()[name]
    assert broken_promises(ours, ours) == []
    assert broken_promises({}, ours) == []


@pytest.mark.parametrize(
    ("name", "found", "told"),
    [
        ("device-settings", {"cleanup.policy": "delete"}, ["cleanup.policy is delete, expected compact"]),
        (
            "device-settings",
            {"cleanup.policy": "compact,delete"},
            ["cleanup.policy is compact,delete, expected compact"],
        ),
        ("alerts", {"cleanup.policy": "compact"}, ["cleanup.policy is compact, expected delete"]),
        (
            "samples",
            {"message.timestamp.type": "CreateTime", "retention.ms": "604799999"},
            [
                "retention.ms is 604799999, expected 604800000 or more",
                "message.timestamp.type is CreateTime, expected LogAppendTime",
            ],
        ),
        (
            "dead-letters",
            {"max.message.bytes": "1048588"},
            ["max.message.bytes is 1048588, expected 4194304 or more"],
        ),
        ("samples", {"retention.ms": "604800001"}, []),
        ("samples", {"retention.ms": "-1"}, []),
        ("device-settings", {"retention.ms": "1"}, []),
        ("alerting-devices-changelog", {"segment.bytes": "1073741824"}, []),
        ("dead-letters", {"max.message.bytes": "8000000"}, []),
    ],
)
def test_a_setting_is_wrong_where_it_keeps_less_than_ours(
    name: str, found: dict[str, str], told: list[str]
) -> None:
    assert broken_promises(found, Topics().configurations()[f"ecg.{name}"]) == told
