"""The console in a real browser: sign in, see an alert arrive, answer it, find it again, lose the server and be told."""

import re
import time
from typing import Any

import pytest

from console_pages import WAIT_MS, sign_in
from console_ward import Console, acknowledged, alert, finding
from ecgstream.messages import Ack, Alert

pytestmark = pytest.mark.slow


def confirm(console: Console, known: Alert) -> Ack:
    """Do what alerting does: take the answer from the topic and publish the acknowledged revision."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not console.feed.answers:
        assert time.monotonic() < deadline, "no answer came"
        time.sleep(0.02)
    ack = console.feed.answers.popleft()
    assert isinstance(ack, Ack)
    console.put(acknowledged(known, ack))
    return ack


def test_an_alert_arrives_is_answered_and_is_found_in_the_history(page: Any, console: Console) -> None:
    sign_in(page, console, "anna")
    page.wait_for_selector("text=No open alerts.")
    known = alert("a1")
    console.put(known)
    card = page.locator("li.alert.high.unanswered")
    card.wait_for()
    assert page.title().startswith("(1!!!)")
    card.locator(".note").fill("on my way")
    page.wait_for_timeout(600)
    card.locator("button").click()
    page.wait_for_selector("text=alerting has not confirmed it yet")
    ack = confirm(console, known)
    assert (ack.by, ack.note, ack.device_id) == ("anna", "on my way", "bed-07")
    page.wait_for_selector(".answered >> text=anna")
    page.click("nav >> text=History")
    page.wait_for_selector("td >> text=Ventricular tachycardia")
    assert page.locator("q").inner_text().strip('“”"') == "on my way"


def test_everything_by_keyboard(page: Any, console: Console) -> None:
    first, second = (
        alert("a1", onset_us=2_000_000_000_000_000),
        alert("a2", device_id="bed-08", onset_us=1_900_000_000_000_000),
    )
    console.put(first, second)
    sign_in(page, console, "anna")
    page.wait_for_selector("li.alert")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.keyboard.type("jakna")  # letters of a note are no commands
    page.keyboard.press("Enter")
    ack = confirm(console, second)
    assert (ack.alert_id, ack.note) == ("a2", "jakna")
    page.wait_for_selector("li.is-answered")
    page.locator("li.alert").first.focus()
    page.keyboard.press("a")
    assert confirm(console, first).alert_id == "a1"


def test_a_note_under_way_survives_new_alerts(page: Any, console: Console) -> None:
    console.put(alert("a1", priority="medium", kind="pause"))
    sign_in(page, console, "anna")
    note = page.locator("li.alert .note")
    note.focus()
    for i in range(5):
        page.keyboard.type(f"w{i} ")
        console.put(alert(f"b{i}", device_id=f"bed-{i}"))
        page.wait_for_selector(f"[data-id=b{i}]")
    assert page.locator("[data-id=a1] .note").input_value() == "w0 w1 w2 w3 w4 "
    assert page.locator("li.alert").last.get_attribute("data-id") == "a1"


def test_a_press_just_after_the_list_moved_is_not_taken(page: Any, console: Console) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "anna")
    page.wait_for_selector("[data-id=a1]")
    box = page.locator("[data-id=a1] button").bounding_box()
    console.put(alert("a2", device_id="bed-08"))
    page.wait_for_selector("[data-id=a2]")
    page.mouse.click(box["x"] + 20, box["y"] + 10)
    page.wait_for_selector("text=The list just moved")
    assert not console.feed.answers


def test_a_lost_server_makes_the_page_look_stale_and_it_comes_back_by_itself(
    page: Any, console: Console
) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "anna")
    page.wait_for_selector("[data-id=a1]")
    console.stop()
    page.wait_for_selector("body.stale")
    assert "NOT LIVE" in page.locator("#stale").inner_text()
    assert page.title().startswith("NOT LIVE")
    console.start_again()
    page.wait_for_selector("body:not(.stale)")
    page.wait_for_selector("[data-id=a1]")  # the history stands in its file
    console.put(alert("a2", device_id="bed-08"))
    page.wait_for_selector("[data-id=a2]")


def test_a_lost_alert_log_makes_the_page_stale_too(page: Any, console: Console) -> None:
    sign_in(page, console, "vera")
    console.feed.live = False
    page.wait_for_selector("body.stale")
    assert "lost the alert log" in page.locator("#stale").inner_text()
    console.feed.live = True
    page.wait_for_selector("body:not(.stale)")


def test_the_alert_page_shows_the_strip_to_scale_and_its_revisions(page: Any, console: Console) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "vera", "/alerts/a1")
    page.wait_for_selector("figure.paper svg")
    words = page.locator("figure.paper").first.get_attribute("aria-label")
    assert re.search(r"ECG strip of 30 seconds.* \d+ ventricular beats", words)
    line = page.locator("svg.line").first
    width_mm = float(line.get_attribute("viewBox").split()[2])
    assert line.bounding_box()["width"] == pytest.approx(width_mm * 96 / 25.4, rel=0.01)
    assert page.locator(".onset").count() >= 1
    assert page.locator(".calibration").count() >= 3
    assert page.locator("form.answer").count() == 0  # vera may only view
    assert len(page.pdf()) > 5000


def test_the_device_page_takes_new_signal_and_shows_the_trend(page: Any, console: Console) -> None:
    now = time.time_ns() // 1000
    for minute in range(60, 0, -1):
        console.put(finding("bed-07", now - minute * 60_000_000, rhythm="af" if minute < 20 else "sinus"))
    sign_in(page, console, "carl", "/devices/bed-07")
    page.wait_for_selector(".u-over")
    page.wait_for_selector("text=No signal has come")
    console.put(finding("bed-07", time.time_ns() // 1000, rhythm="vt", rate=170.0, signal=True))
    page.wait_for_selector("figure.paper svg.line")
    page.wait_for_selector(".traceAge >> text=Live")
    assert "AF 1" in page.locator(".words").inner_text()
    page.select_option("[name=kind]", "af")
    page.click("button >> text=Snooze")
    page.wait_for_selector("text=Sent.")
    assert console.feed.answers


def test_script_in_a_record_stays_text(page: Any, console: Console) -> None:
    script = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    console.put(alert("a1", message=script, evidence={script: script}, model=script))
    for path in ("/", "/alerts/a1", "/history"):
        if path == "/":
            sign_in(page, console, "anna")
        else:
            page.goto(console.url + path)
        page.wait_for_selector("main h1")
        page.wait_for_timeout(500)
        assert "owned" not in page.title()
        assert page.locator("main img").count() == 0


def test_the_ward_sorts_by_trouble_and_the_phone_shows_no_sideways_scroll(
    browser: Any, console: Console
) -> None:
    for i in range(20):
        console.put(finding(f"bed-{i:02d}", time.time_ns() // 1000))
    console.put(
        alert("a1", device_id="bed-17"), alert("a2", device_id="bed-05", priority="medium", kind="pause")
    )
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    sign_in(page, console, "vera", "/ward")
    page.wait_for_selector(".tile.high")
    ids = page.locator(".tile .id").all_inner_texts()
    assert ids[:3] == ["bed-17", "bed-05", "bed-00"]
    for path in ("/", "/ward", "/alerts/a1", "/devices/bed-17", "/history"):
        page.goto(console.url + path)
        page.wait_for_selector("main h1")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), path
    context.close()
