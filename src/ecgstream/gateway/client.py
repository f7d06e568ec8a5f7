"""The gateway: streams of devices in, records in Kafka out; in between the outbox that holds them and the sender that empties it."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ecgstream.codec import MAX_RECORD_BYTES, MSGPACK
from ecgstream.gateway.chunks import Stream
from ecgstream.gateway.outbox import DiskOutbox, MemoryOutbox, Outbox
from ecgstream.gateway.sender import Sender
from ecgstream.kafka import KafkaSettings, client_options, load_settings
from ecgstream.topics import Topics
from ecgstream.wall_clock import now_us

MAX_BUFFER_BYTES = 512 * 1024 * 1024
MAX_KEY_BYTES = 1024
CLOSE_TIMEOUT_S = 10.0
NOT_IN_USE = "gateway: use it in `async with`"


class DeliveryError(RuntimeError):
    """Nothing is delivered any more, by an error that no further try would mend; the text says which."""


@dataclass(frozen=True, slots=True)
class State:
    """How a gateway stands: records taken, delivered, waiting, dropped; the last failure.

    Dropped is what the buffer's bound cost, and what a damaged buffer has lost.
    """

    taken: int
    delivered: int
    waiting: int
    dropped: int
    failures: int
    last_error: str | None


class Gateway:
    """Publishes streams; to be used in ``async with``. `stream` and `publish` return at once and never wait for the broker.

    `buffer`: a folder of this gateway's own, for chunks that wait; None keeps them in memory, and a process that dies
    loses them. On leaving, waits up to `close_timeout_s` for what is not yet delivered; with a `buffer` the rest
    is delivered next time. `publish`, `drain` and `room` (and so a stream's `add`) raise RuntimeError before and after, and
    `DeliveryError` once an error has ended delivery that no further try would mend.
    """

    def __init__(
        self,
        settings: KafkaSettings | None = None,
        *,
        buffer: str | Path | None = None,
        max_buffer_bytes: int = MAX_BUFFER_BYTES,
        content_type: str = MSGPACK,
        chunk_s: float = 1.0,
        linger_s: float = 0.02,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        settings = settings or load_settings()
        self._options = client_options(settings)
        samples = Topics(settings.topic_prefix).samples
        self._name = settings.gateway
        self._topic = samples if self._name is None else f"{samples}.{self._name}"
        self._buffer, self._max_buffer_bytes = buffer, max_buffer_bytes
        self._content_type, self._chunk_s, self._linger_s = content_type, chunk_s, linger_s
        self._close_timeout_s = close_timeout_s
        self._streams: list[Stream] = []
        self._taken = 0
        self._outbox: Outbox | None = None
        self._sender: Sender | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._buffer is None:
            self._outbox = MemoryOutbox(self._max_buffer_bytes)
        else:
            self._outbox = DiskOutbox(Path(self._buffer), self._max_buffer_bytes)
        self._sender = Sender(self._options, self._topic, self._outbox, self._linger_s)
        self._task = asyncio.create_task(self._sender.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for stream in self._streams:
                stream.flush()
        finally:
            await self._end()

    def stream(self, device_id: str, *, fs_hz: float, uv_per_lsb: float, **more: Any) -> Stream:
        """A stream of one device; `more` as `Stream` takes it (lead, session, start_us, chunk_s, content_type).

        Raises ValueError for what no chunk could carry, and for an id that isn't of this gateway's devices (ECGSTREAM_GATEWAY):
        the monitor would refuse all that comes from it.
        """
        if self._name is not None and not device_id.startswith(f"{self._name}."):
            raise ValueError(
                f"device_id: {device_id!r} at gateway {self._name}, where ids begin with '{self._name}.'"
            )
        settings: dict[str, Any] = {
            "chunk_s": self._chunk_s, "content_type": self._content_type, "now_us": now_us, **more,
        }  # fmt: skip
        stream = Stream(self.publish, device_id, fs_hz=fs_hz, uv_per_lsb=uv_per_lsb, **settings)
        self._streams.append(stream)
        return stream

    def publish(self, key: bytes, value: bytes) -> None:
        """Publish one record that is encoded already (what `Stream` calls).

        Raises ValueError where no monitor would take it, OSError where the disk is full.
        """
        sender, outbox = self._delivering()
        if len(value) > MAX_RECORD_BYTES:
            raise ValueError(f"value: {len(value)} bytes, at most {MAX_RECORD_BYTES} are allowed")
        if len(key) > MAX_KEY_BYTES:
            raise ValueError(f"key: {len(key)} bytes, at most {MAX_KEY_BYTES} are allowed")
        outbox.append(key, value)
        self._taken += 1
        sender.wake()

    async def room(self, waiting_bytes: int = 32 * 1024 * 1024) -> None:
        """Wait while more than so many bytes wait: for senders that can wait, such as a replay."""
        sender, _ = self._delivering()
        await self._watched(sender.until_waiting_bytes(waiting_bytes))

    async def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all is delivered; raises TimeoutError when that takes longer."""
        sender, _ = self._delivering()
        await asyncio.wait_for(self._watched(sender.until_empty()), timeout_s)

    @property
    def state(self) -> State:
        """How the gateway stands, or stood when it was left."""
        if self._outbox is None or self._sender is None:
            raise RuntimeError(NOT_IN_USE)
        delivery = self._sender.delivery
        return State(
            taken=self._taken,
            delivered=delivery.records,
            waiting=self._outbox.waiting,
            dropped=self._outbox.dropped,
            failures=delivery.failures,
            last_error=delivery.last_error,
        )

    def _delivering(self) -> tuple[Sender, Outbox]:
        """What takes and delivers; raises RuntimeError where nothing would be delivered."""
        if self._task is None or self._sender is None or self._outbox is None:
            raise RuntimeError(NOT_IN_USE)
        if self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            text = f"gateway: nothing is delivered any more: {self._sender.delivery.last_error}"
            raise DeliveryError(text) from error
        return self._sender, self._outbox

    async def _watched(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait, but not for a sender that has died: its error is raised instead."""
        assert self._task is not None
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait({task, self._task}, return_when=asyncio.FIRST_COMPLETED)
            self._delivering()
            await task
        finally:
            task.cancel()

    async def _end(self) -> None:
        """Wait a while for what is not yet delivered, then take nothing more and let go."""
        assert self._task is not None
        assert self._outbox is not None
        try:
            with suppress(TimeoutError):
                await self.drain(self._close_timeout_s)
        finally:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            self._outbox.close()
        with suppress(asyncio.CancelledError):
            task.result()
