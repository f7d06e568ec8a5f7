"""Sign-in by an issuer: a whole round with one that stands in for it, and what is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from console_ward import SECRET
from ecgstream.console.app import create_app
from ecgstream.console.feed import MemoryFeed
from ecgstream.console.settings import load_console_settings

ISSUER, HOME = "https://sso.example/realms/ward", "https://console.example"


class Issuer:
    """An OpenID Connect issuer as a transport: it vouches for `claims` with `key`."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1"})
        self.published = self.key
        self.claims: dict[str, Any] = {
            "sub": "7",
            "preferred_username": "eve",
            "roles": ["ecgstream-acknowledge"],
        }
        self.nonce = ""
        self.instead: dict[
            str, Any
        ] = {}  # what it says in place of metadata, keys or token, by the end of the path
        self.verifier = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path.rsplit("/", 1)[1] in self.instead:
            return httpx2.Response(200, json=self.instead[path.rsplit("/", 1)[1]])
        if path.endswith("/.well-known/openid-configuration"):
            return httpx2.Response(200, json={
                "issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/auth", "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys", "id_token_signing_alg_values_supported": ["RS256"],
            })  # fmt: skip
        if path.endswith("/keys"):
            return httpx2.Response(200, json={"keys": [self.published.as_dict(private=False)]})
        self.verifier = parse_qs(request.content.decode()).get("code_verifier", [""])[0]
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "console",
            "iat": now,
            "exp": now + 60,
            "nonce": self.nonce,
        } | self.claims
        token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        return httpx2.Response(200, json={"access_token": "a", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def client(issuer: Issuer, tmp_path: Path) -> Iterator[TestClient]:
    secret = tmp_path / "oidc-secret"
    secret.write_text("the client's secret\n", encoding="utf-8")
    settings = load_console_settings(
        {
            "oidc_issuer": ISSUER,
            "oidc_client_id": "console",
            "oidc_client_secret_file": secret,
            "secret": SECRET,
            "public_url": HOME,
        }
    )
    app = create_app(settings, MemoryFeed(), oidc_client={"transport": httpx2.MockTransport(issuer)})
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield client


def sign_in(client: TestClient, issuer: Issuer, state: str | None = None, next_path: str = "/") -> Any:
    away = client.get("/oidc/begin", params={"next": next_path})
    assert away.status_code == 302
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
    assert asked["redirect_uri"] == f"{HOME}/oidc/back"
    assert asked["code_challenge_method"] == "S256"
    issuer.nonce = issuer.nonce or asked["nonce"]
    return client.get("/oidc/back", params={"code": "c", "state": state or asked["state"]})


def test_a_person_with_a_role_comes_in(client: TestClient, issuer: Issuer) -> None:
    assert "Password" not in client.get("/sign-in").text
    assert sign_in(client, issuer).status_code == 303
    me = client.get("/api/me").json()
    assert (me["name"], me["role"]) == ("oidc:eve", "acknowledge")
    assert issuer.verifier


@pytest.mark.parametrize(
    "claims",
    [{"roles": []}, {"roles": ["other-configure"]}, {"aud": "another"}, {"iss": "https://evil.example"},
     {"exp": 1}, {"nonce": "replayed"}],
    ids=json.dumps,
)  # fmt: skip
def test_who_is_not_vouched_for_stays_out(client: TestClient, issuer: Issuer, claims: dict[str, Any]) -> None:
    issuer.claims |= claims
    assert sign_in(client, issuer).status_code == 403
    assert client.get("/api/me").status_code == 401


def test_a_token_signed_by_somebody_else_stays_out(client: TestClient, issuer: Issuer) -> None:
    issuer.published = RSAKey.generate_key(2048, {"kid": "k1"})
    assert sign_in(client, issuer).status_code == 403
    assert client.get("/api/me").status_code == 401


def test_an_answer_that_nobody_asked_for_stays_out(client: TestClient, issuer: Issuer) -> None:
    assert sign_in(client, issuer, state="made-up").status_code == 403
    assert client.get("/oidc/back?error=access_denied&state=x").status_code == 403
    assert client.get("/api/me").status_code == 401


@pytest.mark.parametrize(
    ("next_path", "shown"),
    [("/alerts/a1", "/alerts/a1"), ("https://evil.example", "/"), ("//evil.example", "/")],
)
def test_who_was_sent_to_sign_in_comes_back_to_the_page(
    client: TestClient, issuer: Issuer, next_path: str, shown: str
) -> None:
    page = client.get("/sign-in", params={"next": next_path}).text
    assert f'href="/oidc/begin?next={shown}"' in page
    assert sign_in(client, issuer, next_path=next_path).headers["location"] == shown


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("openid-configuration", {}),
        ("openid-configuration", []),
        ("openid-configuration", {"issuer": ISSUER}),
    ],
)
def test_an_issuer_that_says_nothing_usable_of_itself_is_told_as_such(
    client: TestClient, issuer: Issuer, what: str, answer: Any
) -> None:
    issuer.instead[what] = answer
    refused = client.get("/oidc/begin")
    assert refused.status_code == 502
    assert "the issuer can&#x27;t be reached" in refused.text


@pytest.mark.parametrize(
    ("what", "answer"),
    [("keys", {}), ("keys", []), ("keys", {"keys": []}),
     ("token", {"access_token": "a", "token_type": "Bearer", "id_token": None})],
)  # fmt: skip
def test_keys_or_tokens_that_are_none_are_refused_and_nobody_is_kept_out_by_them(
    client: TestClient, issuer: Issuer, what: str, answer: Any
) -> None:
    issuer.instead[what] = answer
    assert sign_in(client, issuer).status_code == 403
    issuer.instead.clear()
    issuer.nonce = ""
    assert sign_in(client, issuer).status_code == 303


def test_another_key_of_the_same_id_is_taken_at_the_next_try(client: TestClient, issuer: Issuer) -> None:
    assert sign_in(client, issuer).status_code == 303
    issuer.key = issuer.published = RSAKey.generate_key(2048, {"kid": "k1"})
    codes = []
    for _ in range(2):
        issuer.nonce = ""
        codes.append(sign_in(client, issuer).status_code)
    assert codes == [403, 303]
