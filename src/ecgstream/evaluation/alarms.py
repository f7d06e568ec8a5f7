"""The whole chain to the alert: which annotated events raise an alarm, how late, and how often one is false.

Recordings run through reassembled pieces of one second, the analysis and alerting, as live; the time of an alert is when the
chain had been *given* so much of the recording, so that every filter's and network's delay is in it (the transport's isn't).
Every alert is answered at once, so that each event raises one of its own.

Which events those are: `ecgstream.evaluation.alarm_events`.

Caught: an alert of that kind stands between the onset and 10 s after the end; `any high` counts one of any high kind,
since a fibrillation called tachycardia still brings somebody. Delay: from the onset to the first alert, where none
`stood before`. The limit is 10 s (IEC 60601-2-27, ANSI/AAMI EC13). False: a high alert of a kind in a
recording in which nothing that warrants it is annotated anywhere (for VT and VF: neither of them, nor a run of three
or more ventricular beats within 10 s of the alert). Astray: a VT or VF alert, in any recording, that is raised earlier than 10 s
before or later than 15 s after each annotated VT, VF, flutter and ventricular run. Beside them CinC 2017's recordings, where they are
there (`ecgstream.evaluation.short_alarms`).

Departures: VFDB has no beats, so its rate alarms aren't judged, and its onsets are rhythm changes marked by hand to
about a second. VFDB's recordings meet the head of a fold that has never seen their patient, where the model carries folds.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ecgstream.evaluation import short_alarms
from ecgstream.evaluation.alarm_chain import Told, streamed, told
from ecgstream.evaluation.alarm_events import FIBRILLATION, annotated, ventricular_runs
from ecgstream.evaluation.annotated import read_references
from ecgstream.evaluation.chosen import named, none_in
from ecgstream.evaluation.folds import fold_for, has_folds, with_fold
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import Reference, records_of
from ecgstream.evaluation.results import Cell, Evaluation, Table, Worst, fixed
from ecgstream.evaluation.sources import read_source
from ecgstream.evaluation.spans import Span
from ecgstream.evaluation.statistics import lower_bound
from ecgstream.limits import load_limits
from ecgstream.messages import Finding
from ecgstream.training.splits import VFDB

if TYPE_CHECKING:
    from ecgstream import model_folder

DATABASES = ("vfdb", "mitdb", "svdb")
KINDS = ("asystole", "vf", "vt", "extreme-tachycardia", "extreme-bradycardia")
LIMIT_S = 10.0
GRACE_S = 10.0
ASTRAY_S = 15.0
WILD = ("VT", *FIBRILLATION)
AT_ONCE = 8


@dataclass(frozen=True)
class Judged:
    """One recording: what is annotated, what was told."""

    reference: Reference
    events: dict[str, list[Span]]
    runs: list[Span]
    told: list[Told]


class Done(NamedTuple):
    """What progress is told of a record that is done."""

    source: Reference


def run(
    data: Path,
    model: "model_folder.Model",
    split: str,
    done: Callable[[Any], None],
    databases: Sequence[str] = DATABASES,
) -> Evaluation:
    """Judge the chain on the recordings of `data`; on CinC 2017's, too, unless databases are named."""
    limits, judged = load_limits(), []
    is_named, databases = tuple(databases) != DATABASES, named(databases)
    for reference, timed in timed_findings(data, model, split, done, databases):
        alerts = told(timed, limits, KINDS)
        judged.append(Judged(reference, annotated(reference), ventricular_runs(reference, 3), alerts))
    tables = [_caught(judged), false_table(judged), _astray(judged), _by_record(judged)]
    worst = where_it_is_worst(judged)
    kinds = (*KINDS, *short_alarms.LESS_URGENT)
    short = [] if is_named else short_alarms.judge(data, model, split, done, limits, kinds)
    if short:
        tables.insert(2, short_alarms.table(short, kinds))
        worst += short_alarms.worst(short)
    return Evaluation("alarms", model.name, split, tables=tables, worst=worst)


def timed_findings(
    data: Path, model: "model_folder.Model", split: str, done: Callable[[Any], None], databases: Sequence[str]
) -> Iterator[tuple[Reference, list[tuple[float, Finding]]]]:
    """Each recording's findings, each with how many seconds of the recording had been given when it came."""
    chosen = {d: records_of(data, d, "all" if d == VFDB and has_folds(model) else split) for d in databases}
    references = read_references(data, chosen)
    if not references:
        raise none_in(databases, split, data)
    wanted: dict[int | None, list[Reference]] = {}
    for reference in references:
        wanted.setdefault(fold_for(model, reference.database, reference.record), []).append(reference)
    expect(done, len(references))
    for fold, own in wanted.items():
        judge = with_fold(model, fold)
        for i in range(0, len(own), AT_ONCE):
            lot = own[i : i + AT_ONCE]
            sources = [read_source(data, r.database, r.record, r.patient) for r in lot]
            for reference, findings in zip(lot, streamed(judge, sources), strict=True):
                yield reference, findings
                done(Done(reference))


def _stands(alert: Told, event: Span) -> bool:
    return alert.raised_s <= event[1] + GRACE_S and alert.end_s >= event[0] and alert.onset_s <= event[1]


def _caught(judged: Sequence[Judged]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in KINDS:
        n = same = high = before = 0
        delays: list[float] = []
        patients = set()
        for record in judged:
            for event in record.events[kind]:
                n += 1
                patients.add(record.reference.patient)
                alerts = [t for t in record.told if _stands(t, event)]
                named = [t for t in alerts if t.kind == kind]
                same, high = same + bool(named), high + bool(alerts)
                if alerts and min(t.raised_s for t in alerts) >= event[0]:
                    delays.append(min(t.raised_s for t in alerts) - event[0])
                else:
                    before += bool(alerts)
        late = sum(d > LIMIT_S for d in delays)
        median, p95 = (fixed(float(np.percentile(delays, q)), 1) if delays else None for q in (50, 95))
        share = (same / n, lower_bound(same, n), high / n) if n else (None, None, None)
        rows.append((kind, n, len(patients), *share, before, len(delays), median, p95, late))
    columns = (
        "kind", "events", "patients", "caught", "lower 90 %", "any high", "stood before", "delays", "median s", "p95 s", "over 10 s",
    )  # fmt: skip
    note = "Caught and any high: raised in the event, or standing when it began. Delays: of the first, where none stood, transport aside."
    return Table("Events caught", columns, rows, note)


def may_be_false(record: Judged, kind: str) -> bool:
    """Whether nothing in a whole recording warrants alerts of a kind."""
    labels = {i.label for i in record.reference.rhythms}
    fibrillates = bool(labels & set(FIBRILLATION) or record.reference.fibrillation)
    if kind == "asystole":
        return not (fibrillates or "ASYS" in labels or record.events["asystole"])
    if fibrillates or "VT" in labels or record.events["vt"] or record.events["vf"]:
        return False
    return kind in ("vt", "vf") or (len(record.reference.beats_s) > 0 and not record.events.get(kind))


def false_alarms(record: Judged) -> list[Told]:
    """The alerts of a recording that nothing in it warrants."""

    def is_near_a_run(alert: Told) -> bool:
        return any(a - GRACE_S <= alert.raised_s <= b + GRACE_S for a, b in record.runs)

    return [
        alert
        for alert in record.told
        if may_be_false(record, alert.kind) and not (alert.kind in ("vt", "vf") and is_near_a_run(alert))
    ]


def false_table(judged: Sequence[Judged]) -> Table:
    """False alarms of each kind, and how often they come where they could."""
    rows: list[tuple[Cell, ...]] = []
    rates: list[float] = []
    for kind in KINDS:
        hours = sum(r.reference.duration_s for r in judged if may_be_false(r, kind)) / 3600
        found = [r.reference.record for r in judged for t in false_alarms(r) if t.kind == kind]
        rate = len(found) / hours if hours else math.nan
        rates.append(rate)
        shown = fixed(hours, 1), fixed(rate, 2), fixed(24 * rate, 1)
        rows.append((kind, len(found), len(set(found)), *shown))
    found = [r.reference.record for r in judged for _ in false_alarms(r)]
    known = [rate for rate in rates if not math.isnan(rate)]
    total = sum(known) if known else math.nan
    rows.append(("all of them", len(found), len(set(found)), None, fixed(total, 2), fixed(24 * total, 1)))
    columns = ("kind", "false alarms", "recordings", "hours", "per hour", "per patient-day")
    return Table(
        "False high-priority alarms",
        columns,
        rows,
        "In the recordings without such a rhythm, whose hours are given; the rate of all is the sum of these.",
    )


def astray(record: Judged) -> list[Told]:
    """The VT and VF alerts of a recording that stand away from any annotated VT, VF, flutter or ventricular run."""
    rhythms = [(i.start_s, i.end_s) for i in record.reference.rhythms if i.label in WILD]
    spans = [*rhythms, *record.runs, *record.events["vf"]]
    return [
        t
        for t in record.told
        if t.kind in ("vt", "vf") and not any(a - GRACE_S <= t.raised_s <= b + ASTRAY_S for a, b in spans)
    ]


def _astray(judged: Sequence[Judged]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for database in dict.fromkeys(r.reference.database for r in judged):
        chosen = [r for r in judged if r.reference.database == database]
        alerts = sum(t.kind in ("vt", "vf") for r in chosen for t in r.told)
        away = [(r, t) for r in chosen for t in astray(r)]
        noisy = sum(
            any(i.label == "NOISE" and i.start_s <= t.raised_s <= i.end_s for i in r.reference.rhythms)
            for r, t in away
        )
        recordings = [r.reference.record for r, _ in away]
        most = ", ".join(f"{name} {n}" for name, n in Counter(recordings).most_common(3))
        hours = sum(r.reference.duration_s for r in chosen) / 3600
        rows.append((database, fixed(hours, 1), alerts, len(away), noisy, len(set(recordings)), most))
    columns = ("database", "hours", "VT and VF alerts", "astray", "in annotated noise", "recordings", "most of them")  # fmt: skip
    note = "Every alert is answered at once, so one event may raise several."
    return Table("VT and VF alerts that stand away from either", columns, rows, note)


def _by_record(judged: Sequence[Judged]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for record in judged:
        events = sum(map(len, record.events.values()))
        name = f"{record.reference.database}/{record.reference.record}"
        rows.append((name, events, len(record.told), len(false_alarms(record))))
    return Table("By recording", ("recording", "events", "high alerts", "false"), rows)


def where_it_is_worst(judged: Sequence[Judged]) -> list[Worst]:
    """Each false alarm and each event without one, from 10 s before its onset."""
    worst = [_shown(r, t.onset_s, f"false {t.message}") for r in judged for t in false_alarms(r)]
    for r in judged:
        for kind in KINDS:
            missed = [e for e in r.events[kind] if not any(_stands(t, e) for t in r.told)]
            worst += [_shown(r, onset_s, f"missed {kind}") for onset_s, _ in missed]
    return worst


def _shown(judged: Judged, onset_s: float, what: str) -> Worst:
    database, record = judged.reference.database, judged.reference.record
    start_s = max(0.0, onset_s - 10.0)
    return Worst(database, record, start_s, start_s + 30.0, f"{database}/{record} at {onset_s:.0f} s: {what}")
