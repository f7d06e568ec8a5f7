"""Which events the annotations hold, and which alarms nothing warrants."""

import numpy as np
import pytest

from ecgstream.evaluation import short_alarms
from ecgstream.evaluation.alarm_chain import Told
from ecgstream.evaluation.alarm_events import annotated
from ecgstream.evaluation.alarms import KINDS, Judged, astray, false_alarms, false_table, where_it_is_worst
from ecgstream.evaluation.references import Interval, Reference
from ecgstream.evaluation.results import text
from ecgstream.evaluation.sources import Source


def reference(beats_s: list[float], kinds: str = "", **more: list[Interval]) -> Reference:
    """A record of beats, all normal unless `kinds` says otherwise."""
    labels = np.array(list(kinds or "N" * len(beats_s)))
    return Reference("svdb", "800", 120.0, np.array(beats_s), labels, more.pop("rhythms", []), **more)


def falsely(record: Reference, kind: str, at_s: float) -> bool:
    told = Told(kind, at_s, at_s - 4, at_s + 4, kind)
    return false_alarms(Judged(record, annotated(record), [], [told])) == [told]


def test_four_seconds_from_beat_to_beat_are_asystole_unless_it_fibrillates() -> None:
    beats_s = [*np.arange(0, 40, 0.8), *np.arange(52, 90, 0.8)]
    assert annotated(reference(beats_s))["asystole"] == [(39.2, 52.0)]
    fibrillating = reference(beats_s, fibrillation=[Interval(40.0, 51.5, "[")])
    assert annotated(fibrillating)["asystole"] == []
    assert annotated(fibrillating)["vf"] == [(40.0, 51.5)]
    assert annotated(reference(list(np.arange(0, 90, 3.9))))["asystole"] == []


def test_an_alarm_of_what_is_annotated_is_not_false() -> None:
    paused = reference([*np.arange(0, 40, 0.8), *np.arange(52, 90, 0.8)])
    assert not falsely(paused, "asystole", 44.0)
    assert falsely(paused, "vf", 44.0)
    assert falsely(reference(list(np.arange(0, 90, 0.8))), "asystole", 44.0)


def test_where_a_heart_fibrillates_between_brackets_neither_vf_nor_asystole_is_false() -> None:
    brief = reference(
        [*np.arange(0, 40, 0.8), *np.arange(44, 90, 0.8)], fibrillation=[Interval(40.0, 43.0, "[")]
    )
    assert not any(falsely(brief, kind, 44.0) for kind in ("vf", "vt", "asystole"))


def test_what_was_missed_or_false_is_told_with_its_recording_and_time() -> None:
    paused = reference([*np.arange(0, 40, 0.8), *np.arange(52, 90, 0.8)])
    told = Told("vf", 80.0, 76.0, 84.0, "Ventricular fibrillation")
    false, missed, slow = where_it_is_worst([Judged(paused, annotated(paused), [], [told])])
    assert false.caption == "svdb/800 at 76 s: false Ventricular fibrillation"
    assert missed.caption == "svdb/800 at 39 s: missed asystole"
    assert slow.caption.endswith("missed extreme-bradycardia")
    assert missed.start_s == pytest.approx(29.2)


def test_a_rate_of_false_alarms_is_over_the_recordings_that_could_have_one() -> None:
    calm = reference(list(np.arange(0, 120, 0.8)))
    wild = reference([], rhythms=[Interval(0.0, 120.0, "VT")])
    told = Told("vt", 40.0, 36.0, 44.0, "vt")
    table = false_table([Judged(r, annotated(r), [], [told]) for r in (calm, wild)])
    found = {row[0]: [text(cell) for cell in row[1:]] for row in table.rows}
    assert found["vt"] == ["1", "1", "0.0", "30.00", "720.0"], "one in two minutes, not in four"
    assert found["asystole"][:3] == ["0", "0", "0.1"]
    assert found["all of them"] == ["1", "1", "–", "30.00", "720.0"]


def test_where_nothing_can_be_false_the_rate_is_unknown() -> None:
    wild = reference([], rhythms=[Interval(0.0, 60.0, "VFIB")])
    rows = false_table([Judged(wild, annotated(wild), [], [])]).rows
    assert [text(row[5]) for row in rows] == ["–"] * (len(KINDS) + 1)


def test_vt_is_five_ventricular_beats_over_100() -> None:
    beats_s = [*np.arange(0, 8, 0.8), *np.arange(8, 10.4, 0.5), *np.arange(10.8, 20, 0.8)]
    run = "N" * 10 + "V" * 5 + "N" * (len(beats_s) - 15)
    assert annotated(reference(beats_s, run))["vt"] == [(8.0, 10.0)]
    assert annotated(reference(beats_s, run.replace("V", "N", 1)))["vt"] == []


def test_a_vt_or_vf_alert_is_astray_unless_either_is_annotated_about_its_time() -> None:
    rhythms = [Interval(0.0, 50.0, "N"), Interval(50.0, 60.0, "VFL"), Interval(60.0, 120.0, "N")]
    record = reference([], rhythms=rhythms)
    told = [
        Told(kind, at_s, at_s, at_s, "") for kind in ("vt", "asystole") for at_s in (30.0, 41.0, 74.0, 76.0)
    ]
    assert [t.raised_s for t in astray(Judged(record, {"vf": []}, [], told))] == [30.0, 76.0]
    assert astray(Judged(record, {"vf": []}, [(25.0, 70.0)], told)) == []


def test_in_a_short_recording_its_label_tells_which_alerts_are_false() -> None:
    def short(label: str, *kinds: str) -> short_alarms.Short:
        source = Source("cinc2017", f"A-{label}", "a", 300.0, 1.0, np.zeros(9000, np.int16))
        return short_alarms.Short(source, label, [Told(kind, 9.0, 3.0, 12.0, kind) for kind in kinds])

    judged = [short("N", "asystole", "vt"), short("A", "extreme-tachycardia", "vf"), short("O"), short("~")]
    shown = short_alarms.table(judged, KINDS)
    false = {str(row[0]): row[5] for row in shown.rows}
    assert false == {
        "asystole": 1, "vt": 1, "vf": 1, "extreme-tachycardia": 0, "extreme-bradycardia": 0, "recordings": None,
    }  # fmt: skip
    assert shown.rows[-1][1:5] == (1, 1, 1, 1)
    assert [w.record for w in short_alarms.worst(judged)] == ["A-N", "A-N", "A-A"]
