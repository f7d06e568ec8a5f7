"""The console's data, as JSON: inbox, alerts, devices, history, answers, live events.

Every route names the role that it needs. Who answers is taken from the session and which device from the
store, never from the request. Changes need the session's CSRF token in the header ``x-csrf-token``.
"""

import hmac
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ecgstream.console.auth import Person, Role
from ecgstream.console.desk import to_json
from ecgstream.console.feed import FeedLost, Unconfirmed
from ecgstream.console.guard import TooLarge, small_body
from ecgstream.console.live import Page, event
from ecgstream.limits import KINDS, LimitsError, for_device
from ecgstream.messages import Ack, DeviceSettings, Id, KindSettings, Snooze, Text
from ecgstream.wall_clock import now_us

MAX_SNOOZE_S = 28_800
NEVER_SNOOZED = "snoozed"
T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


class AnswerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an acknowledgement."""

    note: Text = ""


class SnoozeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a snooze: one kind, so many seconds from now; 0 ends it."""

    kind: Id
    seconds: Annotated[int, Meta(ge=0, le=MAX_SNOOZE_S)]
    note: Text = ""


class SettingsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a device's settings."""

    limits: Annotated[dict[Id, float], Meta(max_length=64)] = {}
    kinds: Annotated[dict[Id, KindSettings], Meta(max_length=64)] = {}


class EndBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body that ends somebody's session."""

    session: Annotated[str, Meta(min_length=32, max_length=32)]


def reply(data: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(to_json(data), status, media_type="application/json")


def refuse(status: int, text: str) -> Response:
    """A JSON refusal."""
    return reply({"error": text}, status)


def needs(role: Role) -> Callable[[Endpoint], Endpoint]:
    """Let only persons of that role through, and changes only with their token."""

    def wrap(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            state = request.app.state
            person: Person | None = state.who(request)
            if person is None:
                return refuse(401, "session: sign in first")
            request.state.person = person
            if not person.role.allows(role):
                state.audit.note(request, "refused", request.url.path, f"needs {role}")
                return refuse(403, f"role: {person.role} may not do this, it needs {role}")
            if request.method == "POST" and not hmac.compare_digest(
                request.headers.get("x-csrf-token", "").encode(), person.csrf.encode()
            ):
                state.audit.note(request, "refused", request.url.path, "csrf")
                return refuse(403, "x-csrf-token: missing or wrong")
            return await endpoint(request)

        return guarded

    return wrap


async def body_as(request: Request, kind: type[T]) -> T | Response:
    """The JSON body as a record, or the refusal."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return refuse(415, "content-type: expected application/json")
    try:
        return msgspec.json.decode(await small_body(request), type=kind)
    except TooLarge:
        return refuse(413, "body: too large")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return refuse(400, f"body: {error}")


@needs(Role.VIEW)
async def me(request: Request) -> Response:
    """Who is signed in."""
    person = request.state.person
    return reply(
        {
            "name": person.name,
            "role": person.role,
            "csrf": person.csrf,
            "until_s": person.until_s,
            "now_us": now_us(),
        }
    )


@needs(Role.VIEW)
async def inbox(request: Request) -> Response:
    """The open alerts in order."""
    return reply(request.app.state.desk.inbox())


@needs(Role.VIEW)
async def alert(request: Request) -> Response:
    """One alert with its strip, revisions and answers."""
    alert_id = request.path_params["alert_id"]
    detail = request.app.state.desk.alert_detail(alert_id)
    request.app.state.audit.note(request, "view-alert", alert_id, "ok" if detail else "unknown")
    return refuse(404, "alert_id: no such alert") if detail is None else reply(detail)


@needs(Role.ACKNOWLEDGE)
async def acknowledge(request: Request) -> Response:
    """Answer an alert; 202 once the topic has it, the alert's own revision follows from alerting."""
    state, alert_id = request.app.state, request.path_params["alert_id"]
    body = await body_as(request, AnswerBody)
    if isinstance(body, Response):
        return body
    known = state.desk.store.get(alert_id)
    if known is None:
        return refuse(404, "alert_id: no such alert")
    ack = Ack(
        alert_id=alert_id,
        device_id=known.device_id,
        by=request.state.person.name,
        at_us=now_us(),
        note=body.note,
    )
    return await _order(request, ack, "acknowledge", alert_id)


async def _order(
    request: Request, record: Ack | Snooze | DeviceSettings, action: str, target: str
) -> Response:
    state = request.app.state
    if not state.order_rates.take(request.state.person.name):
        state.audit.note(request, action, target, "rate")
        return refuse(429, "rate: too many changes; wait a moment")
    try:
        await state.feed.answer(record)
    except Unconfirmed as error:
        state.audit.note(request, action, target, "not confirmed")
        return refuse(504, str(error))
    except FeedLost as error:
        state.audit.note(request, action, target, "not delivered")
        return refuse(503, f"not delivered: {error}")
    state.audit.note(request, action, target)
    if isinstance(record, Ack):
        state.desk.take_ack(record)
    return reply({"sent": True, "at_us": record.at_us}, 202)


@needs(Role.VIEW)
async def devices(request: Request) -> Response:
    """All devices' tiles."""
    return reply(request.app.state.desk.devices())


@needs(Role.VIEW)
async def device(request: Request) -> Response:
    """One device with its trend, burdens, trace and newest alerts."""
    desk, device_id = request.app.state.desk, request.path_params["device_id"]
    known = device_id in desk.ward.devices
    request.app.state.audit.note(request, "view-device", device_id, "ok" if known else "unknown")
    if not known:
        return refuse(404, "device_id: no such device was heard")
    return reply({**desk.ward.detail(device_id), "alerts": desk.alerts_of(device_id),
                  "settings": desk.settings.get(device_id)})  # fmt: skip


@needs(Role.ACKNOWLEDGE)
async def snooze(request: Request) -> Response:
    """Hold back one kind of alert of a device for a while."""
    device_id = request.path_params["device_id"]
    body = await body_as(request, SnoozeBody)
    if isinstance(body, Response):
        return body
    if body.kind not in KINDS:
        return refuse(400, f"kind: {body.kind!r} is no kind of alert")
    if body.kind == NEVER_SNOOZED:
        return refuse(400, f"kind: {body.kind!r} tells of snoozes and can't be snoozed itself")
    if device_id not in request.app.state.desk.ward.devices:
        return refuse(404, "device_id: no such device was heard")
    at_us = now_us()
    record = Snooze(device_id=device_id, kind=body.kind, until_us=at_us + body.seconds * 1_000_000, at_us=at_us,
                    by=request.state.person.name, note=body.note)  # fmt: skip
    return await _order(request, record, "snooze", f"{device_id} {body.kind} {body.seconds} s")


@needs(Role.CONFIGURE)
async def configure(request: Request) -> Response:
    """Set a device's limits and kinds; what alerting would refuse is refused here."""
    device_id = request.path_params["device_id"]
    body = await body_as(request, SettingsBody)
    if isinstance(body, Response):
        return body
    if device_id not in request.app.state.desk.ward.devices:
        return refuse(404, "device_id: no such device was heard")
    record = DeviceSettings(
        device_id=device_id,
        limits=body.limits,
        kinds=body.kinds,
        at_us=now_us(),
        by=request.state.person.name,
    )
    try:
        for_device(request.app.state.desk.limits, record)
    except LimitsError as error:
        return refuse(400, str(error))
    return await _order(request, record, "configure", f"{device_id} {to_json(body).decode()}")


@needs(Role.CONFIGURE)
async def system(request: Request) -> Response:
    """How the console stands: feed, counts, drops, sessions, the newest of the audit trail."""
    state = request.app.state
    return reply({"feed": state.feed.state(), "totals": state.desk.totals(), "audit": state.audit.state(),
                  "sessions": state.seats.list(), "recent": list(state.audit.recent)[-200:][::-1]})  # fmt: skip


@needs(Role.CONFIGURE)
async def end_session(request: Request) -> Response:
    """Sign somebody out everywhere that session is open."""
    body = await body_as(request, EndBody)
    if isinstance(body, Response):
        return body
    state = request.app.state
    state.desk.store.end_session(body.session, time.time() + 72 * 3600)
    state.seats.leave(body.session)
    state.audit.note(request, "end-session", body.session[:8])
    return reply({"ended": True})


@needs(Role.VIEW)
async def live(request: Request) -> Response:
    """The live events: a snapshot, then changes, with a beat every two seconds."""
    state, person = request.app.state, request.state.person
    device_id = request.query_params.get("device")
    if not state.live.make_room(person.sid):
        return refuse(429, "live: too many open pages")
    state.audit.note(request, "watch", device_id or "ward")

    def beat() -> bytes:
        feed = state.feed.state()
        return event(
            "beat", {"now_us": now_us(), "feed": feed, "last_finding_us": state.desk.last_finding_us}
        )

    def may_go_on() -> bool:
        return state.who(request) is not None

    def first() -> list[bytes]:
        return [event("session", {"csrf": person.csrf}), *state.desk.snapshot()]

    stream = state.live.stream(Page(person.sid, device_id), first, beat, may_go_on)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


ROUTES = [
    Route("/api/me", me),
    Route("/api/live", live),
    Route("/api/alerts", inbox),
    Route("/api/alerts/{alert_id}", alert),
    Route("/api/alerts/{alert_id}/acknowledge", acknowledge, methods=["POST"]),
    Route("/api/devices", devices),
    Route("/api/devices/{device_id}", device),
    Route("/api/devices/{device_id}/snooze", snooze, methods=["POST"]),
    Route("/api/devices/{device_id}/settings", configure, methods=["POST"]),
    Route("/api/system", system),
    Route("/api/system/end-session", end_session, methods=["POST"]),
]
