"""Two processes with one static member id: the older one must end, or each throws the other out for ever.

The broker gives the place of a static member to whoever joined last, and aiokafka's older process, told only that it is no
member any more, would join again and take it back. So a member that is to join again asks first who has its place.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from ecgstream.kafka import administration

UUID_LENGTH = 36


class Fenced(RuntimeError):
    """Another process has this one's static member id; the text names it."""


async def check(
    client: Mapping[str, Any], consumer: AIOKafkaConsumer, group_id: str, instance_id: str
) -> None:
    """Raise `Fenced` when the group knows another member under `instance_id` than `consumer`."""
    own = consumer._coordinator.member_id
    async with administration(client) as admin:
        (response,) = await admin.describe_consumer_groups([group_id])
    for group in response.groups:
        for member_id, _, host, *_ in group[5]:
            is_ours = member_id.startswith(f"{instance_id}-")  # the broker adds a UUID
            if is_ours and len(member_id) == len(instance_id) + 1 + UUID_LENGTH and member_id != own:
                raise Fenced(
                    f"--instance {instance_id}: another monitor of the group {group_id} has taken this id "
                    f"(at {host.lstrip('/')}); each needs its own"
                )
