"""The clock on the wall, for the processes around the core: the core reads none."""

import time


def now_us() -> int:
    """UTC now [µs]."""
    return time.time_ns() // 1000
