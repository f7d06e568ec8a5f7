"""For gateways in Python: takes samples, makes valid chunks, delivers them to Kafka without gap or duplicate.

>>> async def main(samples_of_the_device):
...     async with Gateway(buffer="/var/lib/gateway") as gateway:  # doctest: +SKIP
...         stream = gateway.stream("watch-17", fs_hz=512.0, uv_per_lsb=1.0)
...         async for samples in samples_of_the_device:
...             stream.add(samples)

`PlainGateway` is the same for programs without asyncio. Where Kafka is and how to log in there is read from the
environment (`ecgstream.kafka`). While the broker is away, chunks wait in `buffer` (or, without one, in memory), at
most `max_buffer_bytes` of them; then the oldest go and are counted. Where the disk is full before that, `add` raises OSError:
the newest minute of the stream is held, and goes with the next samples.
"""

from ecgstream.gateway.chunks import Stream, new_session
from ecgstream.gateway.client import DeliveryError, Gateway, State
from ecgstream.gateway.outbox import OutboxError
from ecgstream.gateway.plain import PlainGateway

__all__ = ["DeliveryError", "Gateway", "OutboxError", "PlainGateway", "State", "Stream", "new_session"]
