"""What the console tells its pages while they are open, the audit trail, and what the pages are made of."""

import asyncio
import hashlib
import json
import time
from pathlib import Path

from starlette.requests import Request

from console_ward import acknowledged, alert, finding
from ecgstream.console import pages
from ecgstream.console.audit import MAX_WAITING, Audit, AuditEntry
from ecgstream.console.desk import Desk
from ecgstream.console.live import MAX_WAITING as MAX_EVENTS
from ecgstream.console.live import Live, Page
from ecgstream.console.store import Store
from ecgstream.console.ward import Ward
from ecgstream.messages import Ack, Finding

T0 = 1_760_000_040_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
VENDOR = Path(pages.__file__).parent / "vendor"


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


def test_a_session_s_oldest_page_gives_way_so_that_lost_networks_lock_nobody_out() -> None:
    live = Live()
    pages = [Page("s", None) for _ in range(12)]
    for at, page in enumerate(pages):
        page.since_s = float(at)
    live.pages |= set(pages)
    assert live.make_room("t")
    assert not any(page.cut for page in pages)
    assert live.make_room("s")
    assert [page.cut for page in pages] == [True] + [False] * 11


def test_all_sessions_together_open_only_so_many_pages() -> None:
    live = Live()
    live.pages |= {Page(f"s{i}", None) for i in range(300)}
    assert not live.make_room("t")


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
