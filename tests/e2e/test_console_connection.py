"""The console when its connection is refused, falls silent, or comes back to another session."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from console_pages import WAIT_MS, sign_in
from console_ward import Console, alert, running
from ecgstream.console.settings import load_console_settings

pytestmark = pytest.mark.slow


class Network:
    """A relay before the console; an open stream can fall silent in it without being closed."""

    def __init__(self, port: int) -> None:
        self._port, self._sockets = port, list[socket.socket]()
        self._streams: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if data.startswith(b"GET /api/live"):
                    self._streams.add(sink)
                if source not in self._silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """The streams that are open carry nothing any more."""
        self._silent |= self._streams

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            one.close()


@pytest.fixture
def network(console: Console) -> Iterator[Network]:
    network = Network(console.settings.port)
    yield network
    network.close()


def enter(page: Any, network: Network, name: str, path: str = "/") -> None:
    """Sign in through the relay."""

    class Far:
        url = network.url

    sign_in(page, Far, name, path)  # type: ignore[arg-type]


def test_a_page_that_never_got_a_stream_says_so_and_nothing_of_alerts(page: Any, console: Console) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "anna")
    page.route("**/api/live*", lambda route: route.fulfill(status=429, body="{}"))
    for path, words in (("/", "No open alerts."), ("/ward", "No device has been heard yet.")):
        page.goto(console.url + path)
        page.wait_for_selector("main h1")
        assert not page.locator(f"text={words}").is_visible(), path
        page.wait_for_selector("body.stale")
        assert "NOT LIVE" in page.locator("#stale").inner_text()
        assert page.title().startswith("NOT LIVE")
    page.unroute("**/api/live*")
    page.wait_for_selector("body:not(.stale)")


def test_a_connection_that_falls_silent_is_replaced(page: Any, console: Console, network: Network) -> None:
    known = alert("a1")
    console.put(known)
    enter(page, network, "anna", "/alerts/a1")
    page.wait_for_selector("header.title >> text=Going on")
    network.lose()
    console.put(
        alert("a1", revision=1, state="ended", onset_us=known.onset_us, end_us=known.onset_us + 9_000_000)
    )
    page.wait_for_selector("header.title >> text=Over")  # what it missed, by a new stream
    assert page.locator("[data-name=State]").all_inner_texts()[-1] == "Ended"


def test_after_a_restart_without_sign_in_a_page_still_answers(page: Any) -> None:
    with running(load_console_settings({})) as console:
        console.put(alert("a1"))
        page.goto(console.url)
        page.wait_for_selector("[data-id=a1]")
        console.stop()
        page.wait_for_selector("body.stale")
        console.start_again()
        console.put(alert("a2"))
        page.wait_for_selector("[data-id=a2]")
        page.wait_for_timeout(600)
        page.locator("[data-id=a2] button").click()
        page.wait_for_selector("[data-id=a2] .pending")
        assert [ack.alert_id for ack in console.feed.answers] == ["a2"]  # type: ignore[union-attr]


def test_a_page_follows_whoever_signs_in_beside_it(page: Any, console: Console) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "carl")
    page.wait_for_selector("[data-id=a1]")
    beside = page.context.new_page()
    beside.goto(console.url)
    beside.click("text=Sign out")
    sign_in(beside, console, "anna")
    page.wait_for_selector(".person >> text=anna", timeout=WAIT_MS)
    page.wait_for_selector("[data-id=a1]")
    assert page.locator("nav >> text=System").count() == 0
    page.wait_for_timeout(600)
    page.locator("[data-id=a1] button").click()
    page.wait_for_selector(".pending >> text=Sent by anna")
