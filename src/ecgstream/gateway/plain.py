"""The gateway for programs without asyncio: the same, in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ecgstream.gateway.chunks import Stream
from ecgstream.gateway.client import Gateway, State
from ecgstream.kafka import KafkaSettings

NOT_IN_USE = "gateway: use it in `with`"


class PlainGateway:
    """The same without asyncio: a thread of its own delivers. To be used in ``with``.

    `stream`, `publish`, `drain` and `state` as in `Gateway`; streams may be used in any thread, each in one at a time.
    """

    def __init__(self, settings: KafkaSettings | None = None, **more: Any) -> None:
        self._gateway = Gateway(settings, **more)
        self._loop: asyncio.AbstractEventLoop | None = None  # while its thread runs
        self._thread: threading.Thread | None = None
        self._lock = (
            threading.Lock()
        )  # held where `_loop` is set, or given work: what came later would never be done

    def __enter__(self) -> Self:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="ecgstream-gateway", daemon=True)
        self._thread.start()
        self._loop = loop
        try:
            self._call(self._gateway.__aenter__)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(lambda: self._gateway.__aexit__(kind, error, trace))
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
        self._call(lambda: self._gateway.drain(timeout_s))

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

        with self._lock:
            self._running_loop().call_soon_threadsafe(do)
        return done.result()

    def _call(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do a thing that takes its time in the gateway's thread, and wait for it."""
        with self._lock:
            loop = self._running_loop()
            done = asyncio.run_coroutine_threadsafe(begin(), loop)
        return done.result()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError(NOT_IN_USE)
        return self._loop

    def _end(self) -> None:
        assert self._thread is not None
        with self._lock:
            loop, self._loop = self._running_loop(), None
            loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
