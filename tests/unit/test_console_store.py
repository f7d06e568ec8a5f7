"""The console's history: what it keeps, finds and exports."""

import contextlib
import csv
import io
import itertools
import sqlite3
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from console_ward import acknowledged, alert
from ecgstream.cli import app
from ecgstream.console import pages
from ecgstream.console.desk import Desk
from ecgstream.console.history import COLUMNS, as_csv, asked
from ecgstream.console.live import Live
from ecgstream.console.store import DAY_US, Search, Store
from ecgstream.console.ward import Ward
from ecgstream.messages import Ack, Alert, AlertState, Priority

T0 = 1_760_000_000_000_000
VENDOR = Path(pages.__file__).parent / "vendor"


def ended(known: Alert) -> Alert:
    return msgspec.structs.replace(
        known, revision=known.revision + 1, state=AlertState.ENDED, end_us=known.onset_us + 9_000_000
    )


def test_the_inbox_is_highest_priority_first_and_newest_within() -> None:
    store = Store()
    for name, priority, onset in (("a", "low", 4), ("b", "high", 1), ("c", "high", 2), ("d", "medium", 3)):
        assert store.take(alert(name, priority=priority, onset_us=T0 + onset), T0)
    assert [a.alert_id for a in store.inbox()] == ["c", "b", "d", "a"]


def test_reading_the_topic_again_changes_nothing() -> None:
    store = Store()
    first = alert("a", onset_us=T0)
    second = ended(first)
    for record in (first, second, first, second):
        store.take(record, T0)
    assert [r.revision for r, _ in store.revisions("a")] == [0, 1]
    known = store.get("a")
    assert known is not None
    assert (known.revision, known.state, known.strip) == (1, AlertState.ENDED, first.strip)


def test_a_late_revision_is_kept_but_is_not_the_newest() -> None:
    store = Store()
    first = alert("a", onset_us=T0)
    assert store.take(ended(first), T0)
    assert not store.take(first, T0)
    assert [r.revision for r, _ in store.revisions("a")] == [0, 1]
    known = store.get("a")
    assert known is not None
    assert known.revision == 1


def test_what_has_ended_stays_until_it_is_answered_unless_low_or_technical() -> None:
    store = Store()
    for name, priority, category in (
        ("high", "high", "physiological"),
        ("low", "low", "physiological"),
        ("off", "medium", "technical"),
    ):
        store.take(ended(alert(name, priority=priority, category=category, onset_us=T0)), T0)
    assert [a.alert_id for a in store.inbox()] == ["high"]
    parked = alert("parked", kind="record-parked", priority="medium", category="technical", onset_us=T0 - 1)
    store.take(ended(msgspec.structs.replace(parked, evidence={"latched": True})), T0)
    assert [a.alert_id for a in store.inbox()] == ["high", "parked"]
    store.take_ack(Ack(alert_id="parked", device_id="bed-07", by="anna", at_us=T0))
    store.take_ack(Ack(alert_id="high", device_id="bed-07", by="anna", at_us=T0))
    assert store.inbox() == []
    known = store.get("high")
    assert known is not None
    assert [a["by"] for a in store.acks(known)] == ["anna"]


LATCHED = ended(alert("a", onset_us=T0, state="updated"))  # over, and nobody has answered
ANSWER = Ack(alert_id="a", device_id="bed-07", by="anna", at_us=T0 + 10)
ELSEWHERE = msgspec.structs.replace(ANSWER, device_id="bed-08")
ESCALATED = msgspec.structs.replace(LATCHED, revision=2, state=AlertState.ESCALATED, escalations=1)
CONFIRMED = acknowledged(ESCALATED, ANSWER)


@pytest.mark.parametrize(
    ("records", "is_open"),
    [
        ([(LATCHED, T0), ANSWER], False),  # alerting will confirm it
        ([(LATCHED, T0), ELSEWHERE], True),
        ([(LATCHED, T0), (ESCALATED, T0 + 9), ANSWER], False),
        ([(LATCHED, T0), (ESCALATED, T0 + 11), ANSWER], True),  # alerting did not take it
        ([(LATCHED, T0), (ESCALATED, T0 + 11), (CONFIRMED, T0 + 12), ANSWER], False),
        ([(LATCHED, T0), (CONFIRMED, T0 + 12), ELSEWHERE], False),
    ],
)
def test_alerting_has_the_last_word_on_answers_in_whatever_order_the_topics_are_read(
    records: list[Ack | tuple[Alert, int]], is_open: bool
) -> None:
    for order in itertools.permutations(records):
        store = Store()
        for record in order * 2:
            store.take_ack(record) if isinstance(record, Ack) else store.take(*record)
        assert [a.alert_id for a in store.inbox()] == ["a"] * is_open, order


def test_an_answer_that_names_another_device_is_no_answer_to_the_alert() -> None:
    for is_read_first in (True, False):
        store = Store()
        if is_read_first:
            assert store.take_ack(ELSEWHERE) is None
        store.take(LATCHED, T0)
        assert is_read_first or store.take_ack(ELSEWHERE) is None
        assert store.acks(LATCHED) == []
        assert store.pending(LATCHED) is None


@pytest.mark.parametrize("state", [AlertState.RAISED, AlertState.UPDATED])
def test_an_alert_that_comes_back_after_an_answer_that_was_not_taken_stands_again(state: AlertState) -> None:
    desk = Desk(Store(), Ward(), Live())
    desk.take_alert(LATCHED, T0)
    desk.take_ack(ANSWER)
    assert desk.inbox() == []
    back = msgspec.structs.replace(LATCHED, revision=2, state=state, end_us=None)
    desk.take_alert(back, T0 + 20)
    (shown,) = desk.inbox()
    assert (shown["open"], shown["ended"]) == (True, False)
    assert (shown["pending"], shown["acknowledgement"]) == (None, None)


def test_an_updated_alert_is_as_escalated_as_its_count_says() -> None:
    desk = Desk(Store(), Ward(), Live())
    updated = msgspec.structs.replace(ESCALATED, revision=3, state=AlertState.UPDATED)
    desk.take_alert(updated, T0)
    (shown,) = desk.inbox()
    assert (shown["open"], shown["escalations"]) == (True, 1)


def test_the_history_is_bounded_and_says_what_it_dropped() -> None:
    store = Store(days=1, max_alerts=5)
    for i in range(8):
        store.take(ended(alert(f"new-{i}", priority="low", onset_us=T0 + i)), T0)
    store.take(ended(alert("old", priority="low", onset_us=T0 - 2 * DAY_US)), T0)
    store.take(alert("open", onset_us=T0 - 3 * DAY_US), T0)
    assert store.prune(T0) == 5
    kept = {a.alert_id for a in store.search(Search(limit=100))}
    assert kept == {"open", "new-4", "new-5", "new-6", "new-7"}
    assert store.counts() == {"kept": 5, "open": 1, "dropped": 5}
    assert store.revisions("old") == []


def test_the_history_survives_in_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "console.db")
    store = Store(path)
    store.take(alert("a", onset_us=T0), T0)
    store.close()
    assert [a.alert_id for a in Store(path).inbox()] == ["a"]


def test_answers_in_a_file_that_does_not_say_their_device_count(tmp_path: Path) -> None:
    path = str(tmp_path / "console.db")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE acks (alert_id TEXT, at_us INTEGER, by TEXT, note TEXT NOT NULL,"
            " PRIMARY KEY (alert_id, at_us, by)) WITHOUT ROWID"
        )
        db.execute("INSERT INTO acks VALUES ('a', ?, 'anna', '')", (T0 + 10,))
    store = Store(path)
    store.take(LATCHED, T0)
    assert store.inbox() == []
    store.close()


@pytest.mark.parametrize("name", ["none/console.db", "text"])
def test_a_file_that_can_be_no_history_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text").write_text("no database\n" * 100, encoding="utf-8")
    path = str(tmp_path / name)
    with pytest.raises(ValueError, match=f"database: '{path}'"):
        Store(path)
    answer = CliRunner().invoke(app, ["serve", "--database", path])
    assert (answer.exit_code, answer.output.count("\n")) == (2, 1)
    assert answer.output.startswith(f"serve: database: '{path}'")


def test_a_device_s_clock_that_is_years_behind_does_not_age_its_alerts() -> None:
    store = Store(days=1)
    store.take(ended(alert("a", priority="low", onset_us=1)), T0)
    assert store.prune(T0 + 1) == 0
    assert store.prune(T0 + 2 * DAY_US) == 1


def test_search_by_device_kind_priority_and_time_pages_without_loss() -> None:
    store = Store()
    for i in range(25):
        store.take(
            alert(f"a{i:02d}", device_id=f"bed-{i % 2}", kind="af" if i % 3 else "vt", onset_us=T0 + i // 2),
            T0,
        )
    seen: list[str] = []
    before = None
    while page := list(store.search(Search(before=before, limit=7))):
        seen += [a.alert_id for a in page]
        before = (page[-1].onset_us, page[-1].alert_id)
    assert len(seen) == len(set(seen)) == 25
    found = list(
        store.search(
            Search(device="bed-1", kind="vt", priority=Priority.HIGH, since_us=T0 + 3, until_us=T0 + 9)
        )
    )
    assert [a.alert_id for a in found] == ["a15", "a09"]
    assert store.kinds() == ["af", "vt"]


def test_the_export_has_a_line_an_alert() -> None:
    known = acknowledged(
        alert("a", onset_us=T0), Ack(alert_id="a", device_id="b", by="anna", at_us=T0, note='a, b\n"c"')
    )
    (line,) = csv.DictReader(io.StringIO(as_csv(iter([known]))))
    assert tuple(line) == COLUMNS
    assert (line["alert_id"], line["acknowledged_by"], line["note"]) == ("a", "anna", 'a, b\n"c"')


def test_a_search_names_what_is_wrong_in_it() -> None:
    assert asked({"device": "", "kind": "vt"}) == Search(kind="vt")
    with pytest.raises(ValueError, match=r"since_us: .*'tomorrow'"):
        asked({"since_us": "tomorrow"})
