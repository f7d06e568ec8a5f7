"""The pages and what they load: one HTML frame, static files held in memory, sign-in and sign-out.

Files are read once at start; a request's path is only ever a key into that table, never a path on disk.
"""

import hashlib
import hmac
import html
import secrets
from importlib import resources
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ecgstream.console.guard import TooLarge, client, small_body
from ecgstream.console.oidc import SignInRefused

TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
TITLES = {
    "inbox": "Inbox",
    "alert": "Alert",
    "ward": "Ward",
    "device": "Device",
    "history": "History",
    "system": "System",
}


FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · ecgstream</title>
{metas}<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/console.css">
<link rel="stylesheet" href="/static/paper.css">
<link rel="stylesheet" href="/static/uPlot.min.css">
{script}
</head>
<body data-page="{page}">
{main}
</body>
</html>
"""
LOADING = """<header id="bar"></header>
<div id="stale" role="alert" hidden></div>
<main id="main" tabindex="-1"><p class="quiet">Loading…</p></main>"""
FORM = """<form method="post" action="/sign-in">
<label>Name <input name="name" autocomplete="username" required maxlength="64" autofocus></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required maxlength="256"></label>
<input type="hidden" name="next" value="{next_path}"><input type="hidden" name="token" value="{token}">
<button class="strong">Sign in</button>
</form>"""
OIDC = '<p><a class="button" href="/oidc/begin?next={next_path}">Sign in with your organisation</a></p>'


def load_static() -> dict[str, tuple[bytes, str, str]]:
    """All static files by their name: content, media type, tag."""
    files = {}
    for file in resources.files("ecgstream.console").joinpath("static").iterdir():
        suffix = "." + file.name.rsplit(".", 1)[-1]
        if suffix in TYPES:
            content = file.read_bytes()
            files[file.name] = (content, TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return files


async def static(request: Request) -> Response:
    """One static file."""
    file = request.app.state.static.get(request.path_params["name"])
    if file is None:
        return Response("not found", 404, media_type="text/plain")
    content, media_type, tag = file
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def frame(title: str, page: str, main: str, meta: dict[str, str]) -> str:
    """The HTML around every page; `main` is trusted, all else is escaped."""
    metas = "".join(f'<meta name="{html.escape(n)}" content="{html.escape(v)}">\n' for n, v in meta.items())
    script = "" if page == "sign-in" else '<script type="module" src="/static/app.js"></script>'
    return FRAME.format(
        title=html.escape(title), metas=metas, script=script, page=html.escape(page), main=main
    )


async def page(request: Request) -> Response:
    """A page's frame, for whoever is signed in; everybody else is sent to sign in."""
    state, name = request.app.state, request.scope["route"].name
    person = state.who(request)
    if person is None:
        return RedirectResponse(f"/sign-in?next={quote(request.url.path)}", 303)
    state.seats.sit(person, client(request.scope))
    meta = {
        "person": person.name,
        "role": person.role,
        "csrf": person.csrf,
        "sign-in": "yes" if state.settings.has_sign_in else "no",
    }
    return Response(frame(TITLES[name], name, LOADING, meta), media_type="text/html")


def own_path(path: str) -> str:
    """The path to go to after sign-in, or "/" when it isn't one of this console's."""
    plain = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and "\\" not in path
    )
    return path if plain and len(path) < 300 else "/"


def _sign_in_page(request: Request, next_path: str, status: int = 200, problem: str = "") -> Response:
    settings = request.app.state.settings
    token = request.cookies.get("ecgstream-form") or secrets.token_hex(16)
    said = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    form = FORM.format(next_path=html.escape(next_path), token=html.escape(token))
    oidc = OIDC.format(next_path=quote(next_path))
    main = (
        '<main class="sign-in"><h1>ecgstream <small>on-call console</small></h1>'
        f"{said}{form if settings.users_file else ''}{oidc if settings.oidc_issuer else ''}</main>"
    )
    response = Response(frame("Sign in", "sign-in", main, {}), status, media_type="text/html")
    response.set_cookie(
        "ecgstream-form",
        token,
        max_age=3600,
        httponly=True,
        samesite="strict",
        secure=settings.is_https,
        path="/sign-in",
    )
    return response


async def sign_in(request: Request) -> Response:
    """The form, and what it sends."""
    if not request.app.state.settings.has_sign_in:
        return RedirectResponse("/", 303)
    if request.method != "POST":
        return _sign_in_page(request, own_path(request.query_params.get("next", "/")))
    try:
        fields = parse_qs((await small_body(request)).decode(errors="replace"), max_num_fields=8)
    except (TooLarge, ValueError):
        return _sign_in_page(request, "/", 413, "That was too much.")
    return await _try_sign_in(request, {name: values[0] for name, values in fields.items()})


async def _try_sign_in(request: Request, fields: dict[str, str]) -> Response:
    """At most a few tries an address and a name, only from our own form."""
    state, next_path = request.app.state, own_path(fields.get("next", "/"))
    name, cookie = fields.get("name", ""), request.cookies.get("ecgstream-form", "")
    if not cookie or not hmac.compare_digest(cookie.encode(), fields.get("token", "").encode()):
        return _sign_in_page(request, next_path, 403, "The form had expired. Please try again.")
    if not (state.address_rates.take(client(request.scope)) and state.name_rates.take(name[:64])):
        state.audit.note(request, "sign-in-refused", "", "rate", actor=name)
        return _sign_in_page(request, next_path, 429, "Too many tries. Wait a minute.")
    user = await state.users.verify(name, fields.get("password", ""))
    if user is None:
        state.audit.note(request, "sign-in-refused", "", "name or password", actor=name)
        return _sign_in_page(request, next_path, 401, "Name or password is wrong.")
    state.audit.note(request, "sign-in", actor=user.name)
    return state.enter(RedirectResponse(next_path, 303), state.sessions.open_local(user))  # type: ignore[no-any-return]


async def sign_out(request: Request) -> Response:
    """End the session, here and on the server."""
    state = request.app.state
    person = state.who(request)
    if person is not None and state.settings.has_sign_in:
        request.state.person = person
        token = parse_qs((await small_body(request)).decode(errors="replace")).get("csrf", [""])[0]
        if not hmac.compare_digest(token.encode(), person.csrf.encode()):
            state.audit.note(request, "refused", request.url.path, "csrf")
            return Response("csrf: missing or wrong", 403, media_type="text/plain")
        state.audit.note(request, "sign-out")
        state.desk.store.end_session(person.sid, person.until_s)
        state.seats.leave(person.sid)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(
        state.cookie, path="/", secure=state.settings.is_https, httponly=True, samesite="lax"
    )
    return response


async def oidc_begin(request: Request) -> Response:
    """Off to the issuer."""
    state = request.app.state
    if state.oidc is None:
        return Response("not found", 404, media_type="text/plain")
    next_path = own_path(request.query_params.get("next", "/"))
    try:
        return await state.oidc.begin(request, next_path)  # type: ignore[no-any-return]
    except SignInRefused as error:
        return _sign_in_page(request, next_path, 502, f"Sign-in failed: {error}.")


async def oidc_back(request: Request) -> Response:
    """Back from the issuer."""
    state = request.app.state
    if state.oidc is None:
        return Response("not found", 404, media_type="text/plain")
    next_path = own_path(str(request.session.pop("next", "/")))
    try:
        name, role = await state.oidc.finish(request)
    except SignInRefused as error:
        state.audit.note(request, "sign-in-refused", "oidc", str(error))
        return _sign_in_page(request, next_path, 403, f"Sign-in failed: {error}.")
    state.audit.note(request, "sign-in", "oidc", actor=name)
    return state.enter(RedirectResponse(next_path, 303), state.sessions.open_oidc(name, role))  # type: ignore[no-any-return]


async def health(_: Request) -> Response:
    """Whether the process answers; says nothing more."""
    return Response("ok", media_type="text/plain")


ROUTES = [
    Route("/", page, name="inbox"),
    Route("/alerts/{alert_id}", page, name="alert"),
    Route("/ward", page, name="ward"),
    Route("/devices/{device_id}", page, name="device"),
    Route("/history", page, name="history"),
    Route("/system", page, name="system"),
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/oidc/begin", oidc_begin),
    Route("/oidc/back", oidc_back, name="oidc_back"),
    Route("/static/{name}", static),
    Route("/healthz", health),
]
