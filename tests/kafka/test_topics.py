"""`topics create` beside topics that stand already: it makes all that is missing, or nothing."""

import subprocess
import sys
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import IncompatibleBrokerVersion

from ecgstream.kafka import administration
from ecgstream.topics import DAY_MS, Topics, TopicsMismatch, create

PARTITIONS = 2


async def stand(servers: str, name: str, partitions: int = PARTITIONS, **settings: str) -> None:
    """Make one topic as somebody else would."""
    configs = {setting.replace("_", "."): value for setting, value in settings.items()}
    async with administration({"bootstrap_servers": servers}) as admin:
        response = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
    assert [code for _, code, *_ in response.topic_errors] == [0]


async def standing(servers: str, topics: Topics) -> list[str]:
    """Those of the topics that the broker has."""
    async with administration({"bootstrap_servers": servers}) as admin:
        return sorted(set(topics.configurations()) & set(await admin.list_topics()))


async def test_a_wrong_number_of_partitions_makes_nothing_and_the_right_one_goes_on(
    bootstrap_servers: str, topic_prefix: str
) -> None:
    options, topics = {"bootstrap_servers": bootstrap_servers}, Topics(topic_prefix)
    await create(options, topics, PARTITIONS)
    grown = Topics(topic_prefix, ("acme",))
    with pytest.raises(TopicsMismatch, match="partitions: 3 asked for"):
        await create(options, grown, 3)
    assert await standing(bootstrap_servers, grown) == sorted(topics.configurations())
    assert await create(options, grown, PARTITIONS) == [f"{topic_prefix}samples.acme"]


@pytest.mark.kafka
async def test_a_table_that_forgets_is_refused_before_anything_is_made(
    apache_servers: str, topic_prefix: str
) -> None:
    topics = Topics(topic_prefix)
    await stand(apache_servers, topics.device_settings)
    await stand(apache_servers, topics.samples, retention_ms=str(DAY_MS))
    for wrong in (
        f"{topics.device_settings}: cleanup.policy is delete, expected compact",
        f"{topics.samples}: retention.ms is {DAY_MS}, expected {7 * DAY_MS} or more",
        f"{topics.samples}: message.timestamp.type is CreateTime, expected LogAppendTime",
    ):
        with pytest.raises(TopicsMismatch, match=wrong):
            await create({"bootstrap_servers": apache_servers}, topics, PARTITIONS)
    assert await standing(apache_servers, topics) == [topics.device_settings, topics.samples]
    done = _told(apache_servers, topic_prefix)
    assert done.returncode == 2
    assert f"topics: {topics.device_settings}: cleanup.policy is delete" in done.stderr


@pytest.mark.kafka
async def test_an_operators_longer_retention_stays(apache_servers: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    await stand(apache_servers, topics.rhythm, retention_ms=str(365 * DAY_MS))
    made = await create({"bootstrap_servers": apache_servers}, topics, PARTITIONS)
    assert sorted(made) == sorted(set(topics.configurations()) - {topics.rhythm})


@pytest.mark.embedded
async def test_a_broker_that_cannot_tell_settings_is_taken_as_it_is(
    embedded_servers: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: Any) -> None:
        raise IncompatibleBrokerVersion("DescribeConfigs")

    monkeypatch.setattr("aiokafka.admin.AIOKafkaAdminClient.describe_configs", unknown)
    options, topics = {"bootstrap_servers": embedded_servers}, Topics(topic_prefix)
    await create(options, topics, PARTITIONS)
    assert await create(options, topics, PARTITIONS) == []


def _told(servers: str, prefix: str) -> subprocess.CompletedProcess[str]:
    """What the command says."""
    command = [sys.executable, "-m", "ecgstream", "topics", "create", "--partitions", str(PARTITIONS)]
    return subprocess.run(
        [*command, "--bootstrap-servers", servers],
        env={"ECGSTREAM_TOPIC_PREFIX": prefix},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
