"""CinC 2017, rhythms by duration and episode, and the RR baseline, against cases counted by hand."""

from typing import Any

import numpy as np
import pytest

from ecgstream.evaluation import cinc2017, rhythms, rr_baseline, spans
from ecgstream.evaluation.labels import centred
from ecgstream.evaluation.references import Interval
from ecgstream.evaluation.results import Table
from ecgstream.evaluation.spans import Span
from ecgstream.evaluation.statistics import Estimate
from ecgstream.measurements.rr_intervals import cos_en
from ecgstream.patterns import told_by_waves
from evaluation_streams import RHYTHMS, one_hot, reference, stream


def cell(table: Table, row: str, column: str) -> float:
    found = next(r for r in table.rows if r[0] == row)[table.columns.index(column)]
    value = found.value if isinstance(found, Estimate) else found
    assert isinstance(value, int | float)
    return float(value)


def test_cinc_groups_rhythms_and_calls_the_unscored_noise() -> None:
    rows = one_hot(["sinus", "af", "noise", "block", None], RHYTHMS, share=0.56)
    shares = cinc2017.grouped(rows, RHYTHMS)
    assert shares.argmax(axis=1).tolist() == [0, 1, 3, 2, 3]
    assert shares[0].tolist() == pytest.approx([0.56, 0.04, 0.36, 0.04], abs=1e-6)
    assert shares[4].tolist() == [0, 0, 0, 1]


def test_cinc_score_by_hand() -> None:
    truth = "NNNAAO~"
    said = "NNOAOO~"  # one N called O, one A called O
    labels = {f"r{i}": c for i, c in enumerate(truth)}
    shares = {f"r{i}": np.eye(4)["NAO~".index(c)] for i, c in enumerate(said)}
    seconds = dict.fromkeys(labels, 30.0)
    found = cinc2017.evaluate(
        labels, shares, dict.fromkeys(labels, 0.1), model="m", split="dev", duration_s=seconds
    )
    score = found.table("score")
    assert cell(score, "F1 N", "value") == pytest.approx(2 * 2 / (3 + 2))
    assert cell(score, "F1 A", "value") == pytest.approx(2 * 1 / (2 + 1))
    assert cell(score, "F1 O", "value") == pytest.approx(2 * 1 / (1 + 3))
    assert cell(score, "F1 ~", "value") == 1.0
    assert cell(score, "F1 (mean of N, A, O)", "value") == pytest.approx((0.8 + 2 / 3 + 0.5) / 3)
    assert cell(found.table("abstention"), "signal the front end calls unreadable", "share") == pytest.approx(
        0.1
    )
    assert len(list(found.predictions)) == 7
    assert [w.record for w in found.worst] == ["r2", "r4"]


def test_af_is_named_from_its_operating_point_on() -> None:
    rows, classes = [(0.1, 0.5, 0.4), (0.05, 0.6, 0.35), (0.3, 0.35, 0.35)], ("sinus", "af", "other")
    assert [told_by_waves(row, classes, {"af": 0.55}) for row in rows] == ["other", "af", "other"]
    assert [told_by_waves(row, classes, {}) for row in rows] == ["af", "af", "af"]
    assert told_by_waves((0.3, 0.6, 0.1), ("sinus", "vt", "other"), {}) == "sinus", "VT is told by beats"


def test_a_record_s_label_is_the_most_likely_by_weight() -> None:
    shares = {"a": np.array([0.1, 0.5, 0.4, 0.0])}
    arguments: dict[str, Any] = {"model": "m", "split": "dev", "duration_s": {"a": 30.0}}
    for weights, label in (({}, "A"), ({"O": 1.3}, "O"), ({"O": 1.3, "A": 1.1}, "A")):
        found = cinc2017.evaluate({"a": "O"}, shares, {"a": 0.0}, weights=weights, **arguments)
        assert [p.label for p in found.predictions] == [label]


def test_rhythm_duration_and_episodes_by_hand() -> None:
    truth: list[Span] = [(310.0, 400.0), (500.0, 510.0)]
    ours: list[Span] = [(350.0, 450.0), (520.0, 530.0)]
    scored: list[Span] = [(300.0, 600.0)]
    c = rhythms.compare(truth, ours, scored, [(300.0, 600.0)])
    assert (c.reference_s, c.hit_s, c.said_s) == (100.0, 50.0, 110.0)
    assert (c.episodes, c.episodes_hit, c.said_episodes, c.said_episodes_hit) == (2, 1, 2, 1)


def test_a_finding_speaks_for_the_middle_of_its_window() -> None:
    labels = ["sinus"] * 20 + ["af"] * 20
    said = centred(labels, 40.0)
    assert said == [Interval(0, 5, "sinus"), Interval(5, 40, "af")]


def test_episodes_that_share_time_are_counted_as_they_are_one_by_one() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        edges = [np.unique(rng.integers(0, 60, 2 * rng.integers(0, 9))).astype(float) for _ in "ab"]
        a, b = ([(float(s), float(e)) for s, e in zip(x[::2], x[1::2], strict=False)] for x in edges)
        assert spans.touched(a, b) == sum(bool(spans.intersection([episode], b)) for episode in a)


def test_perfect_rhythms_score_one_and_silence_is_missed_and_shown() -> None:
    truth = [(0.0, 400.0, "N"), (400.0, 600.0, "AFIB")]
    late = ["sinus"] * 415 + ["af"] * 185  # findings are judged 15 s before they are known
    good = rhythms.evaluate(
        [(reference(rhythms=truth), stream(rhythm=late))], RHYTHMS, model="m", split="dev"
    )
    table = good.table("rhythms on mitdb")
    for column in ("duration Se", "duration +P", "episode Se", "episode +P", "duration Sp"):
        assert cell(table, "af", column) == 1.0
    assert cell(good.table("abstention"), "mitdb", "share without a rhythm") == 0.0
    blind = stream(rhythm=late, unreadable=range(415, 515))
    found = rhythms.evaluate([(reference(rhythms=truth), blind)], RHYTHMS, model="m", split="dev")
    assert cell(found.table("rhythms on mitdb"), "af", "duration Se") == pytest.approx(91 / 200), (
        "silent while less than 20 of 30 s can be read"
    )
    assert cell(found.table("rhythms on mitdb"), "af", "readable Se") == 1.0
    assert cell(found.table("abstention"), "mitdb", "share without a rhythm") == pytest.approx(109 / 300)


def test_flutter_is_af_in_one_row_and_apart_in_the_other() -> None:
    truth = [(0.0, 400.0, "N"), (400.0, 500.0, "AFL"), (500.0, 600.0, "AFIB")]
    said = ["sinus"] * 515 + ["af"] * 85
    found = rhythms.evaluate(
        [(reference(rhythms=truth), stream(rhythm=said))], RHYTHMS, model="m", split="dev"
    )
    table = found.table("rhythms on mitdb")
    assert cell(table, "af", "duration Se") == pytest.approx(0.5)
    assert cell(table, "af, flutter apart", "duration Se") == 1.0


def test_fibrillation_and_learning_period_are_not_scored() -> None:
    truth = [(0.0, 350.0, "N"), (350.0, 450.0, "VFL"), (450.0, 600.0, "N")]
    assert rhythms.scored_spans(reference(rhythms=truth)) == [(300.0, 350.0), (450.0, 600.0)]


def test_cos_en_tells_irregular_from_regular_and_from_alternating() -> None:
    rng = np.random.default_rng(0)
    irregular = cos_en(rng.uniform(0.4, 1.1, 40))
    regular = cos_en(0.8 + 0.01 * rng.standard_normal(40))
    bigeminal = cos_en(np.tile([0.55, 1.05], 20))
    assert irregular > regular
    assert irregular > bigeminal
    assert np.isnan(cos_en(np.full(5, 0.8)))
    assert np.isnan(cos_en(np.full(20, 5.0)))


def test_cos_en_by_hand() -> None:
    # constant intervals of 0.5 s: every pair matches, so A/B = 1 and CosEn = ln(2 * 0.03 / 0.5)
    assert cos_en(np.full(20, 0.5)) == pytest.approx(np.log(0.06 / 0.5))


def test_threshold_is_the_best_f1() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4, np.nan])
    assert rr_baseline.best_threshold(values, np.array([False, False, True, True, False])) == 0.3
    assert rr_baseline.best_threshold(values, np.array([False, True, False, True, True])) in (0.2, 0.4)
    tied, is_af = np.array([0.9, 0.5, 0.5, 0.5, 0.5]), np.array([True, True, False, False, False])
    assert rr_baseline.best_threshold(tied, is_af) == 0.9, "no threshold parts equal values"
    with pytest.raises(ValueError, match="threshold"):
        rr_baseline.best_threshold(np.array([np.nan]), np.array([True]))


def test_baseline_finds_af_in_made_up_beats() -> None:
    rng = np.random.default_rng(3)
    steady = np.arange(0, 400, 0.8)
    wild = 400 + np.cumsum(rng.uniform(0.4, 1.1, 270))
    beats = np.concatenate([steady, wild[wild < 600]])
    truth = [(0.0, 400.0, "N"), (400.0, 600.0, "AFIB")]
    pair = (reference(rhythms=truth), stream(beats_s=beats.tolist(), beats=["N"] * len(beats)))
    (table,) = rr_baseline.rhythm_tables([pair], [pair])
    assert cell(table, "af", "duration Se") > 0.9
    assert cell(table, "af", "duration +P") > 0.9
