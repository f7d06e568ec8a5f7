"""Publishes deliveries when they are due, through a gateway, and measures whether it holds the rate.

`Pace.lag_s` is how late the oldest record is that is due and not yet with the broker: the figure by which a rate is
held or not. Where the gateway's buffer fills, the fleet waits (and the lag grows): nothing is dropped.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ecgstream.gateway import Gateway
from ecgstream.simulator.devices import Delivery

TICK_S = 0.005  # as fine as a fleet keeps time; far below any chunk
WATCH_S = 0.1
HELD_LAG_S = 1.0  # a rate is held while no record comes later than this
SETTLE_S = 3.0  # after the start, before lag counts against the rate: connecting takes this long


@dataclass
class Pace:
    """How a fleet does; times in seconds since the start."""

    records: int = 0
    samples: int = 0
    delivered: int = 0
    position_s: float = 0.0  # how far the devices' time has come
    wall_s: float = 0.0
    cpu_s: float = 0.0
    lag_s: float = 0.0
    worst_lag_s: float = 0.0
    is_over: bool = False
    checkpoints: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=100_000))

    @property
    def rate(self) -> float:
        """Records delivered a second."""
        return self.delivered / self.wall_s if self.wall_s else 0.0

    @property
    def is_held(self) -> bool:
        """Whether every record came within `HELD_LAG_S` of its time."""
        return self.worst_lag_s <= HELD_LAG_S


async def play(
    deliveries: Iterable[Delivery],
    gateway: Gateway,
    speed: float | None,
    *,
    for_s: float | None = None,
    show: Callable[[Pace], None] = lambda pace: None,
) -> Pace:
    """Publish `deliveries` at `speed` times real time (None: as fast as the broker takes them), for `for_s` at most.

    `show` is called about ten times a second. Returns once all is delivered.
    """
    pace = Pace()
    begin, cpu = time.monotonic(), time.process_time()
    watching = asyncio.create_task(_watch(pace, gateway, begin, cpu, show))
    try:
        await _publish(deliveries, gateway, speed, for_s, pace, begin)
        await gateway.drain()
    finally:
        watching.cancel()
    pace.is_over = True
    _measure(pace, gateway, begin, cpu)
    show(pace)
    return pace


async def _publish(
    deliveries: Iterable[Delivery],
    gateway: Gateway,
    speed: float | None,
    for_s: float | None,
    pace: Pace,
    begin: float,
) -> None:
    now = time.monotonic()
    since_yield = now
    for delivery in deliveries:
        if for_s is not None and delivery.at_s > for_s:
            break
        due = begin + delivery.at_s / speed if speed else now
        if due - now > TICK_S or now - since_yield > TICK_S:
            now = time.monotonic()
            if due > now:
                await asyncio.sleep(due - now)
            else:
                await asyncio.sleep(0)
                await gateway.room()
            since_yield = now = time.monotonic()
        gateway.publish(delivery.key, delivery.value)
        pace.records += 1
        pace.position_s = delivery.at_s
        if delivery.chunk is not None:
            pace.samples += delivery.chunk.n_samples
        if speed and (not pace.checkpoints or due - pace.checkpoints[-1][1] >= TICK_S):
            pace.checkpoints.append((pace.records, due))


async def _watch(
    pace: Pace, gateway: Gateway, begin: float, cpu: float, show: Callable[[Pace], None]
) -> None:
    while True:
        await asyncio.sleep(WATCH_S)
        _measure(pace, gateway, begin, cpu)
        show(pace)


def _measure(pace: Pace, gateway: Gateway, begin: float, cpu: float) -> None:
    now = time.monotonic()
    pace.wall_s, pace.cpu_s = now - begin, time.process_time() - cpu
    pace.delivered = gateway.state.delivered
    while pace.checkpoints and pace.checkpoints[0][0] <= pace.delivered:
        pace.checkpoints.popleft()
    pace.lag_s = max(0.0, now - pace.checkpoints[0][1]) if pace.checkpoints else 0.0
    if pace.wall_s > SETTLE_S:
        pace.worst_lag_s = max(pace.worst_lag_s, pace.lag_s)
