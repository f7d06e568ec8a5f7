"""Looking at the console in a browser."""

from typing import Any

from console_ward import PASSWORDS, Console

WAIT_MS = 20_000


def sign_in(page: Any, console: Console, name: str, path: str = "/") -> None:
    page.goto(console.url + path)
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORDS[name])
    page.click("text=Sign in")
    page.wait_for_selector(".live-mark.is-live")
