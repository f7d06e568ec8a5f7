"""Search in the history, as JSON or CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ecgstream.console.api import needs, refuse, reply
from ecgstream.console.auth import Role
from ecgstream.console.desk import to_json
from ecgstream.console.store import Search, has_ended
from ecgstream.messages import Alert, Id, Priority

PAGE = 100
MAX_EXPORT = 10_000
COLUMNS = ("alert_id", "device_id", "kind", "category", "priority", "state", "onset", "end", "detected",
           "heart_rate_bpm", "escalations", "acknowledged_by", "acknowledged_at", "note", "message", "model",
           "configuration")  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
ASKED = {"device", "kind", "category", "priority", "since_us", "until_us", "before", "format"}


def asked(query: dict[str, str]) -> Search:
    """The search in a query string; raises `ValueError` naming the field and the value."""
    unknown = set(query) - ASKED
    if unknown:
        raise ValueError(f"{min(unknown)[:40]}: unknown field")
    query = {name: value for name, value in query.items() if value}
    for name in ("device", "kind", "category"):
        if name in query:
            _id(name, query[name])
    before = None
    if "before" in query:
        onset, _, alert_id = query["before"].partition("~")
        before = (_time("before", onset), _id("before", alert_id))
    return Search(
        device=query.get("device"),
        kind=query.get("kind"),
        category=query.get("category"),
        priority=_priority(query["priority"]) if "priority" in query else None,
        since_us=_time("since_us", query["since_us"]) if "since_us" in query else None,
        until_us=_time("until_us", query["until_us"]) if "until_us" in query else None,
        before=before,
        limit=PAGE,
    )


def _id(name: str, value: str) -> str:
    try:
        return msgspec.convert(value, Id)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from error


def _priority(value: str) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise ValueError(f"priority: expected high, medium or low, got {value[:40]!r}") from None


def _time(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 16):
        raise ValueError(f"{name}: expected UTC microseconds, got {value[:40]!r}")
    return int(value)


def _iso(at_us: int | None) -> str:
    return (
        "" if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
    )


def _cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA) else text


def row(alert: Alert) -> tuple[str, ...]:
    """An alert as one line of the export, in the order of `COLUMNS`."""
    ack = alert.acknowledgement
    return tuple(
        _cell(value)
        for value in (
            alert.alert_id, alert.device_id, alert.kind, alert.category, alert.priority, alert.state,
            _iso(alert.onset_us), _iso(alert.end_us), _iso(alert.detected_us),
            alert.heart_rate_bpm, alert.escalations, ack.by if ack else "",
            _iso(ack.at_us) if ack else "", ack.note if ack else "", alert.message,
            alert.model, alert.configuration,
        )
    )  # fmt: skip


def as_csv(alerts: Iterator[Alert]) -> str:
    """The export as CSV with a header line."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(row(alert) for alert in alerts)
    return text.getvalue()


@needs(Role.VIEW)
async def history(request: Request) -> Response:
    """A page of the history, or all that match (`MAX_EXPORT` at most) as a file."""
    state, query = request.app.state, dict(request.query_params)
    try:
        search = asked(query)
    except ValueError as error:
        return refuse(400, str(error))
    form = query.get("format", "page")
    if form == "page":
        state.audit.note(request, "search", request.url.query)
        found = list(state.desk.store.search(search))
        last = found[-1] if len(found) == PAGE else None
        more = None if last is None else f"{last.onset_us}~{last.alert_id}"
        return reply(
            {"alerts": [state.desk.alert(a) for a in found], "more": more, "kinds": state.desk.store.kinds()}
        )
    if form not in ("csv", "json"):
        return refuse(400, f"format: expected page, csv or json, got {form[:40]!r}")
    if not state.export_rates.take(request.state.person.name):
        state.audit.note(request, "export", request.url.query, "rate")
        return refuse(429, "rate: too many exports; wait a moment")
    state.audit.note(request, "export", request.url.query)
    alerts = state.desk.store.search(replace(search, limit=MAX_EXPORT))
    disposition = {"content-disposition": f'attachment; filename="ecgstream-alerts.{form}"'}
    if form == "csv":
        return Response(as_csv(alerts), media_type="text/csv; charset=utf-8", headers=disposition)
    records = [{**msgspec.to_builtins(alert), "ended": has_ended(alert)} for alert in alerts]
    return Response(to_json(records), media_type="application/json", headers=disposition)


ROUTES = [Route("/api/history", history)]
