"""What the console is told, and what it then refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from console_calls import ACK, BASE
from console_ward import PASSWORDS, SECRET, alert
from ecgstream.cli import app
from ecgstream.console.app import create_app
from ecgstream.console.auth import Role, Sessions, User, Users, parse_users, user_line
from ecgstream.console.feed import MemoryFeed
from ecgstream.console.oidc import SignInRefused, person_of
from ecgstream.console.settings import load_console_settings


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"host": "0.0.0.0"}, "nobody would have to sign in"),
        ({"host": "192.0.2.7", "users_file": "users"}, "without TLS"),
        ({"host": "0.0.0.0", "users_file": "users", "allow_plain_http": True}, "public_url"),
        ({"tls_certificate": "a.pem"}, "tls_certificate and tls_key"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_it_does_not_listen_where_it_must_not(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        load_console_settings(given)


def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSTREAM_CONSOLE_USER_FILE", "x")
    with pytest.raises(ValueError, match="ECGSTREAM_CONSOLE_USER_FILE"):
        load_console_settings({})


def test_a_short_secret_or_a_wrong_users_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="secret: expected 32"):
        Sessions("short", 1, Users(None), lambda _: False)
    with pytest.raises(ValueError, match="line 2"):
        parse_users("# ours\nanna:root:$argon2id$x\n")
    with pytest.raises(ValueError, match="Argon2id"):
        parse_users("anna:view:plain")
    with pytest.raises(ValueError, match="users_file"):
        Users(tmp_path / "none")
    with pytest.raises(ValueError, match="password"):
        user_line("anna", "view", "short")


def test_a_wrong_alarm_table_is_named_in_a_line(tmp_path: Path) -> None:
    wrong = tmp_path / "alarms.yaml"
    wrong.write_text("name: mine\n", encoding="utf-8")
    missing = tmp_path / "none.yaml"
    for path, named in ((wrong, f"serve: {wrong}: "), (missing, "serve: alarms: ")):
        answer = CliRunner().invoke(app, ["serve", "--alarms", str(path)])
        assert (answer.exit_code, answer.output.count("\n")) == (2, 1)
        assert answer.output.startswith(named)
        assert str(path) in answer.output


def test_without_sign_in_the_cookie_is_not_asked_but_the_token_is(feed: MemoryFeed) -> None:
    console = create_app(load_console_settings({}), feed)
    with TestClient(console, base_url=BASE) as client:
        console.state.desk.take_alert(alert("a1"), 1)
        assert client.get("/api/alerts").status_code == 200
        assert client.post(ACK, json={}).status_code == 403
        token = client.get("/api/me").json()["csrf"]
        assert client.post(ACK, json={}, headers={"x-csrf-token": token}).status_code == 202


def test_https_sets_the_cookie_that_only_https_sends(users: Path, feed: MemoryFeed) -> None:
    settings = load_console_settings(
        {"users_file": users, "secret": SECRET, "public_url": "https://console.example"}
    )
    with TestClient(
        create_app(settings, feed), base_url="https://console.example", follow_redirects=False
    ) as client:
        form = client.get("/sign-in").text
        token = re.search(r'name="token" value="([0-9a-f]+)"', form)
        assert token is not None
        fields = {"name": "anna", "password": PASSWORDS["anna"], "token": token[1]}
        answer = client.post("/sign-in", data=fields, headers={"origin": "https://console.example"})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-ecgstream=")
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
        assert "max-age" in answer.headers["strict-transport-security"]


def test_roles_of_an_issuer() -> None:
    assert person_of("eve", ["ecgstream-view", "ecgstream-configure", "x"], "ecgstream-") == (
        "oidc:eve",
        Role.CONFIGURE,
    )
    assert person_of("eve", "a ecgstream-acknowledge", "ecgstream-") == ("oidc:eve", Role.ACKNOWLEDGE)
    for name, roles in (
        ("eve", []),
        ("eve", None),
        ("", ["ecgstream-view"]),
        ("e\nve", ["ecgstream-view"]),
        ("eve", ["view"]),
    ):
        with pytest.raises(SignInRefused):
            person_of(name, roles, "ecgstream-")


def test_an_issuer_s_person_is_no_local_user() -> None:
    sessions = Sessions(SECRET, 1, Users(None), lambda _: False)
    person = sessions.read(sessions.open_oidc("oidc:anna", Role.VIEW))
    assert person is not None
    assert (person.name, person.role) == ("oidc:anna", Role.VIEW)
    assert sessions.read(sessions.open_local(User("anna", Role.VIEW, "x"))) is None
