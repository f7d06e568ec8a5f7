"""How the console feels with a full ward: time to first paint, and whether the browser's main thread stays free.

    python benchmarks/console_browser.py --devices 500 --alerts 50

A headless Chromium opens each page of a console that hears from every device each five seconds, and of a new revision each
second. Printed for each page: first contentful paint, when the content stood, the longest task until then; then, over the
seconds watched, in which the page is also scrolled up and down, the long tasks (over 50 ms, W3C Long Tasks), the delay of a
timer that should fire every 20 ms, frames a second and the longest time between two. Last, how long after its arrival at the
console a new alert stands in the inbox. Needs the test extra and Debian's chromium.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from console_ward import PASSWORDS, SECRET, Console, alert, finding, running, users_file
from ecgstream.console.settings import load_console_settings
from ecgstream.messages import AlertState

WATCH = """
window.__long = []; window.__lags = []; window.__frames = [];
let shown = null;
const frame = (at) => { if (shown !== null) window.__frames.push(at - shown); shown = at; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
new PerformanceObserver(l => window.__long.push(...l.getEntries().map(e => e.duration))).observe({type: 'longtask', buffered: true});
let last = performance.now();
setInterval(() => { const now = performance.now(); window.__lags.push(now - last - 20); last = now; }, 20);
"""
KINDS = [("vt", "high"), ("pause", "medium"), ("high-rate", "medium"), ("af", "low"), ("bigeminy", "low")]
READY = {
    "/": "li.alert",
    "/ward": ".tile",
    "/alerts/al-000": "figure.paper svg",
    "/devices/dev-0000": ".u-over",
    "/history": "tbody tr",
}


def fill(console: Console, devices: int, alerts: int, stop: threading.Event) -> None:
    """Let every device be heard each five seconds, and revise an alert each second."""
    names = [f"dev-{i:04d}" for i in range(devices)]
    open_ = [
        alert(f"al-{i:03d}", device_id=names[i * 7 % devices], kind=KINDS[i % 5][0], priority=KINDS[i % 5][1])
        for i in range(alerts)
    ]
    console.put(*open_)
    turn = 0
    while not stop.is_set():
        begin = time.monotonic()
        at = turn % alerts
        open_[at] = replace(
            open_[at],
            revision=open_[at].revision + 1,
            state=AlertState.UPDATED,
            heart_rate_bpm=90.0 + turn % 60,
        )
        console.put(open_[at])
        now_us = time.time_ns() // 1000
        console.put(
            *(
                finding(n, now_us, rate=60.0 + (turn * 7 + i) % 40, signal=n == names[0])
                for i, n in enumerate(names[turn % 5 :: 5])
            )
        )
        turn += 1
        stop.wait(max(0.0, 1.0 - (time.monotonic() - begin)))


def measure(page: Any, url: str, path: str, watch_s: float) -> str:
    """One page's figures as a line of the table."""
    page.goto(url + path, wait_until="commit")
    page.wait_for_selector(READY[path], timeout=60_000)
    ready_ms = page.evaluate("performance.now()")
    paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
    page.evaluate("window.__lags.length = window.__frames.length = 0")
    before = page.evaluate("window.__long.length")
    begin = time.monotonic()
    page.mouse.move(640, 600)
    while time.monotonic() - begin < watch_s:
        page.mouse.wheel(0, 120 if (time.monotonic() - begin) % 4 < 2 else -120)
        time.sleep(0.1)
    long_ms, lags_ms, frames_ms = page.evaluate("[window.__long, window.__lags, window.__frames]")
    later = long_ms[before:]
    p99 = statistics.quantiles(lags_ms, n=100)[98]
    shown = 1000 * len(frames_ms) / sum(frames_ms)
    return (f"{path:20s} {paint_ms:8.0f} {ready_ms:8.0f} {max(long_ms[:before], default=0):10.0f} "
            f"{len(later):6d} {max(later, default=0):8.0f} {p99:8.1f} {max(lags_ms):8.1f} "
            f"{shown:7.1f} {max(frames_ms):8.0f}")  # fmt: skip


def arrivals(page: Any, console: Console, times: int = 10) -> list[float]:
    """How long after its arrival each of some new alerts stood in the inbox, in ms."""
    page.goto(console.url)
    page.wait_for_selector("li.alert")
    took_ms = []
    for i in range(times):
        record = alert(f"new-{i}", device_id=f"dev-{i:04d}")
        begin = time.monotonic()
        console.put(record)
        page.wait_for_selector(f"[data-id=new-{i}]")
        took_ms.append(1000 * (time.monotonic() - begin))
    return took_ms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--alerts", type=int, default=50)
    parser.add_argument("--watch-s", type=float, default=15.0)
    arguments = parser.parse_args()
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        settings = load_console_settings({"users_file": users_file(Path(folder)), "secret": SECRET})
        with running(settings) as console:
            feeder = threading.Thread(
                target=fill, args=(console, arguments.devices, arguments.alerts, stop), daemon=True
            )
            feeder.start()
            time.sleep(6)
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            page.add_init_script(WATCH)
            page.goto(console.url)
            page.fill("[name=name]", "anna")
            page.fill("[name=password]", PASSWORDS["anna"])
            page.click("text=Sign in")
            page.wait_for_selector(".live-mark.is-live")
            print(
                f"{arguments.devices} devices, {arguments.alerts} open alerts; times in ms, {arguments.watch_s:.0f} s watched"
            )
            print(
                "page                    paint  content  load task   long  longest  lag p99  lag max  frames  longest"
            )
            for path in READY:
                print(measure(page, console.url, path, arguments.watch_s), flush=True)
            shown_ms = arrivals(page, console)
            print(
                f"a new alert stands in the inbox after {statistics.median(shown_ms):.0f} ms (median), {max(shown_ms):.0f} ms (longest)"
            )
            browser.close()
            stop.set()
            feeder.join()


if __name__ == "__main__":
    main()
