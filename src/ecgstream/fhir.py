"""Alerts and findings as FHIR R4 resources, for those who integrate.

An alert becomes a `DetectedIssue` (what was wrong, how urgent, which evidence, who answered) and, with its strip, an
`Observation` of the ECG as `SampledData` (coded as in HL7's Point-of-Care Device guide: MDC_ECG_ELEC_POTL, in mV).
Both come in a `Bundle` of type collection. The device is named by its id as an identifier; patients aren't
known here, so `subject` is left to whoever joins device and patient (pass a reference).
"""

import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ecgstream.messages import Alert, AlertState, Priority, Strip

MDC = "urn:iso:std:iso:11073:10101"
SNOMED = "http://snomed.info/sct"
HERE = "urn:ecgstream"
MDC_LEAD = {"I": "131329", "II": "131330"}
SNOMED_OF = {
    "asystole": ("397829000", "Asystole"),
    "vf": ("71908006", "Ventricular fibrillation"),
    "vt": ("25569003", "Ventricular tachycardia"),
    "v-run": ("44103008", "Ventricular arrhythmia"),  # tachycardia or not: it may be a slow run
    "svt": ("6456007", "Supraventricular tachycardia"),
    "af": ("49436004", "Atrial fibrillation"),
    "bigeminy": ("11157007", "Ventricular bigeminy"),
    "trigeminy": ("251180001", "Ventricular trigeminy"),
    "block": ("233917008", "Atrioventricular block"),
    "extreme-tachycardia": ("3424008", "Tachycardia"),
    "high-rate": ("3424008", "Tachycardia"),
    "extreme-bradycardia": ("48867003", "Bradycardia"),
    "low-rate": ("48867003", "Bradycardia"),
    "idioventricular": ("49260003", "Idioventricular rhythm"),
}
SEVERITY = {Priority.HIGH: "high", Priority.MEDIUM: "moderate", Priority.LOW: "low"}


def bundle(alert: Alert, subject: str | None = None, lead: str | None = None) -> dict[str, Any]:
    """An alert as a FHIR bundle: its issue and, where it has a strip, the ECG.

    `subject`: a reference such as ``"Patient/123"``, where the patient is known; `lead`: the lead's name, where that is.
    """
    resources = [detected_issue(alert, subject)]
    if alert.strip is not None:
        ecg = observation(alert, alert.strip, subject, lead)
        resources[0]["evidence"] = [{"detail": [{"reference": _url(ecg)}]}]
        resources.append(ecg)
    entries = [{"fullUrl": _url(resource), "resource": resource} for resource in resources]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _time(alert.detected_us),
        "entry": entries,
    }


def detected_issue(alert: Alert, subject: str | None = None) -> dict[str, Any]:
    """The alert as a `DetectedIssue`. Its status is final once the event is over and answered."""
    issue: dict[str, Any] = {
        "resourceType": "DetectedIssue",
        "id": alert.alert_id,
        "meta": {"versionId": str(alert.revision)},
        "identifier": [{"system": f"{HERE}:alert", "value": alert.alert_id}],
        "status": "final" if alert.state is AlertState.ENDED else "preliminary",
        "code": _kind(alert),
        "severity": SEVERITY[alert.priority],
        "identifiedPeriod": _period(alert.onset_us, alert.end_us),
        "author": _device(alert),
        "detail": alert.message or alert.kind,
    }
    if subject is not None:
        issue["patient"] = {"reference": subject}
    if alert.acknowledgement is not None:
        answer = alert.acknowledgement
        action = {"text": answer.note or "acknowledged"}
        author = {"display": answer.by}
        issue["mitigation"] = [{"action": action, "date": _time(answer.at_us), "author": author}]
    return issue


def observation(
    alert: Alert, strip: Strip, subject: str | None = None, lead: str | None = None
) -> dict[str, Any]:
    """The strip as an `Observation` with `SampledData` in mV; samples that aren't known read ``E``."""
    lead_code: dict[str, Any] = {
        "text": "single lead, position not known" if lead is None else f"lead {lead}"
    }
    if lead in MDC_LEAD:
        lead_code = {"coding": [{"system": MDC, "code": MDC_LEAD[lead]}]}
    ecg: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"{alert.alert_id}-ecg",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "procedure",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": MDC, "code": "131328", "display": "MDC_ECG_ELEC_POTL"}]},
        "effectivePeriod": _period(strip.start_us, strip.end_us),
        "device": _device(alert),
        "interpretation": [_kind(alert)],
        "component": [{"code": lead_code, "valueSampledData": _sampled(strip)}],
    }
    if alert.heart_rate_bpm is not None:
        rate = {
            "value": alert.heart_rate_bpm,
            "unit": "/min",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        }
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]}
        ecg["component"].append({"code": code, "valueQuantity": rate})
    if subject is not None:
        ecg["subject"] = {"reference": subject}
    return ecg


def _url(resource: dict[str, Any]) -> str:
    name = f"{HERE}:{resource['resourceType']}:{resource['id']}"
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, name)}"


def _sampled(strip: Strip) -> dict[str, Any]:
    microvolts = strip.microvolts()
    whole = np.where(np.isfinite(microvolts), np.rint(microvolts / strip.uv_per_lsb), np.nan)
    return {
        "origin": {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV"},
        "period": 1000.0 / strip.fs_hz,
        "factor": strip.uv_per_lsb / 1000.0,
        "dimensions": 1,
        "data": " ".join("E" if np.isnan(x) else str(int(x)) for x in whole),
    }


def _kind(alert: Alert) -> dict[str, Any]:
    coding = [{"system": f"{HERE}:kind", "code": alert.kind}]
    if alert.kind in SNOMED_OF:
        code, display = SNOMED_OF[alert.kind]
        coding.insert(0, {"system": SNOMED, "code": code, "display": display})
    return {"coding": coding, "text": alert.message or alert.kind}


def _device(alert: Alert) -> dict[str, Any]:
    device: dict[str, Any] = {"identifier": {"system": f"{HERE}:device", "value": alert.device_id}}
    return device | {"display": alert.model} if alert.model else device  # no text in FHIR is empty


def _period(start_us: int, end_us: int | None) -> dict[str, str]:
    period = {"start": _time(start_us)}
    return period if end_us is None else period | {"end": _time(end_us)}


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
