"""The topics: their names, their settings, and how they are made.

All topics are keyed by device id and have the same number of partitions, so that one alerting process sees the
findings, the acknowledgements and the settings of the same devices. `create` is safe to repeat. It makes nothing where
topics are there already with another number of partitions, which would break co-partitioning in silence, or with
settings that keep less than ours promise.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ecgstream.kafka import administration

DEFAULT_PARTITIONS = 12
DEFAULT_PREFIX = "ecg."
DAY_MS = 24 * 3600 * 1000
TABLES = ("devices", "settings")  # of alerting
VISIBLE_TRIES = 100
VISIBLE_PAUSE_S = 0.1
AT_LEAST = ("retention.ms", "max.message.bytes")  # more than ours is an operator's own choice
NO_END = -1  # as a retention
UNJUDGED = ("segment.bytes",)  # it promises nothing: topics that stand may have any other

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
    # A segment that is written to isn't compacted, and is read whole by who takes the tables over: Kafka's own of 1 GiB would be long.
    **{
        f"alerting-{table}-changelog": {"cleanup.policy": "compact", "segment.bytes": str(32 * 1024 * 1024)}
        for table in TABLES
    },
}


class TopicsMismatch(RuntimeError):
    """Topics aren't there, or not as they must be; the text names them."""


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

    `options` are aiokafka's client options (see `ecgstream.kafka.client_options`). Raises `TopicsMismatch`, and has made
    nothing, when a topic stands with another number of partitions than asked for, or with settings that break a promise.
    """
    wanted = (topics or Topics()).configurations()
    async with administration(options) as admin:
        there = _counts(await _described(admin, wanted))
        _refuse_other_counts(there, partitions)
        _refuse_broken_promises(await _settings(admin, there), wanted)
        missing = {name: settings for name, settings in wanted.items() if name not in there}
        made = await _made(admin, missing, partitions, replication)
        _refuse_other_counts(await _counts_once_visible(admin, wanted), partitions)
    return made


def broken_promises(found: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """What of a topic's settings as `found` keeps less than `ours`, in words; a setting that wasn't told isn't judged.

    Longer retention and larger records keep what ours promise; another clean-up or another clock doesn't.
    """
    promised = {"cleanup.policy": "delete"} | dict(ours)
    return [
        f"{setting} is {found[setting]}, expected {value}{' or more' if setting in AT_LEAST else ''}"
        for setting, value in promised.items()
        if setting in found and setting not in UNJUDGED and not _keeps(setting, found[setting], value)
    ]


def _keeps(setting: str, found: str, promised: str) -> bool:
    if setting in AT_LEAST:
        return int(found) == NO_END or int(found) >= int(promised)
    return found == promised


def _refuse_other_counts(found: Mapping[str, int], partitions: int) -> None:
    wrong = [f"{name} has {count}" for name, count in sorted(found.items()) if count != partitions]
    if wrong:
        raise TopicsMismatch(f"partitions: {partitions} asked for, but {', '.join(wrong)}")


def _refuse_broken_promises(
    found: Mapping[str, Mapping[str, str]], wanted: Mapping[str, Mapping[str, str]]
) -> None:
    wrong = [
        f"{name}: {text}" for name in sorted(found) for text in broken_promises(found[name], wanted[name])
    ]
    if wrong:
        raise TopicsMismatch("; ".join(wrong))


async def _made(
    admin: Any, missing: Mapping[str, Mapping[str, str]], partitions: int, replication: int
) -> list[str]:
    """Make topics; gives the names of those that nobody else made first."""
    from aiokafka.admin import NewTopic
    from aiokafka.errors import TopicAlreadyExistsError, for_code

    if not missing:
        return []
    response = await admin.create_topics(
        [
            NewTopic(name, partitions, replication, topic_configs=settings)
            for name, settings in missing.items()
        ]
    )
    made = []
    for name, code, *message in response.topic_errors:
        if code == 0:
            made.append(name)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"{name}: {message[0] if message else ''}")
    return made


async def _described(admin: Any, names: Iterable[str]) -> list[dict[str, Any]]:
    """Those of the topics that the broker knows; all are asked for, since asking for one by name might make it."""
    known = {topic["topic"]: topic for topic in await admin.describe_topics()}
    return [known[name] for name in names if name in known and known[name]["partitions"]]


def _counts(described: list[dict[str, Any]]) -> dict[str, int]:
    """Each topic's name and how many partitions it has."""
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _counts_once_visible(admin: Any, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has, once the broker knows them all: it may learn of a new one a little later."""
    for _ in range(VISIBLE_TRIES):
        ready = [
            topic
            for topic in await _described(admin, names)
            if topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"])
        ]
        unseen = sorted(set(names) - set(_counts(ready)))
        if not unseen:
            return _counts(ready)
        await asyncio.sleep(VISIBLE_PAUSE_S)
    raise TopicsMismatch(f"not to be seen after their creation: {', '.join(unseen)}")


async def _settings(admin: Any, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of topics that stand, as far as the broker tells them; of a broker that can't tell, none."""
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
    from aiokafka.errors import IncompatibleBrokerVersion, UnsupportedVersionError, for_code

    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        responses = await admin.describe_configs(asked) if asked else []
    except (IncompatibleBrokerVersion, UnsupportedVersionError):
        return {}
    found = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if code == UnsupportedVersionError.errno:
                continue
            if code:
                raise for_code(code)(f"{name}: {message or 'its settings are not told'}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
