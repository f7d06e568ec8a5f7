"""What every request passes.

Known host, own origin, bounded size, bounded rate, and headers that tie the browser's hands.

Pure ASGI, around everything. Rates are token buckets, at most `MAX_BUCKETS` of them; past that the least
used leaves, full again: an attacker with very many addresses gains that and no memory.
"""

import time
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16_384
MAX_URL = 2_048
MAX_BUCKETS = 10_000
METHODS = {"GET", "HEAD", "POST"}

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Buckets:
    """Token buckets by key: `burst` at once, `rate_hz` in the long run."""

    def __init__(self, burst: int, rate_hz: float) -> None:
        self._burst, self._rate_hz = burst, rate_hz
        self._level: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Whether the key may go on now."""
        now = time.monotonic()
        level, at = self._level.pop(key, (float(self._burst), now))
        level = min(self._burst, level + (now - at) * self._rate_hz)
        self._level[key] = (level - 1 if level >= 1 else level, now)
        if len(self._level) > MAX_BUCKETS:
            self._level.popitem(last=False)
        return level >= 1


class TooLarge(Exception):
    """A body over `MAX_BODY`."""


async def small_body(request: Request) -> bytes:
    """The request's body; raises `TooLarge` as soon as it is over `MAX_BODY`, announced or not."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise TooLarge
    return bytes(body)


class Guard:
    """The middleware."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], https: bool, public: str | None = None
    ) -> None:
        self._app, self._hosts, self._https, self._public = app, hosts, https, public
        self._rates = Buckets(burst=200, rate_hz=40.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on, with the headers in any case."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                if self._https:
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        else:
            status, text = refusal
            await JSONResponse({"error": text}, status)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        checks: list[tuple[bool, int, str]] = [
            (_without_port(host) in self._hosts, 421, "host: this console doesn't go by that name"),
            (scope["method"] in METHODS, 405, "method: GET, HEAD and POST only"),
            (len(scope.get("raw_path") or b"") + len(scope["query_string"]) <= MAX_URL, 414,
             f"url: at most {MAX_URL} characters"),
            (_announced(headers) <= MAX_BODY, 413, f"body: at most {MAX_BODY} bytes"),
            (scope["method"] != "POST" or self._own_origin(headers, host), 403,
             "origin: changes are taken from this console's own pages only"),
        ]  # fmt: skip
        for passed, status, text in checks:
            if not passed:
                return status, text
        if not self._rates.take(client(scope)):
            return 429, "rate: too many requests; wait a moment"
        return None

    def _own_origin(self, headers: Headers, host: str) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None:
            return site in (None, "same-origin")
        if origin == self._public:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # such as http://[
            return False
        return parts.netloc == host and parts.scheme == ("https" if self._https else "http")


def client(scope: Scope | dict[str, Any]) -> str:
    """The caller's address."""
    address = scope.get("client")
    return str(address[0]) if address else "?"


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 12 else MAX_BODY + 1


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rsplit(":", 1)[0] if ":" in host else host
