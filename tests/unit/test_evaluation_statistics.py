"""Intervals, confusion and calibration against cases worked out by hand."""

import numpy as np
import pytest

from ecgstream.evaluation import spans, statistics
from ecgstream.evaluation.references import Interval


def test_lower_bound_of_all_right_is_the_root_of_the_risk() -> None:
    # all n of n right: the bound p solves p**n = 0.1
    assert statistics.lower_bound(100, 100) == pytest.approx(0.1 ** (1 / 100))
    assert statistics.lower_bound(5, 5, 0.95) == pytest.approx(0.05 ** (1 / 5))


def test_lower_bound_matches_a_manufacturers_published_ones() -> None:
    # ZOLL AED Plus: 97.38 % of 535 (95.65) and 91.57 % of 83 (83.39). The manual calls them one-sided 90 % bounds; they
    # are the exact lower ends of two-sided 95 % intervals.
    assert statistics.lower_bound(521, 535, 0.975) == pytest.approx(0.9565, abs=5e-5)
    assert statistics.lower_bound(76, 83, 0.975) == pytest.approx(0.8339, abs=5e-5)


def test_lower_bound_of_nothing_is_unknown_and_of_no_hit_is_zero() -> None:
    assert np.isnan(statistics.lower_bound(0, 0))
    assert statistics.lower_bound(0, 7) == 0.0
    with pytest.raises(ValueError, match="successes"):
        statistics.lower_bound(3, 2)


def test_ratio_without_denominator_is_unknown() -> None:
    assert np.isnan(statistics.ratio(0.0, 0.0))
    assert statistics.f1(2.0, 3.0, 5.0) == pytest.approx(0.5)


def test_bootstrap_adds_records_of_one_patient_up_first() -> None:
    counts = np.array([[1.0, 2.0], [1.0, 2.0], [4.0, 4.0]])
    rows = statistics.by_patient(["a", "b", "a"], counts)
    assert rows.tolist() == [[5.0, 6.0], [1.0, 2.0]]
    found = statistics.bootstrap(["a", "b", "a"], counts, lambda c: statistics.ratio(c[:, 0], c[:, 1]))
    assert found.value == pytest.approx(6 / 8)
    assert [found.low, found.high] == pytest.approx([1 / 2, 5 / 6])  # one patient or the other


def test_bootstrap_interval_has_the_binomial_size() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(400) < 0.8).astype(float)
    counts = np.stack([right, np.ones(400)], axis=1)
    found = statistics.bootstrap([str(i) for i in range(400)], counts, lambda c: c[:, 0] / c[:, 1])
    p = right.mean()
    half = 1.96 * np.sqrt(p * (1 - p) / 400)
    assert found.low == pytest.approx(p - half, abs=0.01)
    assert found.high == pytest.approx(p + half, abs=0.01)


def test_what_one_patient_alone_has_shows_no_interval() -> None:
    counts = np.array([[5.0, 6.0], [0.0, 0.0], [0.0, 0.0]])
    found = statistics.bootstrap(["a", "b", "c"], counts, lambda c: statistics.ratio(c[:, 0], c[:, 1]))
    assert found.value == 5 / 6
    assert np.isnan([found.low, found.high]).all()


def test_bootstrap_of_one_patient_has_no_interval() -> None:
    found = statistics.bootstrap(["a", "a"], np.ones((2, 2)), lambda c: c[:, 0] / c[:, 1])
    assert found.value == 1.0
    assert np.isnan(found.low)
    assert np.isnan(statistics.bootstrap([], np.ones((0, 2)), lambda c: c[:, 0]).value)


def test_confusion_rows_are_the_reference() -> None:
    found = statistics.confusion(np.array([0, 0, 1, -1, 1]), np.array([0, 1, 1, 1, -1]), 2)
    assert found.tolist() == [[1, 1], [0, 1]]


def test_reliability_and_brier_by_hand() -> None:
    curve = statistics.reliability(np.array([0.9, 0.9, 0.1, 1.0]), np.array([True, False, False, True]), 10)
    assert curve.count.sum() == 4
    assert curve.count[9] == 3  # 0.9, 0.9 and 1.0 share the last bin
    assert curve.observed[9] == pytest.approx(2 / 3)
    assert curve.ece == pytest.approx((3 * abs(2.8 / 3 - 2 / 3) + 1 * 0.1) / 4)
    assert np.isnan(curve.claimed[5])
    probabilities = np.array([[0.8, 0.2], [0.5, 0.5]])
    assert statistics.brier(probabilities, np.array([0, 1])) == pytest.approx((0.08 + 0.5) / 2)


def test_spans_arithmetic() -> None:
    assert spans.union([(3.0, 4.0), (1.0, 2.0), (2.0, 3.0), (6.0, 6.0)]) == [(1.0, 4.0)]
    assert spans.intersection([(0.0, 5.0), (8.0, 9.0)], [(4.0, 8.5)]) == [(4.0, 5.0), (8.0, 8.5)]
    assert spans.without([(0.0, 10.0)], [(2.0, 3.0), (9.0, 12.0)]) == [(0.0, 2.0), (3.0, 9.0)]
    assert spans.without([(0.0, 10.0)], []) == [(0.0, 10.0)]
    assert spans.without([], [(1.0, 2.0)]) == []
    assert spans.touched([(0.0, 1.0), (5.0, 6.0)], [(1.0, 5.5)]) == 1  # touching ends share no time


def test_labels_of_seconds_join_and_break_at_silence() -> None:
    found = spans.of_seconds(["a", "a", None, "a", "b"], lambda s: (float(s), s + 1.0))
    assert found == [Interval(0, 2, "a"), Interval(3, 4, "a"), Interval(4, 5, "b")]
    assert spans.label_at(found, np.array([-0.5, 0.0, 2.5, 4.9, 5.0])) == [None, "a", None, "b", None]


def test_reliability_is_of_labels_that_rest_on_the_probability() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    curve = statistics.reliability_of_labels(shares, np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]))
    assert curve.left_out == 0.25  # the second, which a rule named
    assert curve.count.sum() == 3
    assert curve.ece == pytest.approx((0.1 + 0.7 + 0.4) / 3)
    nothing = statistics.reliability_of_labels(shares[:1], np.array([1]), np.array([1]))
    assert nothing.left_out == 1.0
    assert np.isnan(nothing.ece)
