"""What the pages are told.

Alerts from the store and devices from the ward, joined, and sent on when they change.

Alerts go out at once. Devices go out together once a second, each at most once, whatever number of findings
came.
"""

import time
from collections import OrderedDict
from typing import Any

import msgspec

from ecgstream.console.live import Live, event
from ecgstream.console.store import Search, Store, has_ended, is_open
from ecgstream.console.ward import Ward, trace
from ecgstream.messages import Ack, Alert, DeviceSettings, Finding

PENDING_ACKS = 500
MAX_SETTINGS = 20_000


def now_us() -> int:
    """The wall clock, UTC microseconds."""
    return time.time_ns() // 1000


class Desk:
    """Takes records from the feed, keeps them, tells the pages."""

    def __init__(self, store: Store, ward: Ward, live: Live) -> None:
        self.store, self.ward, self.live = store, ward, live
        self.last_finding_us: int | None = None  # wall clock of the newest arrival
        self.last_alert_us: int | None = None
        self.undecodable = 0
        self._pending: OrderedDict[str, Ack] = OrderedDict()  # answers not yet seen in a revision
        self._changed: set[str] = set()
        self.settings: OrderedDict[str, DeviceSettings] = OrderedDict()

    def take_alert(self, alert: Alert, at_us: int) -> None:
        """Take a revision of an alert, published at `at_us`."""
        self.last_alert_us = at_us
        if alert.acknowledgement is not None:
            self._pending.pop(alert.alert_id, None)
        if self.store.take(alert, alert.published_us or at_us):
            self.live.send("alert", self.alert(alert))

    def take_ack(self, ack: Ack) -> None:
        """Take an answer from the topic, whoever wrote it."""
        self.store.take_ack(ack)
        alert = self.store.get(ack.alert_id)
        if alert is not None:
            if alert.acknowledgement is None:
                self._remember(ack)
            self.live.send("alert", self.alert(alert))

    def take_settings(self, settings: DeviceSettings) -> None:
        """Take a device's settings; `MAX_SETTINGS` devices at most, the longest unchanged leaves first."""
        self.settings[settings.device_id] = settings
        self.settings.move_to_end(settings.device_id)
        if len(self.settings) > MAX_SETTINGS:
            self.settings.popitem(last=False)

    def take_finding(self, finding: Finding, heard_us: int) -> None:
        """Take a finding that arrived at `heard_us`."""
        self.last_finding_us = max(heard_us, self.last_finding_us or 0)
        if not self.ward.take(finding, heard_us):
            return
        self._changed.add(finding.device_id)
        if finding.signal is not None and finding.device_id in self.live.watched():
            self.live.send("trace", trace(finding.signal, finding), device_id=finding.device_id)

    def sent(self, ack: Ack) -> None:
        """Note that an answer was sent and no revision carries it yet."""
        self._remember(ack)
        alert = self.store.get(ack.alert_id)
        if alert is not None:
            self.live.send("alert", self.alert(alert))

    def _remember(self, ack: Ack) -> None:
        self._pending[ack.alert_id] = ack
        while len(self._pending) > PENDING_ACKS:
            self._pending.popitem(last=False)

    def alert(self, alert: Alert) -> dict[str, Any]:
        """What the inbox shows of an alert; `open` False takes it off."""
        pending = self._pending.get(alert.alert_id)
        answered = pending is not None
        return {
            "alert_id": alert.alert_id,
            "revision": alert.revision,
            "state": alert.state,
            "device_id": alert.device_id,
            "kind": alert.kind,
            "category": alert.category,
            "priority": alert.priority,
            "onset_us": alert.onset_us,
            "detected_us": alert.detected_us,
            "end_us": alert.end_us,
            "ended": has_ended(alert),
            "open": is_open(alert, answered=answered and has_ended(alert)),
            "heart_rate_bpm": None if alert.heart_rate_bpm is None else round(alert.heart_rate_bpm),
            "message": alert.message,
            "escalations": alert.escalations,
            "recurrences": alert.evidence.get("recurrences", 0),
            "acknowledgement": alert.acknowledgement,
            "pending": None
            if pending is None
            else {"by": pending.by, "at_us": pending.at_us, "note": pending.note},
        }

    def inbox(self) -> list[dict[str, Any]]:
        """All open alerts in order."""
        return [self.alert(alert) for alert in self.store.inbox()]

    def devices(self) -> list[dict[str, Any]]:
        """All devices' tiles."""
        return [self.ward.summary(device_id) for device_id in self.ward.devices]

    def alerts_of(self, device_id: str) -> list[dict[str, Any]]:
        """The device's newest alerts, open or not."""
        return [self.alert(alert) for alert in self.store.search(Search(device=device_id, limit=20))]

    def alert_detail(self, alert_id: str) -> dict[str, Any] | None:
        """All that the alert page shows, or None when there is no such alert."""
        alert = self.store.get(alert_id)
        if alert is None:
            return None
        near = self.ward.finding_near(alert.device_id, alert.session, alert.first_window)
        return {
            **self.alert(alert),
            "session": alert.session,
            "first_window": alert.first_window,
            "evidence": alert.evidence,
            "model": alert.model,
            "configuration": alert.configuration,
            "trace": None
            if alert.strip is None
            else {**trace(alert.strip, None), "beats": alert.beats},
            "finding": near,
            "others": [a for a in self.alerts_of(alert.device_id) if a["alert_id"] != alert_id],
            "around": self.ward.around(alert.device_id, alert.onset_us),
            "revisions": [
                {"revision": r.revision, "state": r.state, "priority": r.priority, "at_us": at_us, "message": r.message,
                 "heart_rate_bpm": r.heart_rate_bpm, "acknowledgement": r.acknowledgement, "escalations": r.escalations}
                for r, at_us in self.store.revisions(alert_id)
            ],
            "acks": self.store.acks(alert_id),
        }  # fmt: skip

    def snapshot(self) -> list[bytes]:
        """The events with which a page starts."""
        return [event("inbox", self.inbox()), event("ward", self.devices())]

    def tick(self) -> None:
        """Once a second: send the devices that changed."""
        changed, self._changed = self._changed, set()
        present = [self.ward.summary(d) for d in changed if d in self.ward.devices]
        if present:
            self.live.send("devices", present)

    def totals(self) -> dict[str, Any]:
        """Counts for the system page, drops included."""
        return {
            "alerts": self.store.counts(),
            "devices": {
                "kept": len(self.ward.devices),
                "evicted": self.ward.evicted,
                "repeats": self.ward.repeated,
            },
            "pages": {"open": len(self.live.pages), "cut_off": self.live.cut_off},
            "undecodable": self.undecodable,
        }


def to_json(data: Any) -> bytes:
    """JSON of plain data and records."""
    return msgspec.json.encode(data)
