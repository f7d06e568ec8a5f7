"""A console and a browser that looks at it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console_pages import WAIT_MS
from console_ward import SECRET, Console, running, users_file
from ecgstream.console.settings import load_console_settings

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (the test extra)"
    )
    if CHROMIUM is None:
        pytest.skip("no chromium (apt-get install chromium)")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    settings = load_console_settings(
        {"users_file": users_file(tmp_path), "secret": SECRET, "database": str(tmp_path / "console.db")}
    )
    with running(settings) as console:
        yield console


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None
    )
    yield page
    context.close()
    assert not problems
