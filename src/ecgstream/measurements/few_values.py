"""Order and spread of the few values that a window has; loops, since numba compiles NumPy's own in seconds each."""

import math
from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def ordered(values: Any) -> Any:
    """A copy in ascending order; for the few values that a window has."""
    sorted_ = np.empty(values.size)
    for i in range(values.size):
        value, j = values[i], i
        while j > 0 and sorted_[j - 1] > value:
            sorted_[j] = sorted_[j - 1]
            j -= 1
        sorted_[j] = value
    return sorted_


@numba.njit(cache=True)
def quantile(ascending: Any, q: float) -> float:
    """The quantile `q` of ascending values, straight between neighbours."""
    at = q * (ascending.size - 1)
    low = int(at)
    high = min(low + 1, ascending.size - 1)
    return float(ascending[low] + (at - low) * (ascending[high] - ascending[low]))


@numba.njit(cache=True)
def median(values: Any) -> float:
    """The middle of some values in any order."""
    return quantile(ordered(values), 0.5)


@numba.njit(cache=True)
def mean_and_sd(values: Any) -> tuple[float, float]:
    """Mean and standard deviation."""
    total = 0.0
    for value in values:
        total += value
    mean = total / values.size
    squares = 0.0
    for value in values:
        squares += (value - mean) * (value - mean)
    return mean, math.sqrt(squares / values.size)


@numba.njit(cache=True)
def count_over(values: Any, limit: float) -> float:
    """How many values are greater than `limit`."""
    n = 0.0
    for value in values:
        n += value > limit
    return n
