"""Brokers that tests start."""

import pytest

from ecgstream.brokers import Broker, BrokerUnavailable, kafka_jars, tansu_binary


def start_or_skip(broker: Broker) -> None:
    """Start a broker. What it needs may be missing here: then the test is skipped; one that has it all and doesn't start is a failure."""
    try:
        kafka_jars() if broker.kind == "apache" else tansu_binary()
    except BrokerUnavailable as error:
        pytest.skip(str(error))
    broker.start()
