"""Who may do what in Kafka: the least that each process needs, one principal each.

Kafka's rules look at topics, not at keys. So a gateway that must not write for another's devices gets a topic of its own
(`ECGSTREAM_GATEWAYS`), and the monitor takes from it the ids that begin with the gateway's name, and those from nowhere else.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ecgstream.topics import Topics

MONITOR_GROUP = "ecgstream-monitor"
READ, WRITE, DESCRIBE = "READ", "WRITE", "DESCRIBE"  # reading and writing include describing


class Grant(NamedTuple):
    """One rule: `role` may do `operation` on the topic or group called `name`."""

    role: str
    operation: str
    resource: str
    name: str

    def command(self) -> str:
        """The words that make it, for Kafka's own ``kafka-acls.sh``."""
        return f"--add --allow-principal User:{self.role} --operation {self.operation} --{self.resource} {self.name}"


def grants(topics: Topics, monitor_group: str = MONITOR_GROUP) -> list[Grant]:
    """All rules. The roles are ``monitor``, ``alerting``, ``console``, ``notify``, ``staff`` and ``gateway-NAME``."""
    return [*_processes(topics, monitor_group), *_people(topics), *_gateways(topics)]


def _processes(topics: Topics, monitor_group: str) -> Iterator[Grant]:
    for topic in (topics.samples, *topics.of_gateways):
        yield Grant("monitor", READ, "topic", topic)
    for topic in (topics.rhythm, topics.dead_letters):
        yield Grant("monitor", WRITE, "topic", topic)
    yield Grant("monitor", READ, "group", monitor_group)
    for topic in (
        topics.rhythm,
        topics.acks,
        topics.device_settings,
        topics.dead_letters,
        *topics.changelogs,
    ):
        yield Grant("alerting", READ, "topic", topic)
    for topic in (
        topics.alerts,
        topics.acks,
        topics.device_settings,
        topics.dead_letters,
        *topics.changelogs,
    ):
        yield Grant("alerting", WRITE, "topic", topic)
    yield Grant("alerting", READ, "group", f"{topics.prefix}alerting")
    yield Grant("notify", READ, "topic", topics.alerts)
    yield Grant("notify", WRITE, "topic", topics.dead_letters)
    yield Grant("notify", READ, "group", f"{topics.prefix}notify")


def _people(topics: Topics) -> Iterator[Grant]:
    for topic in (topics.alerts, topics.acks, topics.device_settings, topics.rhythm):
        yield Grant("console", READ, "topic", topic)
    for topic in (topics.acks, topics.device_settings, topics.audit):
        yield Grant("console", WRITE, "topic", topic)
    for topic in (topics.alerts, topics.rhythm):
        yield Grant("staff", READ, "topic", topic)
    yield Grant("staff", WRITE, "topic", topics.acks)


def _gateways(topics: Topics) -> Iterator[Grant]:
    for topic, gateway in topics.of_gateways.items():
        yield Grant(f"gateway-{gateway}", WRITE, "topic", topic)
