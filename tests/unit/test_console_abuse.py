"""Ways to break the console or to get it to break others: each is refused."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from console_calls import ACK, enter, sign_in, state
from console_ward import alert
from ecgstream.console.feed import MemoryFeed, Unconfirmed


def test_13_guessing_passwords(client: TestClient) -> None:
    assert sign_in(client, "anna", "wrong password").status_code == 401
    assert sign_in(client, "nobody", "wrong password").status_code == 401
    codes = [sign_in(client, "anna", "wrong password").status_code for _ in range(12)]
    assert codes[-1] == 429
    assert sign_in(client, "anna").status_code == 429


def test_14_bodies_that_are_too_large_announced_or_not(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "anna") | {"content-type": "application/json"}
    assert client.post(ACK, content=b"x" * 20_000, headers=headers).status_code == 413
    parts = (b"x" * 1000 for _ in range(50))
    assert client.post(ACK, content=parts, headers=headers).status_code == 413
    assert client.post(ACK, json={"note": "x" * 2001}, headers=headers).status_code == 400
    assert client.post("/sign-in", content=b"a=" + b"x" * 20_000).status_code == 413
    assert not feed.answers


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"note": "\\ud800"}', b"\xff\xfe", b"[" * 10_000]
)
def test_15_bodies_that_are_no_json(client: TestClient, feed: MemoryFeed, body: bytes) -> None:
    headers = enter(client, "anna") | {"content-type": "application/json"}
    assert client.post(ACK, content=body, headers=headers).status_code == 400
    assert (
        client.post(
            ACK, content=b'{"note":"a"}', headers=headers | {"content-type": "text/plain"}
        ).status_code
        == 415
    )
    assert not feed.answers


@pytest.mark.parametrize(
    "path", ["/static/../settings.py", "/static/%2e%2e/settings.py", "/static/..%2f..%2fetc%2fpasswd", "/static//etc/passwd",
             "/static/%2fetc%2fpasswd", "/static/console.css%00.py", "/static/..\\..\\users", "/static/.%252e/users"],
)  # fmt: skip
def test_16_path_tricks(client: TestClient, path: str) -> None:
    enter(client, "carl")
    assert client.get(path).status_code in (404, 405)


def test_17_ids_and_searches_made_to_break_the_store(client: TestClient) -> None:
    enter(client, "vera")
    assert client.get("/api/alerts/a1' OR '1'='1").status_code == 404
    for query in ("device=' OR 1=1 --", "before=1~'; DROP TABLE alerts", "since_us=1e99", "since_us=" + "9" * 30,
                  "priority=root", "kind=<script>", "order=1", "device=" + "x" * 100):  # fmt: skip
        assert client.get(f"/api/history?{query}").status_code == 400, query
    assert client.get("/api/history?device=" + "x" * 3000).status_code == 414
    assert len(client.get("/api/history").json()["alerts"]) == 1


def test_18_script_in_a_note_or_name_stays_text(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "anna")
    script = "<script>alert(1)</script>"
    assert client.post(ACK, json={"note": script}, headers=headers).status_code == 202
    shown = client.get("/api/alerts/a1")
    assert shown.headers["content-type"] == "application/json"
    assert shown.headers["x-content-type-options"] == "nosniff"
    page = client.get("/alerts/%3Cscript%3Ealert(1)")
    assert "<script>alert" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    refused = client.get('/sign-in?next="><script>alert(1)</script>')
    assert "<script>alert" not in refused.text


def test_19_a_next_page_on_another_site(client: TestClient) -> None:
    for path in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "/a\r\nset-cookie: x=1",
    ):
        answer = sign_in(client, "vera", next_path=path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), path
        client.cookies.clear()
    assert sign_in(client, "vera", next_path="/ward").headers["location"] == "/ward"


def test_20_another_host_name_as_by_dns_rebinding(client: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example"):
        assert client.get("/sign-in", headers={"host": host}).status_code == 421, host


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_21_methods_that_nothing_needs(client: TestClient, method: str) -> None:
    enter(client, "carl")
    assert client.request(method, ACK).status_code == 405


def test_22_a_flood(client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert any(client.get("/healthz").status_code == 429 for _ in range(3000))


def test_a_flood_of_changes_or_exports_is_refused_and_noted(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "anna")
    codes = [client.post(ACK, json={"note": str(i)}, headers=headers).status_code for i in range(70)]
    assert codes[0] == 202
    assert codes[-1] == 429
    assert len(feed.answers) == codes.count(202)
    noted = [e for e in state(client).audit.recent if (e.action, e.outcome) == ("acknowledge", "rate")]
    assert len(noted) == codes.count(429)
    assert {(e.actor, e.target) for e in noted} == {("anna", "a1")}
    exports = [client.get("/api/history?format=csv").status_code for _ in range(12)]
    outcomes = [e.outcome for e in state(client).audit.recent if e.action == "export"]
    assert outcomes == ["ok" if code == 200 else "rate" for code in exports]
    assert exports[-1] == 429


def test_23_formulas_in_an_export(client: TestClient) -> None:
    state(client).desk.take_alert(alert("a2", message='=HYPERLINK("http://evil.example")'), 1)
    enter(client, "vera")
    export = client.get("/api/history?format=csv")
    assert export.headers["content-disposition"].startswith("attachment")
    assert "'=HYPERLINK" in export.text
    assert ",=HYPERLINK" not in export.text.replace('"', "")


def test_24_an_answer_to_an_unknown_alert_or_device(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "carl")
    assert client.post("/api/alerts/nope/acknowledge", json={}, headers=headers).status_code == 404
    assert (
        client.post(
            "/api/devices/nope/snooze", json={"kind": "af", "seconds": 1}, headers=headers
        ).status_code
        == 404
    )
    long = {"kind": "af", "seconds": 10**9}
    assert client.post("/api/devices/bed-07/snooze", json=long, headers=headers).status_code == 400
    assert not feed.answers


@pytest.mark.parametrize("kind", ["snoozed", "nonsense"])
def test_a_snooze_that_alerting_would_ignore_is_refused(
    client: TestClient, feed: MemoryFeed, kind: str
) -> None:
    headers = enter(client, "anna")
    answer = client.post("/api/devices/bed-07/snooze", json={"kind": kind, "seconds": 60}, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"kind: '{kind}'")
    assert not feed.answers


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"limits": {"high_rate_bpm": 9999}}, r"limits\.high_rate_bpm: 9999 "),
        ({"limits": {"high_rate_bpm": 20}}, r"limits\.low_rate_bpm: \d+ must be below limits\.high_rate_bpm \(20\)"),
        ({"limits": {"colour": 1}}, r"limits\.colour: "),
        ({"kinds": {"colour": {"enabled": False}}}, r"kinds\.colour: "),
    ],
)  # fmt: skip
def test_settings_that_alerting_would_refuse_are_refused(
    client: TestClient, feed: MemoryFeed, body: dict[str, Any], named: str
) -> None:
    headers = enter(client, "carl")
    answer = client.post("/api/devices/bed-07/settings", json=body, headers=headers)
    assert answer.status_code == 400
    assert re.match(named, answer.json()["error"])
    assert not feed.answers


def test_an_answer_that_can_not_be_delivered_is_not_said_to_be(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "anna")
    feed.live = False
    answer = client.post(ACK, json={}, headers=headers)
    assert answer.status_code == 503
    assert "not delivered" in answer.json()["error"]
    assert state(client).audit.recent[-1].outcome == "not delivered"


def test_an_answer_that_nobody_confirmed_is_not_said_to_be_undelivered(
    client: TestClient, feed: MemoryFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = enter(client, "anna")

    async def hang(_: object) -> None:
        raise Unconfirmed("the broker did not answer")

    monkeypatch.setattr(feed, "answer", hang)
    answer = client.post(ACK, json={}, headers=headers)
    assert (answer.status_code, answer.json()) == (504, {"error": "the broker did not answer"})
    assert state(client).audit.recent[-1].outcome == "not confirmed"


def test_an_ended_session_is_out_at_once(client: TestClient) -> None:
    headers = enter(client, "carl")
    client.get("/")
    (seat,) = client.get("/api/system").json()["sessions"]
    assert (
        client.post("/api/system/end-session", json={"session": seat["session"]}, headers=headers).status_code
        == 200
    )
    assert client.get("/api/me").status_code == 401
