"""Alerts as FHIR R4."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from clinical import at, beats, stream
from ecgstream.device_state import State
from ecgstream.fhir import bundle
from ecgstream.limits import load_limits
from ecgstream.messages import Ack, Alert, AlertState, Priority
from ecgstream.watch import on_ack, on_failure, on_finding

VT = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 60))


def alerts() -> list[Alert]:
    state, limits = State("chest-7"), load_limits()
    out = [a for f in stream(VT, 90) for a in on_finding(state, f, limits, f.end_us)]
    return out + on_ack(
        state, Ack(alert_id=out[0].alert_id, device_id="chest-7", by="Dr. A", at_us=at(95), note="seen")
    )


def test_an_alert_is_an_issue_and_an_ecg_that_refer_to_each_other() -> None:
    alert = alerts()[0]
    made = bundle(alert, "Patient/1")
    issue, ecg = (entry["resource"] for entry in made["entry"])
    assert (issue["resourceType"], issue["severity"], issue["status"]) == (
        "DetectedIssue",
        "high",
        "preliminary",
    )
    assert issue["evidence"][0]["detail"][0]["reference"] == made["entry"][1]["fullUrl"]
    assert issue["patient"] == ecg["subject"] == {"reference": "Patient/1"}
    assert {
        "system": "http://snomed.info/sct",
        "code": "25569003",
        "display": "Ventricular tachycardia",
    } in issue["code"]["coding"]
    assert json.loads(json.dumps(made)) == made


def test_the_strip_is_sampled_data_in_millivolts() -> None:
    alert = alerts()[0]
    assert alert.strip is not None
    sampled = bundle(alert)["entry"][1]["resource"]["component"][0]["valueSampledData"]
    assert sampled["period"] == 1000 / 128
    values = sampled["data"].split()
    assert len(values) == len(alert.strip.samples) // 2
    assert all(re.fullmatch(r"E|-?\d+", value) for value in values)
    millivolts = [int(value) * sampled["factor"] for value in values if value != "E"]
    assert max(map(abs, millivolts)) <= float(abs(alert.strip.microvolts()).max()) / 1000 + 1e-9


def test_an_answered_and_ended_alert_is_final_with_who_answered() -> None:
    issue = bundle(alerts()[-1])["entry"][0]["resource"]
    assert issue["status"] == "final"
    assert issue["mitigation"][0]["author"] == {"display": "Dr. A"}
    assert issue["mitigation"][0]["action"] == {"text": "seen"}
    assert set(issue["identifiedPeriod"]) == {"start", "end"}


def texts(document: Any) -> Iterator[str]:
    """All strings of a document."""
    if isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


def test_no_text_is_empty_where_nothing_was_ever_found_of_the_device() -> None:
    why = {"undelivered": "vt-1"}
    unfound = on_failure(State("x"), "delivery-failed", "at", why, load_limits(), at(0))[0]
    assert unfound.model == ""
    old = Alert(
        alert_id="vt-1", revision=0, state=AlertState.RAISED, device_id="x", session="a", kind="vt", category="physiological",
        priority=Priority.HIGH, first_window=0, onset_us=at(0), detected_us=at(0),
    )  # fmt: skip
    for alert in (unfound, old):
        told = list(texts(bundle(alert)))
        assert len(told) > 10
        assert all(text.strip() for text in told)


def test_a_run_that_may_be_slow_is_not_coded_as_tachycardia() -> None:
    alert = msgspec.structs.replace(alerts()[0], kind="v-run")
    codes = bundle(alert)["entry"][0]["resource"]["code"]["coding"]
    assert [code.get("display") for code in codes] == ["Ventricular arrhythmia", None]
