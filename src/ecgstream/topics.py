"""The topics: their names, their settings, and how they are made.

All topics are keyed by device id and have the same number of partitions, so that one alerting process sees the
findings, the acknowledgements and the settings of the same devices. `create` is safe to repeat; it refuses topics
that are there already with another number of partitions, since co-partitioning would be broken in silence.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecgstream.kafka import administration

DEFAULT_PARTITIONS = 12
DEFAULT_PREFIX = "ecg."
DAY_MS = 24 * 3600 * 1000
TABLES = ("devices", "settings")  # of alerting
VISIBLE_TRIES = 100
VISIBLE_PAUSE_S = 0.1

_CONFIGURATION: dict[str, dict[str, str]] = {
    # The broker's own clock decides when a device is silent: a gateway's wrong clock must not evict its neighbours.
    "samples": {"retention.ms": str(7 * DAY_MS), "message.timestamp.type": "LogAppendTime"},
    "rhythm": {"retention.ms": str(30 * DAY_MS)},
    "alerts": {"retention.ms": str(400 * DAY_MS)},
    "acks": {"retention.ms": str(400 * DAY_MS)},
    # A dead letter wraps the record that could not be taken, so it may be larger than that.
    "dead-letters": {"retention.ms": str(30 * DAY_MS), "max.message.bytes": str(4 * 1024 * 1024)},
    "device-settings": {"cleanup.policy": "compact"},
    "audit": {"retention.ms": str(400 * DAY_MS)},
    # Faust could make those, too, but would go on before every broker knows of them, and then fail.
    **{f"alerting-{table}-changelog": {"cleanup.policy": "compact"} for table in TABLES},
}


class TopicsMismatch(RuntimeError):
    """Topics exist already, but not as they must be; the text names them."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics, all beginning with `prefix`; `gateways` are those that have a topic of their own."""

    prefix: str = DEFAULT_PREFIX
    gateways: tuple[str, ...] = ()

    @property
    def samples(self) -> str:
        """Chunks of samples, from the gateways."""
        return f"{self.prefix}samples"

    @property
    def of_gateways(self) -> dict[str, str]:
        """Topics of samples that one gateway alone writes, and its name; the ids of its devices begin with it."""
        return {f"{self.samples}.{gateway}": gateway for gateway in self.gateways}

    @property
    def rhythm(self) -> str:
        """Findings, one a window."""
        return f"{self.prefix}rhythm"

    @property
    def alerts(self) -> str:
        """Revisions of alerts, for the staff."""
        return f"{self.prefix}alerts"

    @property
    def acks(self) -> str:
        """The staff's answers."""
        return f"{self.prefix}acks"

    @property
    def dead_letters(self) -> str:
        """Records that could not be taken, with the reason."""
        return f"{self.prefix}dead-letters"

    @property
    def device_settings(self) -> str:
        """Limits and other settings of each device; compacted, the last one counts."""
        return f"{self.prefix}device-settings"

    @property
    def audit(self) -> str:
        """Who saw and answered what on the console; keyed by person."""
        return f"{self.prefix}audit"

    @property
    def changelogs(self) -> tuple[str, ...]:
        """What alerting's tables are rebuilt from, as Faust calls them."""
        return tuple(f"{self.prefix}alerting-{table}-changelog" for table in TABLES)

    def configurations(self) -> dict[str, dict[str, str]]:
        """Each topic's name and its Kafka settings."""
        named = {f"{self.prefix}{name}": dict(settings) for name, settings in _CONFIGURATION.items()}
        return named | {topic: dict(_CONFIGURATION["samples"]) for topic in self.of_gateways}


async def create(
    options: Mapping[str, Any],
    topics: Topics | None = None,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int = 1,
) -> list[str]:
    """Make the topics that are missing and return their names.

    `options` are aiokafka's client options (see `ecgstream.kafka.client_options`). Raises `TopicsMismatch` when a
    topic stands with another number of partitions than asked for.
    """
    from aiokafka.admin import NewTopic
    from aiokafka.errors import TopicAlreadyExistsError, for_code

    wanted = (topics or Topics()).configurations()
    async with administration(options) as admin:
        response = await admin.create_topics(
            [
                NewTopic(name, partitions, replication, topic_configs=settings)
                for name, settings in wanted.items()
            ]
        )
        made = []
        for name, code, *message in response.topic_errors:
            if code == 0:
                made.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise for_code(code)(f"{name}: {message[0] if message else ''}")
        found = await _partition_counts(admin, sorted(wanted))
    wrong = [f"{name} has {count}" for name, count in sorted(found.items()) if count != partitions]
    if wrong:
        raise TopicsMismatch(f"partitions: {partitions} asked for, but {', '.join(wrong)}")
    return made


async def _partition_counts(admin: Any, names: list[str]) -> dict[str, int]:
    """How many partitions each topic has, once the broker knows them all: it may learn of a new one a little later."""
    for _ in range(VISIBLE_TRIES):
        found = {
            topic["topic"]: len(topic["partitions"])
            for topic in await admin.describe_topics(names)
            if topic["error_code"] == 0
            and topic["partitions"]
            and all(partition["leader"] >= 0 for partition in topic["partitions"])
        }
        if len(found) == len(names):
            return found
        await asyncio.sleep(VISIBLE_PAUSE_S)
    raise TopicsMismatch(f"not to be seen after their creation: {', '.join(sorted(set(names) - set(found)))}")
