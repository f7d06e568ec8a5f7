"""The console as people read it: late data that looks late, names for a screen reader, contrast, paper, the history's files."""

import csv
import io
import json
import re
import time
from typing import Any

import pytest

from console_pages import WAIT_MS, sign_in
from console_ward import Console, alert, finding

pytestmark = pytest.mark.slow
PATHS = ("/", "/ward", "/alerts/a1", "/devices/bed-07", "/history", "/system")
# Text whose contrast with the ground it stands on is below WCAG AA; canvas and pictures aside.
FAINT = """() => {
  const parts = (c) => { const [r, g, b, a = 1] = c.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = (c, under) => [0, 1, 2].map((i) => c[i] * c[3] + under[i] * (1 - c[3]));
  const ground = (node) => {
    const stack = [];
    for (let n = node; n; n = n.parentElement) stack.push(parts(getComputedStyle(n).backgroundColor));
    return stack.reduceRight((under, c) => over(c, under), [255, 255, 255]);
  };
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.checkVisibility() || node.closest("svg, .unseen, .skip, :disabled")) continue;
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!text) continue;
    const under = ground(node);
    const [a, b] = [light(over(parts(getComputedStyle(node).color), under)), light(under)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push([text, ((a + 0.05) / (b + 0.05)).toFixed(2)]);
  }
  return found;
}"""


def furnish(console: Console) -> None:
    """A ward with something on every page."""
    now_us = time.time_ns() // 1000
    for minute in range(20, -1, -1):
        console.put(finding("bed-07", now_us - minute * 60_000_000, rhythm="af", signal=minute == 0))
    console.put(
        finding("bed-08", now_us), finding("bed-09", now_us, rhythm=None, rate=None),
        alert("a1", escalations=2, evidence={"ventricular_beats": 12, "latched": True, "recurrences": 1}),
        alert("a2", device_id="bed-08", kind="pause", priority="medium", state="ended", end_us=now_us),
        alert("a3", device_id="bed-09", kind="lead-off", priority="medium", category="technical", rhythm=None),
    )  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_control_and_picture_has_a_name_and_every_text_its_contrast(
    browser: Any, console: Console, theme: str
) -> None:
    furnish(console)
    context = browser.new_context(color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(console.url + "/sign-in")
    assert page.evaluate(FAINT) == []
    sign_in(page, console, "carl")
    for path in PATHS:
        page.goto(console.url + path)
        page.wait_for_selector("main h1")
        page.wait_for_selector(".live-mark.is-live")
        page.wait_for_timeout(300)
        said = page.locator("body").aria_snapshot()
        nameless = re.findall(
            r"^\s*- (?:button|link|textbox|combobox|img|checkbox|meter)(?:\s*\[.*\])?:?$", said, re.M
        )
        assert nameless == [], (path, said)
        assert len(re.findall(r"^\s*- heading .*\[level=1\]", said, re.M)) == 1, path
        assert re.search(r"- navigation \"Pages\"", said), path
        assert page.evaluate(FAINT) == [], path
    context.close()


def test_the_first_tab_skips_to_the_content(page: Any, console: Console) -> None:
    furnish(console)
    sign_in(page, console, "anna")
    page.wait_for_selector("li.alert")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Ventricular tachycardia"


def test_what_arrives_late_looks_late(page: Any, console: Console) -> None:
    now_us = time.time_ns() // 1000
    console.put(finding("bed-07", now_us - 100_000_000, signal=True), finding("bed-08", now_us))
    sign_in(page, console, "vera", "/ward")
    page.wait_for_selector(".tile.is-late >> text=1:40 min behind")
    assert page.locator(".tile .id").first.inner_text() == "bed-07"
    assert page.locator("#stale").is_hidden()  # one device is late, not the ward
    page.goto(console.url + "/devices/bed-07")
    page.wait_for_selector("text=/Not now: what is shown was measured 1:4\\d min ago/")


def test_when_everything_is_late_the_page_says_so(page: Any, console: Console) -> None:
    now_us = time.time_ns() // 1000
    console.put(*(finding(f"bed-{i:02d}", now_us - 90_000_000 - i * 1_000_000) for i in range(3)))
    sign_in(page, console, "vera")
    page.wait_for_selector("#stale.notice >> text=Everything is shown 90 s late or more")


def test_a_snooze_names_its_kind_first(page: Any, console: Console) -> None:
    furnish(console)
    sign_in(page, console, "anna", "/devices/bed-07")
    page.wait_for_selector("button >> text=Snooze")
    page.click("button >> text=Snooze")
    page.wait_for_timeout(300)
    assert not console.feed.answers  # asystole is not what a hasty press silences


def test_print_is_to_scale_and_leaves_the_page_s_buttons_out(page: Any, console: Console) -> None:
    console.put(alert("a1"))
    sign_in(page, console, "vera", "/alerts/a1")
    page.wait_for_selector("figure.paper svg")
    page.emulate_media(media="print")
    line = page.locator(".print-only svg.line").first
    shown = line.bounding_box()
    width_mm, height_mm = (float(v) for v in line.get_attribute("viewBox").split()[2:])
    assert width_mm <= 273  # A4 across less its margins
    assert shown["width"] / width_mm == pytest.approx(96 / 25.4, rel=0.001)
    assert shown["height"] / height_mm == pytest.approx(96 / 25.4, rel=0.001)
    assert not page.locator("#bar").is_visible()
    assert not page.locator("text=Print >> nth=0").is_visible()
    assert page.locator("text=not a certified medical device").is_visible()


def test_the_history_is_searched_and_exported(page: Any, console: Console) -> None:
    furnish(console)
    sign_in(page, console, "vera", "/history")
    page.wait_for_selector("text=3 alerts")
    page.fill("[name=device]", "bed-08")
    page.select_option("[name=kind]", "pause")
    page.click("button >> text=Search")
    page.wait_for_selector("text=1 alert")
    with page.expect_download() as saved:
        page.click("text=Export CSV")
    (row,) = csv.DictReader(io.StringIO(saved.value.path().read_text()))
    assert (row["alert_id"], row["device_id"], row["kind"]) == ("a2", "bed-08", "pause")
    with page.expect_download() as saved:
        page.click("text=Export JSON")
    (record,) = json.loads(saved.value.path().read_bytes())
    assert record["alert_id"] == "a2"
    page.fill("[name=to]", "2020-01-01T00:00")
    page.click("button >> text=Search")
    page.wait_for_selector("text=0 alerts")
