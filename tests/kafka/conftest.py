from collections.abc import AsyncIterator

import pytest

from alerting_ward import Ward
from ecgstream.topics import Topics


@pytest.fixture
async def ward(bootstrap_servers: str, topics: Topics) -> AsyncIterator[Ward]:
    """Alerting's topics on a broker, ready to be written and read."""
    async with Ward(bootstrap_servers, topics).open() as opened:
        yield opened
