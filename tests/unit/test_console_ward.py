"""The console's ward, live events and audit trail."""

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from starlette.requests import Request

from console_ward import acknowledged, alert, finding
from ecgstream.console import pages
from ecgstream.console.audit import MAX_WAITING, Audit, AuditEntry
from ecgstream.console.desk import Desk
from ecgstream.console.live import MAX_WAITING as MAX_EVENTS
from ecgstream.console.live import Live, Page
from ecgstream.console.store import Store
from ecgstream.console.trend import BIN, burden
from ecgstream.console.ward import PAST_SESSIONS, Ward
from ecgstream.messages import Ack, Beat, Finding, Quality

T0 = 1_760_000_040_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
VENDOR = Path(pages.__file__).parent / "vendor"


def test_burdens_are_shares_of_readable_time_whatever_the_rate_of_findings() -> None:
    ward = Ward()
    for second in range(5, 605, 5):  # ten minutes of sinus rhythm, a finding every 5 s
        ward.take(finding("d", T0 + second * 1_000_000), T0)
    for second in range(601, 901):  # five minutes of AF, a finding a second
        ward.take(finding("d", T0 + second * 1_000_000, rhythm="af"), T0)
    for second in range(905, 1205, 5):  # five minutes that can't be read
        ward.take(
            finding("d", T0 + second * 1_000_000, rhythm=None, rate=None, quality=Quality.UNREADABLE), T0
        )
    shares = ward.detail("d")["burden"]
    assert shares["af"] == pytest.approx(1 / 3, abs=0.01)
    assert shares["readable"] == pytest.approx(3 / 4, abs=0.01)


def test_a_beat_in_many_windows_is_counted_once() -> None:
    ward = Ward()
    beats = [Beat(T0 + i * 1_000_000, "V" if i % 4 == 0 else "N", 0.9) for i in range(100)]
    for second in range(30, 100, 5):
        end_us = T0 + second * 1_000_000
        window = [b for b in beats if end_us - 30_000_000 <= b.at_us <= end_us]
        ward.take(msgspec.structs.replace(finding("d", end_us), beats=window), T0)
    shares = ward.detail("d")["burden"]
    assert 88 <= shares["beats"] <= 92
    assert shares["pvc"] == pytest.approx(0.25, abs=0.02)


def test_nothing_known_is_none_and_not_zero() -> None:
    shares = burden(np.zeros(0, dtype=BIN))
    assert shares["af"] is None
    assert shares["pvc"] is None
    ward = Ward()
    ward.take(finding("d", T0, rhythm=None, rate=None, quality=Quality.UNREADABLE), T0)
    assert ward.summary("d")["heart_rate_bpm"] is None
    assert ward.detail("d")["trend"]["mean"] == [None]


def test_a_minute_never_hides_seconds_of_vt() -> None:
    ward = Ward()
    for second in range(1, 50):
        ward.take(finding("d", T0 + second * 1_000_000, rhythm="vt" if 20 <= second < 25 else "sinus"), T0)
    assert "vt" in ward.detail("d")["trend"]["rhythm"]


def test_repeated_findings_change_nothing() -> None:
    ward = Ward()
    known = finding("d", T0)
    assert ward.take(known, T0)
    assert not ward.take(known, T0)
    assert ward.repeated == 1


def test_a_new_session_is_shown_though_its_clock_stands_earlier() -> None:
    ward = Ward()
    ward.take(finding("d", T0, rhythm="sinus", window=400), T0)
    for window in range(3):
        earlier = finding("d", T0 - HOUR_US + window * 1_000_000, rhythm="vt", session="s2", window=window)
        assert ward.take(earlier, T0 + window)
    assert (ward.detail("d")["session"], ward.summary("d")["rhythm"]) == ("s2", "vt")
    assert ward.summary("d")["heard_us"] == T0 + 2


def test_a_log_read_again_brings_no_past_session_back() -> None:
    ward = Ward()
    log = [
        finding("d", T0 + 10_000_000 * i + window, session=f"s{i}", window=window)
        for i in range(PAST_SESSIONS + 1)
        for window in range(2)
    ]
    assert all(ward.take(record, T0) for record in log)
    assert not any(ward.take(record, T0) for record in log)
    assert ward.repeated == len(log)
    assert ward.detail("d")["session"] == f"s{PAST_SESSIONS}"


def test_a_session_that_goes_on_after_another_is_shown_again() -> None:
    ward = Ward()
    phone, station = ([finding("d", T0 + k, session=name, window=k) for k in range(9)] for name in "ab")
    later = [finding("d", T0 + k, session="a", window=k, rhythm="vt") for k in range(20, 25)]
    assert all(ward.take(record, T0) for record in (*phone, *station, *later))
    assert (ward.detail("d")["session"], ward.summary("d")["rhythm"]) == ("a", "vt")
    assert not any(ward.take(record, T0) for record in (*phone, *station))


def test_more_sessions_than_are_remembered_end_with_the_last_all_the_same() -> None:
    ward = Ward()
    log = [finding("d", T0 + i, session=f"s{i}", window=0) for i in range(3 * PAST_SESSIONS)]
    for record in (*log, *log[5:], *log):
        ward.take(record, T0)
    assert ward.take(finding("d", T0, session=log[-1].session, window=1), T0)


def bare(window: int, end_us: int, **more: Any) -> Finding:
    """A finding without beats."""
    return msgspec.structs.replace(finding("d", end_us, window=window, **more), beats=[])


def test_a_clock_set_back_within_a_session_is_followed() -> None:
    ward = Ward()
    for window in range(600):
        ward.take(bare(window, T0 + window * 1_000_000), T0)
    for window in range(600, 720):  # five minutes back
        end_us = T0 + (window - 300) * 1_000_000
        beats = [Beat(end_us - 5_500_000, "V", 0.9)]
        assert ward.take(msgspec.structs.replace(bare(window, end_us, rhythm="af"), beats=beats), T0), window
    shown = ward.detail("d")
    assert shown["end_us"] == T0 + 419_000_000
    assert shown["trend"]["at_s"] == [(T0 // 60_000_000 + minute) * 60 for minute in range(7)]
    assert shown["trend"]["rhythm"] == ["sinus"] * 5 + ["af"] * 2
    assert (shown["burden"]["heard_s"], shown["burden"]["beats"]) == (420, 119)


def test_a_clock_that_was_far_ahead_for_a_moment_costs_the_trend_no_other_minute() -> None:
    ward = Ward()
    for window in range(1200):
        ahead_us = 365 * DAY_US if window == 1000 else 0
        ward.take(bare(window, T0 + ahead_us + window * 1_000_000), T0)
    assert ward.detail("d")["trend"]["at_s"] == [(T0 // 60_000_000 + minute) * 60 for minute in range(20)]


def test_a_clock_that_was_never_set_shows_only_minutes_that_were_heard() -> None:
    ward = Ward()
    for window in range(120):
        ward.take(bare(window, 600_000_000 + window * 1_000_000), T0)
    assert ward.detail("d")["trend"]["at_s"] == [600, 660]


def test_a_trace_says_when_it_came_whatever_its_device_s_clock_says() -> None:
    ward = Ward()
    ward.take(finding("d", T0 + HOUR_US, signal=True, window=1), T0)
    ward.take(finding("d", T0 + HOUR_US, window=2), T0 + 1_000_000)
    assert ward.detail("d")["trace"]["heard_us"] == T0


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_a_rate_that_is_no_number_is_not_known(rate: float) -> None:
    desk = Desk(Store(), Ward(), Live())
    desk.take_finding(msgspec.structs.replace(bare(0, T0), heart_rate_bpm=rate), T0)
    desk.take_alert(alert("a", heart_rate_bpm=rate), T0)
    assert desk.ward.summary("d")["heart_rate_bpm"] is None
    assert desk.ward.detail("d")["trend"]["mean"] == [None]
    assert [shown["heart_rate_bpm"] for shown in desk.inbox()] == [None]


def test_the_ward_is_bounded_and_the_longest_silent_leaves() -> None:
    ward = Ward(max_devices=2)
    for i, name in enumerate(["a", "b", "a", "c"]):
        ward.take(finding(name, T0 + i * 1_000_000), T0)
    assert sorted(ward.devices) == ["a", "c"]
    assert ward.evicted == 1


def test_the_trend_forgets_what_is_older_than_its_length() -> None:
    ward = Ward(trend_hours=1)
    for minute in range(90):
        ward.take(finding("d", T0 + minute * 60_000_000), T0)
    at_s = ward.detail("d")["trend"]["at_s"]
    assert len(at_s) == 60
    assert at_s == sorted(at_s)


async def test_a_page_begins_with_a_snapshot_and_a_beat_then_hears_what_changes() -> None:
    live = Live()
    desk = Desk(Store(), Ward(), live)
    desk.take_alert(alert("a"), T0)
    page = Page("s", None)
    stream = live.stream(page, desk.snapshot, lambda: b"beat", lambda: True)
    first = [await anext(stream) for _ in range(4)]
    assert [data.split(b"\n")[0] for data in first] == [
        b"retry: 2000",
        b"event: inbox",
        b"event: ward",
        b"beat",
    ]
    desk.take_alert(alert("b"), T0)
    assert b'"alert_id":"b"' in await anext(stream)
    for i in range(10):
        desk.take_finding(finding(f"bed-{i}", T0 + i), T0)
    desk.tick()
    devices = await anext(stream)
    assert devices.startswith(b"event: devices")
    assert devices.count(b"device_id") == 10
    await stream.aclose()
    assert not live.pages


async def test_a_page_that_does_not_keep_up_is_cut_off() -> None:
    live = Live()
    page = Page("s", None)
    stream = live.stream(page, list, lambda: b"beat", lambda: True)
    await anext(stream)
    for i in range(MAX_EVENTS + 10):
        live.send("alert", i)
    assert page.cut
    assert live.cut_off == 1  # a page, however many events it missed
    got = [data async for data in stream]
    assert len(got) == MAX_EVENTS + 1  # and the beat
    assert not live.pages


async def test_a_stream_ends_with_its_session() -> None:
    live = Live()
    allowed = [True]
    stream = live.stream(Page("s", None), list, lambda: b"beat", lambda: allowed[0])
    await anext(stream)
    await anext(stream)
    allowed[0] = False
    live.send("alert", 1)
    rest = [data async for data in stream]
    assert len(rest) == 1


def test_one_session_opens_only_so_many_pages() -> None:
    live = Live()
    live.pages |= {Page("s", None) for _ in range(12)}
    assert not live.has_room("s")
    assert live.has_room("t")


def test_a_sent_answer_is_pending_until_a_revision_carries_it() -> None:
    desk = Desk(Store(), Ward(), Live())
    known = alert("a")
    ack = Ack(alert_id="a", device_id="bed-07", by="anna", at_us=T0, note="seen")
    desk.take_alert(known, T0)
    desk.take_ack(ack)
    assert desk.inbox()[0]["pending"] == {"by": "anna", "at_us": T0, "note": "seen"}
    desk.take_ack(ack)
    assert desk.inbox()[0]["acknowledgement"] is None
    desk.take_alert(acknowledged(known, ack), T0)
    shown = desk.inbox()[0]
    assert shown["pending"] is None
    assert shown["acknowledgement"].by == "anna"


def test_pages_are_told_at_once_that_an_older_answer_counts_no_more() -> None:
    desk = Desk(Store(), Ward(), Live())
    page = Page("s", None)
    desk.live.pages.add(page)
    known = alert("a", escalations=1, state="escalated", revision=1)
    desk.take_ack(Ack(alert_id="a", device_id="bed-07", by="anna", at_us=T0))
    desk.take_alert(known, T0 + 1)
    told = page.waiting.get_nowait()
    assert told is not None
    assert json.loads(told.split(b"data: ")[1])["pending"] is None


async def test_the_audit_trail_is_bounded_in_order_and_never_waits() -> None:
    audit, sent = Audit(), []
    request = Request({"type": "http", "client": ("192.0.2.1", 1), "state": {}})
    for i in range(MAX_WAITING + 3):
        audit.note(request, "watch", str(i))
    assert audit.state().dropped == 3

    async def send(entry: AuditEntry) -> bool:
        await asyncio.sleep(0)
        sent.append(entry.target)
        return len(sent) < 5

    await audit.write_out(send)
    assert sent == ["3", "4", "5", "6", "7"]
    assert audit.state().waiting == MAX_WAITING - 4


def test_what_is_vendored_is_what_the_lock_file_names() -> None:
    static = VENDOR.parent / "static"
    for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        assert hashlib.sha256((static / name).read_bytes()).hexdigest() == digest, name
    lock = json.loads((VENDOR / "package-lock.json").read_text(encoding="utf-8"))
    package = json.loads((VENDOR / "package.json").read_text(encoding="utf-8"))
    locked = lock["packages"]["node_modules/uplot"]
    assert locked["version"] == package["dependencies"]["uplot"]
    assert locked["license"] == "MIT"


def test_no_page_loads_anything_from_elsewhere() -> None:
    for name, (content, _, _) in pages.load_static().items():
        text = content.decode()
        if not name.startswith("uPlot"):
            assert "innerHTML" not in text, name
            assert "eval(" not in text, name
            assert "http:" not in text.replace("http://www.w3.org", ""), name
            assert "https:" not in text, name


def test_five_hundred_devices_cost_the_server_little() -> None:
    ward = Ward()
    findings: list[Finding] = [
        finding(f"dev-{i:04d}", T0 + s * 5_000_000) for s in range(2) for i in range(500)
    ]
    begin = time.process_time()
    for record in findings:
        ward.take(record, T0)
    per_finding_s = (time.process_time() - begin) / len(findings)
    assert per_finding_s < 0.001  # 500 devices send 100 findings a second
