"""The console as an ASGI application: its parts put together, its tasks started and ended."""

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ecgstream.console import api, history, pages
from ecgstream.console.audit import Audit
from ecgstream.console.auth import Person, Role, Sessions, Users
from ecgstream.console.desk import Desk
from ecgstream.console.feed import Feed
from ecgstream.console.guard import Buckets, Guard, TooLarge
from ecgstream.console.live import Live
from ecgstream.console.oidc import Oidc
from ecgstream.console.settings import ConsoleSettings, read_secret
from ecgstream.console.store import Store
from ecgstream.console.ward import Ward
from ecgstream.limits import Limits
from ecgstream.wall_clock import now_us

MAX_SEATS = 1000
PRUNE_S = 60.0
log = structlog.get_logger(__name__)


class Seats:
    """Which sessions were seen lately, for the system page.

    `MAX_SEATS` at most, the longest unseen leaves first.
    """

    def __init__(self) -> None:
        self._seats: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def sit(self, person: Person, address: str) -> None:
        """Note that the person opened a page."""
        self._seats[person.sid] = {"session": person.sid, "name": person.name, "role": person.role, "address": address,
                                   "seen_us": now_us(), "until_s": person.until_s}  # fmt: skip
        self._seats.move_to_end(person.sid)
        if len(self._seats) > MAX_SEATS:
            self._seats.popitem(last=False)

    def leave(self, sid: str) -> None:
        """Forget a session that ended."""
        self._seats.pop(sid, None)

    def list(self) -> list[dict[str, Any]]:
        """All that are not over, the last seen first."""
        return [s for s in reversed(self._seats.values()) if s["until_s"] > time.time()]


def create_app(
    settings: ConsoleSettings,
    feed: Feed,
    *,
    limits: Limits | None = None,
    on_failure: Callable[[], None] | None = None,
    oidc_client: dict[str, Any] | None = None,
) -> Starlette:
    """The application; `limits` is alerting's alarm table (default: the packaged one).

    `on_failure` is called when one of its tasks dies of a bug, after it was logged. Raises `ValueError` for wrong settings.
    """
    settings.check_listening()
    secret = read_secret(settings.secret, settings.secret_file, "secret_file") or secrets.token_hex(32)
    store = Store(settings.database, days=settings.history_days, max_alerts=settings.max_alerts)
    live = Live()
    desk = Desk(store, Ward(max_devices=settings.max_devices, trend_hours=settings.trend_hours), live, limits)
    users = Users(settings.users_file)
    sessions = Sessions(secret, settings.session_hours, users, store.session_ended)
    audit = Audit()
    cookie = "__Host-ecgstream" if settings.is_https else "ecgstream"
    local_sid = secrets.token_hex(16)

    def who(request: Request) -> Person | None:
        if not settings.has_sign_in:
            return Person("local", Role.CONFIGURE, local_sid, time.time() + 3600, sessions.csrf(local_sid))
        return sessions.read(request.cookies.get(cookie))

    def enter(response: Response, session: str) -> Response:
        response.set_cookie(
            cookie, session, max_age=round(3600 * settings.session_hours), path="/", httponly=True, samesite="lax",
            secure=settings.is_https,
        )  # fmt: skip
        return response

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_watched(work, on_failure)) for work in (
            lambda: feed.run(desk), lambda: _every(1.0, desk.tick),
            lambda: _every(PRUNE_S, lambda: _prune(store)), lambda: _write_audit(audit, feed),
        )]  # fmt: skip
        try:
            yield
        finally:
            live.end_all()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(audit.write_out(feed.audit), 3.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            store.close()

    middleware = [
        Middleware(
            Guard, hosts=settings.allowed_hosts(), https=settings.is_https, public=settings.public_origin()
        )
    ]
    if settings.oidc_issuer is not None:  # holds the state of a sign-in under way, nothing else
        middleware.append(
            Middleware(
                SessionMiddleware,
                secret_key=secret,
                session_cookie="ecgstream-oidc",
                max_age=600,
                same_site="lax",
                https_only=settings.is_https,
            )
        )
    app = Starlette(
        routes=[*pages.ROUTES, *api.ROUTES, *history.ROUTES],
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={TooLarge: _too_large},
    )
    parts: dict[str, Any] = {
        "settings": settings, "feed": feed, "desk": desk, "live": live, "users": users, "sessions": sessions,
        "audit": audit, "cookie": cookie, "who": who, "enter": enter, "seats": Seats(), "static": pages.load_static(),
        "oidc": Oidc(settings, oidc_client) if settings.oidc_issuer is not None else None,
        "address_rates": Buckets(20, 20 / 60), "name_rates": Buckets(10, 10 / 60), "order_rates": Buckets(60, 2.0),
        "export_rates": Buckets(10, 10 / 60),
    }  # fmt: skip
    for name, part in parts.items():
        setattr(app.state, name, part)
    return app


async def _too_large(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "body: too large"}, 413)


async def _every(period_s: float, act: Callable[[], Any]) -> None:
    while True:
        act()
        await asyncio.sleep(period_s)


def _prune(store: Store) -> None:
    try:
        store.prune(now_us())
    except sqlite3.OperationalError as error:  # a full disk, most likely: the feed tells it on the pages
        log.warning("history not pruned", error=str(error))


async def _write_audit(audit: Audit, feed: Feed) -> None:
    while True:
        await audit.write_out(feed.audit)
        await asyncio.sleep(0.5)


async def _watched(work: Callable[[], Awaitable[None]], on_failure: Callable[[], None] | None) -> None:
    """Run a task for good; one that ends otherwise than by our own cancelling is our bug: say so and let the process end."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await work()
    except (Exception, asyncio.CancelledError):
        if task.cancelling():
            raise
        log.exception("a task of the console died")
        if on_failure is None:
            raise
        on_failure()
