"""Beat classes and shockable rhythm against cases counted by hand."""

import numpy as np
import pytest

from ecgstream.evaluation import acute, beat_classes, shocks, statistics, ventricular
from ecgstream.evaluation.statistics import Estimate
from evaluation_streams import ACUTE, RHYTHMS, reference, stream
from fakes import FakeModel

MODEL = FakeModel(rhythm_classes=RHYTHMS)


def test_beats_match_one_to_one_within_150_ms() -> None:
    theirs = np.array([1.0, 2.0, 3.0, 4.0])
    ours = np.array([0.9, 1.05, 2.151, 3.15, 3.9])
    assert beat_classes.match(theirs, ours).tolist() == [1, -1, 3, 4]
    assert beat_classes.match(theirs, np.empty(0)).tolist() == [-1] * 4
    assert beat_classes.match(np.empty(0), ours).tolist() == []
    assert beat_classes.match(np.array([1.0, 1.2]), np.array([1.14])).tolist() == [-1, 0]  # the nearer one


def test_veb_and_sveb_by_hand() -> None:
    #         N    N    S    V    V    F    Q    N(missed)  + one of ours where there is none
    at = [301, 302, 303, 304, 305, 306, 307, 308]
    ref = reference(beats_s=at, kinds=list("NNSVVFQN"))
    ours = [301.0, 302.05, 303.0, 304.0, 305.0, 306.0, 307.0, 310.0]
    said = ["N", "V", "S", "V", "N", "V", "V", "S"]
    counts = beat_classes.tally(ref, np.array(ours), np.array(said))
    assert counts.sum() == 9
    found = beat_classes.figures(counts[None])
    assert found.veb_se[0] == pytest.approx(1 / 2)
    assert found.veb_ppv[0] == pytest.approx(
        1 / 2
    )  # V->V against N->V; fusion and Q called V aren't held against us
    assert found.sveb_se[0] == 1.0
    assert found.sveb_ppv[0] == pytest.approx(1 / 2)  # the beat where there is none


def test_learning_period_and_fibrillation_are_not_scored() -> None:
    ref = reference(beats_s=[299, 301, 350.0], kinds=list("VVV"), fibrillation=[(340.0, 360.0, "[")])
    counts = beat_classes.tally(ref, np.array([299, 301, 345.0, 350.0]), np.array(["V"] * 4))
    assert counts.sum() == 1


def test_unclassified_beats_are_missed_and_shown() -> None:
    ref = reference(beats_s=[400.0, 401.0, 402.0, 403.0], kinds=list("VVNN"))
    ours = stream(beats_s=[400.0, 401.0, 402.0, 403.0], beats=["V", None, "N", "N"], unreadable=[403])
    assert beat_classes.classes_of(ours, MODEL).tolist() == ["V", "?", "N", "?"]
    found = beat_classes.evaluate([(ref, ours)], MODEL, "dev")
    row = dict(zip(found.table("beat classes").columns, found.table("beat classes").rows[0], strict=True))
    assert isinstance(row["VEB Se"], Estimate)
    assert row["VEB Se"].value == pytest.approx(0.5)
    assert row["without a class"] == pytest.approx(0.5)


def test_in_af_no_beat_is_supraventricular_ectopic() -> None:
    at = [400.0, 401.0, 402.0, 500.0]
    ours = stream(
        beats_s=at, beats=["S", "V", "N", "S"], rhythm=["sinus"] * 390 + ["af"] * 60 + ["sinus"] * 150
    )
    assert beat_classes.classes_of(ours, MODEL).tolist() == ["N", "V", "N", "S"]


def test_paced_records_are_left_out() -> None:
    pairs = [
        (reference(r, beats_s=[400.0], kinds=["N"]), stream(r, beats_s=[400.0], beats=["N"]))
        for r in ("102", "100")
    ]
    found = beat_classes.evaluate(pairs, MODEL, "dev")
    assert [row[0] for row in found.table("by record").rows] == ["mitdb/100"]


def tone(
    per_minute: float, peak_to_peak_uv: float, seconds: int = 600
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    t = np.arange(seconds * 128) / 128
    return (0.5 * peak_to_peak_uv * np.sin(2 * np.pi * per_minute / 60 * t)).astype(np.float32)


@pytest.mark.parametrize("per_minute", [100, 150, 210, 300])
def test_ventricular_rate_from_the_signal(per_minute: float) -> None:
    sharp = np.maximum(tone(per_minute, 2000.0), 0) ** 3
    found = ventricular.rate_bpm(reference(), stream(signal=sharp.astype(np.float32)), 100.0)
    assert found == pytest.approx(per_minute, rel=0.06)


def test_a_signal_without_a_period_has_no_rate() -> None:
    ramp = np.arange(600 * 128, dtype=np.float32)
    assert np.isnan(ventricular.rate_bpm(reference(), stream(signal=ramp), 100.0))
    assert np.isnan(ventricular.rate_bpm(reference(), stream(signal=np.zeros(600 * 128, np.float32)), 100.0))


def test_ventricular_rate_from_annotated_beats() -> None:
    beats = np.arange(100, 112, 0.3)
    ref = reference(beats_s=beats.tolist(), kinds=["V"] * len(beats))
    assert ventricular.rate_bpm(ref, stream(), 100.0) == pytest.approx(200)


def test_segments_fall_into_the_ahas_groups() -> None:
    spells = [
        (0.0, 100.0, "N"),
        (100.0, 200.0, "VFIB"),
        (200.0, 300.0, "VT"),
        (300.0, 309.0, "ASYS"),
        (309.0, 600.0, "AFIB"),
    ]
    ref = reference(database="vfdb", rhythms=spells)
    coarse = shocks.segments_of(ref, stream(signal=tone(210, 800.0)), ACUTE)
    groups = [s.group for s in coarse]
    assert groups == ["sinus"] * 10 + ["coarse VF"] * 10 + ["rapid VT"] * 10 + ["other non-shockable"] * 29
    fine = shocks.segments_of(ref, stream(signal=tone(120, 150.0)), ACUTE)
    assert {s.group for s in fine} == {"sinus", "fine VF", "slower VT", "other non-shockable"}


def test_fibrillation_between_brackets_is_vf_where_no_rhythm_is_called_so() -> None:
    marked = [(100.0, 200.0, "[")]
    af = [(0.0, 600.0, "AFIB")]
    ours = stream(signal=tone(210, 800.0))
    found = shocks.segments_of(reference(database="cudb", rhythms=af, fibrillation=marked), ours, ACUTE)
    assert [s.group for s in found] == ["other non-shockable"] * 10 + ["coarse VF"] * 10 + [
        "other non-shockable"
    ] * 40
    unnamed = shocks.segments_of(reference(database="cudb", rhythms=(), fibrillation=marked), ours, ACUTE)
    assert [(s.start_s, s.group) for s in unnamed] == [(100.0 + 10 * k, "coarse VF") for k in range(10)]
    named = [(0.0, 90.0, "AFIB"), (90.0, 600.0, "VFL")]  # MIT-BIH 207 has both
    as_named = shocks.segments_of(reference(rhythms=named, fibrillation=marked), ours, ACUTE)
    assert sum(s.acute == "vf" for s in as_named) == 51


def test_shock_figures_by_hand() -> None:
    spells = [(0.0, 100.0, "N"), (100.0, 200.0, "VFIB"), (200.0, 600.0, "N")]
    said = ["organised"] * 100 + ["vf"] * 80 + ["organised"] * 20 + ["organised"] * 395 + ["vt"] * 5
    ours = stream(database="vfdb", acute=said, signal=tone(300, 800.0), unreadable=list(range(114, 120)))
    found = acute.evaluate(
        [(reference(database="vfdb", rhythms=spells), ours)], ACUTE, model="m", split="dev"
    )
    table = found.table("shockable rhythm on vfdb")
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(rows) == {"coarse VF", "sinus"}
    vf = rows["coarse VF"]
    assert vf["segments"] == 10
    assert vf["value"] == pytest.approx(0.7)  # two called organised, one unreadable
    assert vf["readable value"] == pytest.approx(7 / 9)
    assert vf["unreadable"] == pytest.approx(0.1)
    assert vf["goal met"] == "no"
    assert rows["sinus"]["value"] == pytest.approx(49 / 50)
    assert found.worst[0].record == "x"


@pytest.mark.parametrize(
    ("group", "right", "segments", "met"),
    [
        ("coarse VF", 190, 200, "yes"),
        ("coarse VF", 189, 199, "too few"),
        ("coarse VF", 180, 200, "no"),  # more than 90 % are wanted
        ("rapid VT", 39, 50, "yes"),
        ("asystole", 73, 73, "too few"),
        ("asystole", 60, 73, "no"),
        ("noise", 100, 100, None),
    ],
)
def test_a_goal_is_met_by_value_bound_and_number_of_segments(
    group: str, right: int, segments: int, met: str | None
) -> None:
    bound = statistics.lower_bound(right, segments)
    assert shocks.GOALS[group].met(right / segments, bound, segments) == met


def test_a_segment_is_decided_by_its_readable_seconds_together() -> None:
    share = {"organised": 0.4, "vt": 0.3, "vf": 0.25, "asystole": 0.05, "noise": 0.0}
    ours = stream(acute=["noise"] * 4 + ["organised"] * 596, signal=tone(300, 800.0), unreadable=[9])
    ours.acute[5:9] = [share[name] for name in ACUTE]

    def told(first: int, last: int) -> str | None:
        return shocks.told_by(shocks.shares_over(ours, first, last, ACUTE))

    assert told(5, 8) == "vt"  # with VF it exceeds organised rhythm
    assert told(4, 8) == "organised"
    assert told(5, 9) == "vt"
    assert told(9, 9) is None


def test_only_rapid_vt_and_coarse_vf_are_to_be_shocked() -> None:
    share = {"organised": 0.25, "vt": 0.4, "vf": 0.2, "asystole": 0.1, "noise": 0.05}
    assert shocks.calls_shock(share, 150.0, 800.0)
    assert not shocks.calls_shock(share, 149.0, 800.0)
    assert shocks.calls_shock(share, float("nan"), 800.0)  # too few beats found to say
    fibrillation = share | {"vf": 0.9}  # whose waves the detector seldom finds
    assert shocks.calls_shock(fibrillation, 80.0, 200.0)
    assert not shocks.calls_shock(fibrillation, 80.0, 199.0)
    assert shocks.calls_shock(share, 150.0, float("nan"))  # a gap: the voltage isn't known
    assert not shocks.calls_shock({}, 200.0, 800.0)

    def segments(bpm: float) -> list[shocks.Segment]:
        at = np.arange(0, 600, 60 / bpm)
        ours = stream(signal=tone(210, 800.0), beats_s=at.tolist(), beats=["V"] * at.size)
        ours.acute[:] = [share[name] for name in ACUTE]
        return shocks.segments_of(reference(rhythms=[(0.0, 20.0, "VT"), (20.0, 40.0, "N")]), ours, ACUTE)

    assert [s.is_right for s in segments(200)] == [True, True, False, False]
    assert [s.is_right for s in segments(100)] == [False, False, True, True]
    assert {s.told for s in segments(100)} == {"vt"}


def test_the_decision_uses_nothing_after_the_segment() -> None:
    spells = [(0.4, 20.4, "N")]
    said = ["organised"] * 10 + ["vf"] * 590
    ours = stream(acute=said, signal=tone(60, 800.0))
    found = shocks.segments_of(reference(rhythms=spells), ours, ACUTE)
    assert [s.told for s in found] == ["organised", "vf"]  # at 10.4 s the last whole second is the tenth
