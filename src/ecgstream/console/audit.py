"""Who saw and did what, for the topic ``ecg.audit``.

Writing down must not hold up answering an alert: entries wait in a queue of `MAX_WAITING`; past it the
oldest is dropped and counted in `dropped`, which the system page shows. The newest `MAX_RECENT` can be read
there.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import Request

from ecgstream.messages import Record

MAX_WAITING = 5000
MAX_RECENT = 500


class AuditEntry(Record, frozen=True, kw_only=True):
    """One act of one person (topic ``ecg.audit``, key: actor)."""

    at_us: int
    actor: str  # name of the person, "" before sign-in
    action: str  # sign-in, sign-in-refused, sign-out, watch, view-alert, view-device, search, export, acknowledge, ...
    target: str = ""  # alert id, device id, search text
    outcome: str = "ok"
    address: str = ""
    session: str = ""  # first characters of the session id: tells sessions apart, opens none


class AuditState(Struct, frozen=True):
    """How the trail stands."""

    written: int
    waiting: int
    dropped: int


class Audit:
    """The trail: `note` at once, `write_out` in its own task."""

    def __init__(self) -> None:
        self.recent: deque[AuditEntry] = deque(maxlen=MAX_RECENT)
        self._waiting: deque[AuditEntry] = deque()
        self._written = self._dropped = 0

    def note(
        self,
        request: Request,
        action: str,
        target: str = "",
        outcome: str = "ok",
        *,
        actor: str | None = None,
    ) -> None:
        """Write down an act of the person behind `request`."""
        person = getattr(request.state, "person", None)
        entry = AuditEntry(
            at_us=time.time_ns() // 1000,
            actor=(actor if actor is not None else (person.name if person else ""))[:128],
            action=action,
            target=target[:300],
            outcome=outcome,
            address=request.client.host if request.client else "",
            session=person.sid[:8] if person else "",
        )
        self.recent.append(entry)
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(entry)

    async def write_out(self, send: Callable[[AuditEntry], Awaitable[bool]]) -> None:
        """Send what waits, in order; stops at the first entry that `send` can't deliver now and keeps it."""
        while self._waiting:
            entry = self._waiting[0]
            if not await send(entry):
                return
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()
            self._written += 1

    def state(self) -> AuditState:
        """How many entries are written, waiting and dropped."""
        return AuditState(self._written, len(self._waiting), self._dropped)
