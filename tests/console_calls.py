"""Calling the console as a browser would."""

import re
from typing import Any

from starlette.testclient import TestClient

from console_ward import PASSWORDS

BASE = "http://127.0.0.1"
ACK = "/api/alerts/a1/acknowledge"


def state(client: TestClient) -> Any:
    return client.app.state  # type: ignore[attr-defined]


def sign_in(client: TestClient, name: str, password: str | None = None, next_path: str = "/") -> Any:
    form = client.get("/sign-in").text
    token = re.search(r'name="token" value="([0-9a-f]+)"', form)
    assert token is not None
    fields = {"name": name, "password": password or PASSWORDS[name], "token": token[1], "next": next_path}
    return client.post("/sign-in", data=fields, headers={"origin": BASE})


def enter(client: TestClient, name: str) -> dict[str, str]:
    """Sign in; returns the headers that a change needs."""
    assert sign_in(client, name).status_code == 303
    return {"x-csrf-token": client.get("/api/me").json()["csrf"], "origin": BASE}
