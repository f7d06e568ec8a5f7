"""Arithmetic of intervals, as comparing two rhythm annotations needs it."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.references import Interval

Span = tuple[float, float]
T = TypeVar("T")


def spans_of(intervals: Sequence[Interval], *labels: str) -> list[Span]:
    """The stretches with one of `labels`, in order; neighbours that touch are one."""
    return union([(i.start_s, i.end_s) for i in intervals if i.label in labels])


def spells(values: Sequence[T]) -> list[tuple[int, int, T]]:
    """Runs of equal values: (first, end, value)."""
    runs = []
    at = 0
    for value, group in groupby(values):
        length = len(list(group))
        runs.append((at, at + length, value))
        at += length
    return runs


def union(spans: Sequence[Span]) -> list[Span]:
    """Sorted, with those that touch or overlap joined and empty ones dropped."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def intersection(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """What lies in both; `a` and `b` are sorted and disjoint."""
    out: list[Span] = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if start < end:
            out.append((start, end))
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return out


def without(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """What lies in `a` and not in `b`; both sorted and disjoint."""
    if not a:
        return []
    edges = [-np.inf, *(edge for span in b for edge in span), np.inf]
    return intersection(a, [(float(edges[i]), float(edges[i + 1])) for i in range(0, len(edges), 2)])


def length(spans: Sequence[Span]) -> float:
    """Summed length, seconds."""
    return float(sum(end - start for start, end in spans))


def touched(episodes: Sequence[Span], others: Sequence[Span]) -> int:
    """How many of `episodes` share time with any of `others`, which are sorted and disjoint."""
    ends = [end for _, end in others]
    first_to_end_after = [bisect_right(ends, start) for start, _ in episodes]
    return sum(
        at < len(others) and max(start, others[at][0]) < min(end, others[at][1])
        for (start, end), at in zip(episodes, first_to_end_after, strict=True)
    )


def of_seconds(labels: Sequence[str | None], centre: Callable[[int], Span]) -> list[Interval]:
    """Labels of seconds as intervals; `centre(b)` is the stretch that label b speaks for, ``None`` says
    nothing.
    """
    out: list[Interval] = []
    for b, label in enumerate(labels):
        start, end = centre(b)
        if label is None or end <= start:
            continue
        if out and out[-1].label == label and abs(out[-1].end_s - start) < 1e-9:
            out[-1] = Interval(out[-1].start_s, end, label)
        else:
            out.append(Interval(start, end, label))
    return out


def label_at(intervals: Sequence[Interval], times_s: NDArray[np.float64]) -> list[str | None]:
    """The label in force at each time; ``None`` where none is."""
    if not intervals:
        return [None] * len(times_s)
    starts = np.array([i.start_s for i in intervals])
    at = np.searchsorted(starts, times_s, side="right") - 1
    return [
        intervals[k].label if k >= 0 and t < intervals[k].end_s else None
        for k, t in zip(at, times_s, strict=True)
    ]
