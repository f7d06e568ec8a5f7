"""Ways to get into the console: each is refused."""

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from console_calls import ACK, enter, state
from console_ward import PASSWORDS, SECRET, users_file
from ecgstream.console.auth import Role, Sessions, Users, user_line
from ecgstream.console.feed import MemoryFeed
from ecgstream.messages import Ack, Snooze


def test_an_acknowledgement_is_taken_and_carries_the_session_s_name(
    client: TestClient, feed: MemoryFeed
) -> None:
    headers = enter(client, "anna")
    answer = client.post(ACK, json={"note": "seen"}, headers=headers)
    assert answer.status_code == 202
    (ack,) = feed.answers
    assert isinstance(ack, Ack)
    assert (ack.alert_id, ack.device_id, ack.by, ack.note) == ("a1", "bed-07", "anna", "seen")
    assert [e.action for e in state(client).audit.recent] == ["sign-in", "acknowledge"]


@pytest.mark.parametrize(
    "path", ["/api/me", "/api/live", "/api/alerts", "/api/alerts/a1", "/api/devices", "/api/devices/bed-07",
             "/api/history", "/api/history?format=csv", "/api/system"],
)  # fmt: skip
def test_1_no_session_no_data(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert "bed-07" not in answer.text


def test_2_no_session_no_pages(client: TestClient) -> None:
    for path in ("/", "/ward", "/alerts/a1", "/devices/bed-07", "/history", "/system"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


def test_3_no_session_no_acknowledgement(client: TestClient, feed: MemoryFeed) -> None:
    assert client.post(ACK, json={}).status_code == 401
    assert not feed.answers


def test_4_who_may_view_may_not_acknowledge_snooze_or_configure(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "vera")
    assert client.post(ACK, json={}, headers=headers).status_code == 403
    snooze = {"kind": "af", "seconds": 60}
    assert client.post("/api/devices/bed-07/snooze", json=snooze, headers=headers).status_code == 403
    assert client.post("/api/devices/bed-07/settings", json={}, headers=headers).status_code == 403
    assert client.get("/api/system").status_code == 403
    assert not feed.answers


def test_5_who_may_acknowledge_may_not_configure(client: TestClient, feed: MemoryFeed) -> None:
    headers = enter(client, "anna")
    assert client.post("/api/devices/bed-07/settings", json={}, headers=headers).status_code == 403
    assert (
        client.post("/api/system/end-session", json={"session": "0" * 32}, headers=headers).status_code == 403
    )
    assert (
        client.post(
            "/api/devices/bed-07/snooze", json={"kind": "af", "seconds": 60}, headers=headers
        ).status_code
        == 202
    )
    assert isinstance(feed.answers[-1], Snooze)


@pytest.mark.parametrize(
    "body", [{"by": "dr-house"}, {"device_id": "bed-01"}, {"at_us": 1}, {"alert_id": "other"}, {"note": 7}]
)
def test_6_a_forged_acknowledgement_is_refused(
    client: TestClient, feed: MemoryFeed, body: dict[str, Any]
) -> None:
    headers = enter(client, "anna")
    assert client.post(ACK, json=body, headers=headers).status_code == 400
    assert not feed.answers


def test_7_a_change_without_or_with_a_wrong_csrf_token(client: TestClient, feed: MemoryFeed) -> None:
    enter(client, "anna")
    for token in ({}, {"x-csrf-token": "0" * 64}, {"x-csrf-token": "ä".encode()}):
        assert client.post(ACK, json={}, headers=token).status_code == 403  # type: ignore[arg-type]
    assert not feed.answers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1.evil.example", "https://127.0.0.1", "http://["],
)
def test_8_a_change_from_another_site(client: TestClient, feed: MemoryFeed, origin: str) -> None:
    headers = enter(client, "anna") | {"origin": origin}
    assert client.post(ACK, json={}, headers=headers).status_code == 403
    assert not feed.answers


def test_9_a_form_from_another_site_can_not_sign_anybody_in_or_out(client: TestClient) -> None:
    fields = {"name": "anna", "password": PASSWORDS["anna"], "token": "x"}
    assert client.post("/sign-in", data=fields).status_code == 403
    enter(client, "anna")
    assert client.post("/sign-out", data={"csrf": "x"}).status_code == 403
    refused = state(client).audit.recent[-1]
    assert (refused.actor, refused.action, refused.target, refused.outcome) == (
        "anna", "refused", "/sign-out", "csrf",
    )  # fmt: skip
    assert client.get("/api/me").status_code == 200


def test_10_a_session_that_was_made_up_or_altered(client: TestClient) -> None:
    enter(client, "vera")
    cookie = client.cookies["ecgstream"]
    forger = Sessions("another-secret-another-secret-another", 1, Users(None), lambda _: False)
    made_up = forger.open_oidc("vera", Role.CONFIGURE)
    for value in (made_up, cookie[:-2] + "AA", cookie.split(".")[0], "", "x" * 5000, "é"):
        client.cookies.clear()
        headers = [(b"cookie", b"ecgstream=" + value.encode())]
        assert client.get("/api/me", headers=headers).status_code in (401, 431)


def test_11_a_session_after_sign_out_or_its_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = enter(client, "anna")
    cookie = client.cookies["ecgstream"]
    assert client.post("/sign-out", data={"csrf": headers["x-csrf-token"]}).status_code == 303
    client.cookies.set("ecgstream", cookie)
    assert client.get("/api/me").status_code == 401
    client.cookies.clear()
    enter(client, "anna")
    late = time.time() + 15 * 3600
    monkeypatch.setattr("ecgstream.console.auth.time.time", lambda: late)
    assert client.get("/api/me").status_code == 401


def test_12_a_user_who_was_removed_or_whose_role_or_password_changed(tmp_path: Path) -> None:
    path = users_file(tmp_path)
    users = Users(path)
    sessions = Sessions(SECRET, 1, users, lambda _: False)
    anna = users.get("anna")
    assert anna is not None
    cookie = sessions.open_local(anna)
    person = sessions.read(cookie)
    assert person is not None
    assert person.role is Role.ACKNOWLEDGE

    def now_is(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        users._checked_s = 0.0

    now_is(f"anna:view:{anna.password_hash}\n")
    person = sessions.read(cookie)
    assert person is not None
    assert person.role is Role.VIEW
    now_is(user_line("anna", "view", "another password") + "\n")
    assert sessions.read(cookie) is None
    now_is("")
    assert sessions.read(cookie) is None
