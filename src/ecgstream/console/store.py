"""Alert history in SQLite.

The newest revision of each alert, its revisions, its strip and its acknowledgements.

It is a view of ``ecg.alerts`` and ``ecg.acks``: reading the topics again changes nothing, so that a console
without a file is whole again after a restart. It is bounded: settled alerts leave by age (`days`) and then
by number (`max_alerts`), oldest first; what left is counted in `dropped`.

An alert stays in the inbox until it has both ended and been answered. Technical and low-priority ones leave
when they end, unless they say that they wait for an answer (`latched`): their condition is gone and nothing has to be done about them.

Whether it was answered is for alerting to say, in the alert's own record. An answer of the alert's own device counts until
then: while no revision was published after it. A later one without an acknowledgement says that alerting did not take it.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ecgstream.messages import Ack, Alert, AlertState, Priority, Strip

PRIORITY_RANK = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}
MAX_REVISIONS = 200
MAX_ACKS = 50
MAX_INBOX = 1000
DAY_US = 86_400_000_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
  alert_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, device_id TEXT NOT NULL, kind TEXT NOT NULL,
  category TEXT NOT NULL, rank INTEGER NOT NULL, onset_us INTEGER NOT NULL, inbox INTEGER NOT NULL, body BLOB NOT NULL,
  strip BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alerts_onset ON alerts (onset_us);
CREATE INDEX IF NOT EXISTS alerts_device ON alerts (device_id, onset_us);
CREATE INDEX IF NOT EXISTS alerts_inbox ON alerts (inbox, rank, onset_us);
CREATE TABLE IF NOT EXISTS revisions (
  alert_id TEXT, revision INTEGER, at_us INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (alert_id, revision)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks (
  alert_id TEXT, at_us INTEGER, by TEXT, note TEXT NOT NULL, device_id TEXT,
  PRIMARY KEY (alert_id, at_us, by)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended_sessions (sid TEXT PRIMARY KEY, until_s REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in the history.

    None asks nothing. Times are UTC microseconds, `before` pages by (onset, id).
    """

    device: str | None = None
    kind: str | None = None
    category: str | None = None
    priority: Priority | None = None
    since_us: int | None = None
    until_us: int | None = None
    before: tuple[int, str] | None = None
    limit: int = 100


def has_ended(alert: Alert) -> bool:
    """Whether the alert's condition is over."""
    return alert.end_us is not None or alert.state is AlertState.ENDED


def is_open(alert: Alert, *, answered: bool = False) -> bool:
    """Whether the alert belongs in the inbox.

    `answered`: there is an answer that the alert does not carry yet (`Store.pending`).
    """
    if not has_ended(alert):
        return True
    of_patient = alert.category == "physiological" and alert.priority is not Priority.LOW
    waits = of_patient or alert.evidence.get("latched") is True
    return waits and alert.acknowledgement is None and not answered


class Store:
    """The history; `path` is an SQLite file or ``:memory:``. Raises `ValueError` for a file that can't be one."""

    def __init__(self, path: str = ":memory:", *, days: int = 14, max_alerts: int = 20_000) -> None:
        self.days, self.max_alerts = days, max_alerts
        self.dropped = 0
        self._db = _opened(path)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def take(self, alert: Alert, at_us: int) -> bool:
        """Keep a revision that was published at `at_us`; True when it is now the alert's newest."""
        slim = msgspec.structs.replace(alert, strip=None, published_us=at_us)
        body = msgspec.msgpack.encode(slim)
        known = self._db.execute("SELECT revision FROM alerts WHERE alert_id=?", (alert.alert_id,)).fetchone()
        self._db.execute(
            "INSERT OR IGNORE INTO revisions SELECT ?,?,?,?"
            " WHERE (SELECT count(*) FROM revisions WHERE alert_id=?) < ?",
            (alert.alert_id, alert.revision, at_us, msgspec.msgpack.encode(msgspec.structs.replace(slim, beats=[])),
             alert.alert_id, MAX_REVISIONS),
        )  # fmt: skip
        if known is not None and known[0] >= alert.revision:
            return False
        open_ = is_open(alert, answered=self.pending(slim) is not None)
        strip = None if alert.strip is None else msgspec.msgpack.encode(alert.strip)
        self._db.execute(
            "INSERT INTO alerts VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (alert_id)"
            " DO UPDATE SET revision=excluded.revision, rank=excluded.rank,"
            " onset_us=excluded.onset_us, inbox=excluded.inbox, body=excluded.body,"
            " strip=coalesce(excluded.strip, strip)",
            (alert.alert_id, alert.revision, alert.device_id, alert.kind, alert.category, PRIORITY_RANK[alert.priority],
             alert.onset_us, open_, body, strip),
        )  # fmt: skip
        return True

    def take_ack(self, ack: Ack) -> Alert | None:
        """Keep an answer, at most `MAX_ACKS` an alert; returns its alert where that is known.

        One that names another device than its alert is none, as for alerting.
        """
        alert = self.get(ack.alert_id)
        if alert is not None and alert.device_id != ack.device_id:
            return None
        self._db.execute(
            "INSERT OR IGNORE INTO acks SELECT ?,?,?,?,? WHERE (SELECT count(*) FROM acks WHERE alert_id=?) < ?",
            (ack.alert_id, ack.at_us, ack.by, ack.note, ack.device_id, ack.alert_id, MAX_ACKS),
        )
        if alert is not None:
            open_ = is_open(alert, answered=self.pending(alert) is not None)
            self._db.execute("UPDATE alerts SET inbox=? WHERE alert_id=?", (open_, ack.alert_id))
        return alert

    def pending(self, alert: Alert) -> dict[str, Any] | None:
        """The newest answer that alerting has not had its say on, or None; `alert` as the store gives it."""
        if alert.acknowledgement is not None:
            return None
        since_us = alert.published_us
        waiting = [ack for ack in self.acks(alert) if since_us is None or ack["at_us"] >= since_us]
        return waiting[-1] if waiting else None

    def get(self, alert_id: str) -> Alert | None:
        """An alert's newest revision with its newest strip, or None."""
        row = self._db.execute("SELECT body, strip FROM alerts WHERE alert_id=?", (alert_id,)).fetchone()
        if row is None:
            return None
        alert = msgspec.msgpack.decode(row[0], type=Alert)
        strip = None if row[1] is None else msgspec.msgpack.decode(row[1], type=Strip)
        return msgspec.structs.replace(alert, strip=strip)

    def revisions(self, alert_id: str) -> list[tuple[Alert, int]]:
        """The alert's revisions, oldest first, each with the time of its publication [µs].

        Without strips and beats.
        """
        rows = self._db.execute(
            "SELECT body, at_us FROM revisions WHERE alert_id=? ORDER BY revision", (alert_id,)
        )
        return [(msgspec.msgpack.decode(body, type=Alert), at_us) for body, at_us in rows]

    def acks(self, alert: Alert) -> list[dict[str, Any]]:
        """All answers to the alert, oldest first."""
        rows = self._db.execute(
            "SELECT by, at_us, note FROM acks WHERE alert_id=? AND coalesce(device_id, ?)=? ORDER BY at_us",
            (alert.alert_id, alert.device_id, alert.device_id),
        )
        return [{"by": by, "at_us": at_us, "note": note} for by, at_us, note in rows]

    def inbox(self) -> list[Alert]:
        """Open alerts, highest priority first, newest within it; `MAX_INBOX` at most; without strips."""
        rows = self._db.execute(
            "SELECT body FROM alerts WHERE inbox=1 ORDER BY rank, onset_us DESC, alert_id LIMIT ?",
            (MAX_INBOX,),
        )
        return [msgspec.msgpack.decode(body, type=Alert) for (body,) in rows]

    def counts(self) -> dict[str, int]:
        """How many alerts are kept, are open and were dropped."""
        kept, open_ = self._db.execute("SELECT count(*), coalesce(sum(inbox), 0) FROM alerts").fetchone()
        return {"kept": kept, "open": open_, "dropped": self.dropped}

    def kinds(self) -> list[str]:
        """The kinds of alert that occur in the history."""
        return [
            kind for (kind,) in self._db.execute("SELECT DISTINCT kind FROM alerts ORDER BY kind LIMIT 200")
        ]

    def search(self, search: Search) -> Iterator[Alert]:
        """Alerts that match, newest onset first; without strips."""
        rank = None if search.priority is None else PRIORITY_RANK[search.priority]
        conditions: list[tuple[str, Any]] = [
            ("device_id = ?", search.device),
            ("kind = ?", search.kind),
            ("category = ?", search.category),
            ("rank = ?", rank),
            ("onset_us >= ?", search.since_us),
            ("onset_us < ?", search.until_us),
        ]
        asked = [(text, value) for text, value in conditions if value is not None]
        where = " AND ".join(["1", *(text for text, _ in asked)])
        values = [value for _, value in asked]
        if search.before is not None:
            where += " AND (onset_us, alert_id) < (?, ?)"
            values += search.before
        query = f"SELECT body FROM alerts WHERE {where} ORDER BY onset_us DESC, alert_id DESC LIMIT ?"  # noqa: S608 - fixed texts
        for (body,) in self._db.execute(query, [*values, search.limit]).fetchall():
            yield msgspec.msgpack.decode(body, type=Alert)

    def prune(self, now_us: int) -> int:
        """Drop settled alerts past the bounds and return how many.

        Open ones only when even they exceed `max_alerts`. An alert is as old as its last revision: a device's clock,
        by which its onset goes, may be years behind.
        """
        since_us = now_us - self.days * DAY_US
        old = self._db.execute(
            "SELECT alert_id FROM alerts WHERE inbox=0 AND onset_us < ? AND NOT EXISTS"
            " (SELECT 1 FROM revisions WHERE revisions.alert_id = alerts.alert_id AND at_us >= ?)",
            (since_us, since_us),
        )
        drop = {alert_id for (alert_id,) in old}
        excess = self.counts()["kept"] - len(drop) - self.max_alerts
        if excess > 0:
            rows = self._db.execute(
                "SELECT alert_id FROM alerts ORDER BY inbox, onset_us LIMIT ?", (len(drop) + excess,)
            )
            drop |= {alert_id for (alert_id,) in rows}
        for table in ("alerts", "revisions", "acks"):
            self._db.executemany(f"DELETE FROM {table} WHERE alert_id=?", [(i,) for i in drop])  # noqa: S608 - fixed names
        self._db.execute("DELETE FROM ended_sessions WHERE until_s < ?", (now_us / 1e6,))
        self.dropped += len(drop)
        return len(drop)

    def end_session(self, sid: str, until_s: float) -> None:
        """Note that a session was ended before its time, which passes at `until_s`."""
        self._db.execute("INSERT OR REPLACE INTO ended_sessions VALUES (?,?)", (sid, until_s))

    def session_ended(self, sid: str) -> bool:
        """Whether the session was ended before its time."""
        return self._db.execute("SELECT 1 FROM ended_sessions WHERE sid=?", (sid,)).fetchone() is not None


def _opened(path: str) -> sqlite3.Connection:
    """The database at `path`, in today's form; raises `ValueError` naming it where it can't be opened."""
    db = None
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(SCHEMA)
        if "device_id" not in {column[1] for column in db.execute("PRAGMA table_info(acks)")}:
            db.execute("ALTER TABLE acks ADD COLUMN device_id TEXT")
    except sqlite3.Error as error:
        if db is not None:
            db.close()
        raise ValueError(f"database: {path!r}: {error}") from error
    return db
