"""What the topics hold of one device: its findings and its alerts, read once from Kafka."""

import time
from typing import Any

from ecgstream.codec import InvalidRecord, decode
from ecgstream.kafka import KafkaSettings, reading
from ecgstream.messages import Alert, Finding
from ecgstream.topics import Topics

QUIET_S = 2.0
MOST = 100_000  # findings kept; a day has 17,280 at one every five seconds, 86,400 at one a second


async def of_device(
    settings: KafkaSettings, device_id: str, hours: float
) -> tuple[list[Finding], list[Alert]]:
    """The findings (in the order of time, each window once) and alert revisions of the last `hours`."""
    topics, key = Topics(settings.topic_prefix), device_id.encode()
    findings: dict[tuple[str, int], Finding] = {}
    alerts: dict[tuple[str, int], Alert] = {}
    since_us = round((time.time() - hours * 3600) * 1e6)
    async with reading(settings, topics.rhythm, topics.alerts, since_us=since_us) as consumer:
        last = time.monotonic()
        while time.monotonic() - last < QUIET_S and len(findings) < MOST:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                last = time.monotonic()
                for record in records:
                    if record.key == key:
                        _take(record, place.topic == topics.rhythm, findings, alerts)
    ordered = sorted(alerts.values(), key=lambda a: (a.alert_id, a.revision))
    return sorted(findings.values(), key=lambda f: (f.end_us, f.window)), ordered


def _take(record: Any, is_finding: bool, findings: dict[Any, Finding], alerts: dict[Any, Alert]) -> None:
    try:
        if is_finding:
            finding = decode(Finding, record.value)
            findings[finding.session, finding.window] = finding
        else:
            alert = decode(Alert, record.value)
            alerts[alert.alert_id, alert.revision] = alert
    except InvalidRecord:
        return  # whoever wrote it; alerting has put it to the dead letters
