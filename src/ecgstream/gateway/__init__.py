"""For gateways in Python: takes samples, makes valid chunks, delivers them to Kafka without gap or duplicate.

>>> async def main(samples_of_the_device):
...     async with Gateway(buffer="/var/lib/gateway") as gateway:  # doctest: +SKIP
...         stream = gateway.stream("watch-17", fs_hz=512.0, uv_per_lsb=1.0)
...         async for samples in samples_of_the_device:
...             stream.add(samples)

`PlainGateway` is the same for programs without asyncio. Where Kafka is and how to log in there is read from the
environment (`ecgstream.kafka`). While the broker is away, chunks wait in `buffer` (or, without one, in memory), at
most `max_buffer_bytes` of them; then the oldest go and are counted.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ecgstream.codec import MSGPACK
from ecgstream.gateway.chunks import Stream, new_session
from ecgstream.gateway.outbox import DiskOutbox, MemoryOutbox, Outbox, OutboxError
from ecgstream.gateway.sender import Sender
from ecgstream.kafka import KafkaSettings, client_options, load_settings
from ecgstream.topics import Topics

__all__ = ["Gateway", "OutboxError", "PlainGateway", "State", "Stream", "new_session"]

MAX_BUFFER_BYTES = 512 * 1024 * 1024
CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class State:
    """How a gateway stands: records taken, delivered, waiting and dropped at the buffer's bound; the last failure."""

    taken: int
    delivered: int
    waiting: int
    dropped: int
    failures: int
    last_error: str | None


class Gateway:
    """Publishes streams; to be used in ``async with``. Its other methods return at once and never wait for the broker.

    `buffer`: a folder of this gateway's own, for chunks that wait; None keeps them in memory, and a process that dies
    loses them. On leaving, waits up to `close_timeout_s` for what is not yet delivered; with a `buffer` the rest
    is delivered next time.
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
        self._topic = samples if settings.gateway is None else f"{samples}.{settings.gateway}"
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
        assert self._outbox is not None
        assert self._task is not None
        for stream in self._streams:
            stream.flush()
        with suppress(TimeoutError):
            await self.drain(self._close_timeout_s)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._outbox.close()

    def stream(self, device_id: str, *, fs_hz: float, uv_per_lsb: float, **more: Any) -> Stream:
        """A stream of one device; `more` as `Stream` takes it (lead, session, start_us, chunk_s, content_type)."""
        settings: dict[str, Any] = {
            "chunk_s": self._chunk_s, "content_type": self._content_type, "now_us": _now_us, **more,
        }  # fmt: skip
        stream = Stream(self.publish, device_id, fs_hz=fs_hz, uv_per_lsb=uv_per_lsb, **settings)
        self._streams.append(stream)
        return stream

    def publish(self, key: bytes, value: bytes) -> None:
        """Publish one record that is encoded already (what `Stream` calls)."""
        if self._outbox is None or self._sender is None:
            raise RuntimeError("gateway: use it in `async with`")
        self._outbox.append(key, value)
        self._taken += 1
        self._sender.wake()

    async def room(self, waiting_bytes: int = 32 * 1024 * 1024) -> None:
        """Wait while more than so many bytes wait: for senders that can wait, such as a replay."""
        assert self._outbox is not None
        assert self._sender is not None
        await self._watched(self._sender.until_waiting_bytes(waiting_bytes))

    async def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all is delivered; raises TimeoutError when that takes longer."""
        assert self._sender is not None
        await asyncio.wait_for(self._watched(self._sender.until_empty()), timeout_s)

    @property
    def state(self) -> State:
        """How the gateway stands."""
        assert self._outbox is not None
        assert self._sender is not None
        delivery = self._sender.delivery
        return State(
            taken=self._taken,
            delivered=delivery.records,
            waiting=self._outbox.waiting,
            dropped=self._outbox.dropped,
            failures=delivery.failures,
            last_error=delivery.last_error,
        )

    async def _watched(self, waiting: Any) -> None:
        """Wait, but not for a sender that has died: its error is raised instead."""
        assert self._task is not None
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait({task, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
            await task
        finally:
            task.cancel()


class PlainGateway:
    """The same without asyncio: a thread of its own delivers. To be used in ``with``.

    `stream`, `publish`, `drain` and `state` as in `Gateway`; streams may be used in any thread, each in one at a time.
    """

    def __init__(self, settings: KafkaSettings | None = None, **more: Any) -> None:
        self._gateway = Gateway(settings, **more)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ecgstream-gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._call(self._gateway.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(self._gateway.__aexit__(kind, error, trace))
        finally:
            self._end()

    def stream(self, device_id: str, *, fs_hz: float, uv_per_lsb: float, **more: Any) -> Stream:
        """A stream of one device."""
        stream = self._gateway.stream(device_id, fs_hz=fs_hz, uv_per_lsb=uv_per_lsb, **more)
        stream._publish = self.publish
        return stream

    def publish(self, key: bytes, value: bytes) -> None:
        """Publish one record that is encoded already."""
        self._run(lambda: self._gateway.publish(key, value))

    def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all is delivered; raises TimeoutError when that takes longer."""
        self._call(self._gateway.drain(timeout_s))

    @property
    def state(self) -> State:
        """How the gateway stands."""
        state: State = self._run(lambda: self._gateway.state)
        return state

    def _run(self, work: Callable[[], Any]) -> Any:
        """Do a quick thing in the gateway's thread, and wait for it."""
        if threading.current_thread() is self._thread:
            return work()
        done: Future[Any] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # given on to the caller's thread
                done.set_exception(error)

        self._loop.call_soon_threadsafe(do)
        return done.result()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _now_us() -> int:
    return time.time_ns() // 1000
