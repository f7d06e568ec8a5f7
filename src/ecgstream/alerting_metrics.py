"""What alerting counts of itself, for ``/metrics``; nothing here holds a finding."""

from prometheus_client import Counter, Gauge

from ecgstream.limits import KINDS
from ecgstream.messages import AlertState

REVISIONS = Counter("ecgstream_alert_revisions_total", "Alert revisions published.", ["kind", "state"])
HELD_BACK = Counter("ecgstream_alerting_held_back_total", "Ignored or held back, by cause.", ["cause"])
DEVICES = Gauge("ecgstream_alerting_devices", "Devices that this process watches.")
CAUSES = (  # those that name no kind of event
    "answer to an unknown alert",
    "dead letter",
    "finding of a past session",
    "parked",
    "parked letter that raised",
    "repeated delivery-failed",
    "repeated finding",
    "repeated record-parked",
    "snooze of an unknown kind",
    "tick that raised",
    "unreadable dead letter",
)


def begin() -> None:
    """Show what may be counted, at 0: of a series that comes with its first event, ``increase`` doesn't see that event."""
    for cause in CAUSES:
        HELD_BACK.labels(cause)
    for kind in KINDS:
        for state in AlertState:
            REVISIONS.labels(kind, str(state))
