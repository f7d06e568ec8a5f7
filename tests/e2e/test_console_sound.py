"""The alarm's sound: when it is to be heard, and what its button says."""

import time
from typing import Any

import pytest

from console_pages import sign_in
from console_ward import Console, alert

pytestmark = pytest.mark.slow
# Notes every pulse by its tone, and keeps the page's sound at hand, to be taken away as a phone's lock takes it.
HEARD = """
window.heard = [];
const Real = window.AudioContext;
window.AudioContext = class extends Real {
  constructor() { super(); window.sound = this; }
  createOscillator() {
    const made = super.createOscillator();
    const start = made.start.bind(made);
    made.start = (at) => { window.heard.push(made.frequency.value); start(at); };
    return made;
  }
};
"""
HIGH_HZ, MEDIUM_HZ, LOW_HZ = 880, 660, 520


def pulses(page: Any, tone_hz: int) -> int:
    return int(page.evaluate(f"heard.filter((hz) => hz === {tone_hz}).length"))


def hear(page: Any, tone_hz: int, more_than: int = 0) -> None:
    deadline = time.monotonic() + 4.5  # a burst that is under way is not broken into
    while pulses(page, tone_hz) <= more_than:
        assert time.monotonic() < deadline, tone_hz
        page.wait_for_timeout(50)


@pytest.fixture
def inbox(page: Any, console: Console) -> Any:
    """The inbox with its sound on."""
    page.add_init_script(HEARD)
    sign_in(page, console, "anna")
    page.click("text=Sound: off")
    page.wait_for_selector("button >> text=Sound: on")
    return page


def test_a_worse_alert_is_heard_at_once(inbox: Any, console: Console) -> None:
    console.put(alert("a1", kind="af", priority="low"))
    hear(inbox, LOW_HZ, more_than=2)  # the first two say that sound is on
    console.put(alert("a2", device_id="bed-08"))
    hear(inbox, HIGH_HZ)


def test_a_sound_that_was_taken_away_is_not_said_to_be_on(inbox: Any) -> None:
    inbox.evaluate("sound.suspend()")
    inbox.wait_for_selector("button[aria-pressed=false] >> text=Sound")
    inbox.click("button >> text=Sound")
    inbox.wait_for_selector("button >> text=Sound: on")


def test_the_sound_stays_on_from_page_to_page(inbox: Any, console: Console) -> None:
    console.put(alert("a1"))

    def late(route: Any) -> None:
        time.sleep(1)
        route.continue_()

    inbox.route("**/api/live*", late)
    inbox.click("h3 >> text=Ventricular tachycardia")
    inbox.wait_for_selector("header.title")
    inbox.wait_for_selector("button >> text=Sound: on")
    hear(inbox, HIGH_HZ)
    assert not pulses(inbox, MEDIUM_HZ)  # a page that begins has lost nothing
    inbox.click("button >> text=Sound: on")
    inbox.click("nav >> text=Inbox")
    inbox.wait_for_selector("[data-id=a1]")
    inbox.wait_for_selector("button >> text=Sound: off")


def test_a_page_in_the_background_whose_sound_is_on_stays_live(inbox: Any, console: Console) -> None:
    inbox.goto(console.url + "/ward")
    inbox.wait_for_selector(".live-mark.is-live")
    if inbox.locator("button >> text=Sound: on").count() == 0:
        inbox.click("button >> text=Sound")
    inbox.clock.install()
    inbox.evaluate("""() => {
      Object.defineProperty(document, "hidden", { get: () => true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    inbox.clock.run_for(75_000)
    inbox.wait_for_timeout(3_000)
    console.put(alert("a1", device_id="bed-08"))
    hear(inbox, HIGH_HZ)
    assert not pulses(inbox, MEDIUM_HZ)
