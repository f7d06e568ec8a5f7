"""Server-sent events to the open pages.

Each page has a queue of `MAX_WAITING` events. A page that doesn't keep up is cut off, reconnects and starts
from a new snapshot: it is never shown a picture with holes. At most `MAX_PAGES` pages; past `MAX_PAGES_EACH` of
one session its oldest gives way, since a page whose network was lost stands here until TCP gives up, a quarter of an hour.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

MAX_WAITING = 256
MAX_PAGES = 300
MAX_PAGES_EACH = 12
BEAT_S = 2.0

_json = msgspec.json.Encoder()


def event(name: str, data: Any) -> bytes:
    """One event as it travels."""
    return b"event: " + name.encode() + b"\ndata: " + _json.encode(data) + b"\n\n"


class Page:
    """One open page: what it still has to be sent."""

    def __init__(self, sid: str, device_id: str | None) -> None:
        self.sid, self.device_id = sid, device_id
        self.since_s = time.monotonic()
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING + 1)
        self.cut = False

    def put(self, data: bytes) -> bool:
        """Queue an event; True when the page is full and this one cuts it off."""
        if self.cut:
            return False
        if self.waiting.qsize() >= MAX_WAITING:
            self.end()
            return True
        self.waiting.put_nowait(data)
        return False

    def end(self) -> None:
        """Let the stream end after what is queued."""
        if not self.cut:
            self.cut = True
            self.waiting.put_nowait(None)


class Live:
    """All open pages."""

    def __init__(self) -> None:
        self.pages: set[Page] = set()
        self.cut_off = 0  # pages that did not keep up

    def make_room(self, sid: str) -> bool:
        """Whether the session may open one more page; its oldest ends where it has `MAX_PAGES_EACH`."""
        pages = [page for page in self.pages if not page.cut]
        own = [page for page in pages if page.sid == sid]
        if len(own) >= MAX_PAGES_EACH:
            min(own, key=lambda page: page.since_s).end()
            return True
        return len(pages) < MAX_PAGES

    def send(self, name: str, data: Any, device_id: str | None = None) -> None:
        """Send an event to all pages, or to those that watch one device."""
        pages = [p for p in self.pages if device_id is None or p.device_id == device_id]
        if pages:
            encoded = event(name, data)
            for page in pages:
                self.cut_off += page.put(encoded)

    def watched(self) -> set[str]:
        """The devices that some page watches."""
        return {page.device_id for page in self.pages if page.device_id is not None}

    def end_all(self) -> None:
        """Let all streams end (shutdown)."""
        for page in self.pages:
            page.end()

    async def stream(
        self,
        page: Page,
        first: Callable[[], list[bytes]],
        beat: Callable[[], bytes],
        may_go_on: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]:
        """The page's events.

        `first` (a snapshot), then what is sent, a `beat` at least every `BEAT_S`, until not `may_go_on`.
        """
        self.pages.add(page)
        try:
            yield b"retry: 2000\n\n"
            for data in first():
                yield data
            clock = asyncio.get_running_loop()
            next_beat = clock.time()
            while may_go_on():
                if clock.time() >= next_beat:
                    yield beat()
                    next_beat = clock.time() + BEAT_S
                try:
                    data_or_end = await asyncio.wait_for(page.waiting.get(), next_beat - clock.time())
                except TimeoutError:
                    continue
                if data_or_end is None:
                    return
                yield data_or_end
        finally:
            self.pages.discard(page)
