"""What the console is told, and what it then refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from typer.testing import CliRunner

from console_calls import ACK, BASE
from console_ward import PASSWORDS, SECRET, alert, users_file
from ecgstream.cli import app
from ecgstream.console.app import create_app
from ecgstream.console.auth import Role, Sessions, User, Users, parse_users, user_line
from ecgstream.console.feed import MemoryFeed
from ecgstream.console.oidc import SignInRefused, person_of
from ecgstream.console.server import check_pair
from ecgstream.console.settings import load_console_settings


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"host": "0.0.0.0"}, "nobody would have to sign in"),
        ({"host": "192.0.2.7", "users_file": "users"}, "without TLS"),
        ({"host": "0.0.0.0", "users_file": "users", "allow_plain_http": True}, "public_url"),
        ({"public_url": "https://ward.example"}, "public_url: ward.example .* nobody would have to sign in"),
        (
            {"public_url": "http://ward.example", "users_file": "users"},
            "public_url: ward.example .* without TLS",
        ),
        ({"public_url": "https://"}, "public_url: expected"),
        ({"public_url": "https://ward.example/console", "users_file": "users"}, "without a path"),
        ({"tls_certificate": "a.pem"}, "tls_certificate and tls_key"),
        (
            {"oidc_issuer": "sso.example", "oidc_client_id": "c"},
            "oidc_issuer: expected https://, got 'sso.example'",
        ),
        ({"oidc_issuer": "http://sso.example", "oidc_client_id": "c"}, "oidc_issuer: expected https://"),
        ({"oidc_client_secret": "a", "oidc_client_secret_file": "b"}, "set one of them"),
        ({"trusted_proxies": "127.0.0.1, nginx"}, "trusted_proxies: .*'nginx'"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_it_does_not_listen_where_it_must_not(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        load_console_settings(given)


@pytest.mark.parametrize(
    ("given", "host", "origin"),
    [
        ({"public_url": "https://ward.example:8443"}, "ward.example", "https://ward.example:8443"),
        ({"public_url": "https://[2001:db8::1]"}, "[2001:db8::1]", "https://[2001:db8::1]"),
        (
            {"host": "2001:db8::1", "allow_plain_http": True},
            "[2001:db8::1]:8344",
            "http://[2001:db8::1]:8344",
        ),
    ],
)
def test_it_goes_by_the_name_that_it_was_given(
    users: Path, feed: MemoryFeed, given: dict[str, Any], host: str, origin: str
) -> None:
    console = create_app(load_console_settings({"users_file": users, "secret": SECRET, **given}), feed)
    with TestClient(console, base_url=BASE) as client:
        form = client.get("/sign-in", headers={"host": host})
        assert form.status_code == 200
        tried = client.post("/sign-in", headers={"host": host, "origin": origin})
        assert "The form had expired" in tried.text  # not refused for its origin
        refused = client.post("/sign-in", headers={"host": host, "origin": "https://evil.example"})
        assert "origin: " in refused.text


def test_a_certificate_and_a_key_that_are_none_are_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk", encoding="utf-8")
    with pytest.raises(ValueError, match=r"tls_key: .*none\.pem"):
        check_pair(junk, tmp_path / "none.pem")
    with pytest.raises(ValueError, match=r"tls_certificate .*junk\.pem and tls_key .*junk\.pem: "):
        check_pair(junk, junk)


def test_a_users_file_that_turns_wrong_is_told_once_in_the_log(tmp_path: Path) -> None:
    path = users_file(tmp_path)
    users = Users(path)
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with capture_logs() as logs:
        for _ in range(3):
            users._checked_s = 0.0
            assert users.get("anna") is None
    assert [line["reason"] for line in logs] == ["users_file: line 4: vera stands there twice"]


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
    utf_16 = tmp_path / "utf-16"
    utf_16.write_text("anna", encoding="utf-16")
    with pytest.raises(ValueError, match=r"users_file: .*decode"):
        Users(utf_16)
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
