"""What the pages are told.

Alerts from the store and devices from the ward, joined, and sent on when they change.

Alerts go out at once. Devices go out together once a second, each at most once, whatever number of findings
came.
"""

from collections import OrderedDict
from typing import Any

import msgspec
import structlog

from ecgstream.console.live import Live, event
from ecgstream.console.store import Search, Store, has_ended, is_open
from ecgstream.console.trend import known_rate
from ecgstream.console.ward import Ward, trace
from ecgstream.letters import field_at_fault
from ecgstream.limits import Limits, LimitsError, for_device, load_limits
from ecgstream.messages import Ack, Alert, DeviceSettings, Finding

MAX_SETTINGS = 20_000
log = structlog.get_logger(__name__)


class Desk:
    """Takes records from the feed, keeps them, tells the pages.

    `limits` is the alarm table that alerting uses, the packaged one by default.
    """

    def __init__(self, store: Store, ward: Ward, live: Live, limits: Limits | None = None) -> None:
        self.store, self.ward, self.live = store, ward, live
        self.limits = load_limits() if limits is None else limits
        self.last_finding_us: int | None = None  # wall clock of the newest arrival
        self.last_alert_us: int | None = None
        self.undecodable = 0
        self.failed = 0  # records that our own code could not take
        self._changed: set[str] = set()
        self.settings: OrderedDict[str, DeviceSettings] = OrderedDict()

    def take_alert(self, alert: Alert, at_us: int) -> None:
        """Take a revision of an alert, published at `at_us`."""
        self.last_alert_us = at_us
        published_us = at_us if alert.published_us is None else alert.published_us
        if self.store.take(alert, published_us):
            self.live.send("alert", self.alert(msgspec.structs.replace(alert, published_us=published_us)))

    def take_ack(self, ack: Ack) -> None:
        """Take an answer, whoever wrote it: as soon as the topic has it, and again from there."""
        alert = self.store.take_ack(ack)
        if alert is not None:
            self.live.send("alert", self.alert(alert))

    def take_settings(self, settings: DeviceSettings) -> None:
        """Take a device's settings; `MAX_SETTINGS` devices at most, the longest unchanged leaves first.

        What alerting refuses leaves the old ones in force, and shown.
        """
        try:
            for_device(self.limits, settings)
        except LimitsError as error:
            log.warning(
                "settings refused",
                device=settings.device_id,
                reason=field_at_fault(str(error), DeviceSettings),
            )
            return
        self.settings[settings.device_id] = settings
        self.settings.move_to_end(settings.device_id)
        if len(self.settings) > MAX_SETTINGS:
            self.settings.popitem(last=False)

    def drop_settings(self, device_id: str) -> None:
        """Take a device's own settings away."""
        self.settings.pop(device_id, None)

    def take_finding(self, finding: Finding, heard_us: int) -> None:
        """Take a finding that arrived at `heard_us`."""
        self.last_finding_us = max(heard_us, self.last_finding_us or 0)
        if not self.ward.take(finding, heard_us):
            return
        self._changed.add(finding.device_id)
        if finding.signal is not None and finding.device_id in self.live.watched():
            newest = self.ward.devices[finding.device_id].trace()
            self.live.send("trace", newest, device_id=finding.device_id)

    def alert(self, alert: Alert) -> dict[str, Any]:
        """What the inbox shows of an alert; `open` False takes it off."""
        pending = self.store.pending(alert)
        rate = known_rate(alert.heart_rate_bpm)
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
            "open": is_open(alert, answered=pending is not None),
            "heart_rate_bpm": None if rate is None else round(rate),
            "message": alert.message,
            "escalations": alert.escalations,
            "recurrences": alert.evidence.get("recurrences", 0),
            "acknowledgement": alert.acknowledgement,
            "pending": pending,
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
            "acks": self.store.acks(alert),
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
            "failed": self.failed,
        }


def to_json(data: Any) -> bytes:
    """JSON of plain data and records."""
    return msgspec.json.encode(data)
