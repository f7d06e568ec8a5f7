"""The clock on the wall, for the processes around the core: the core reads none."""

import time


def now_us() -> int:
    """UTC now [µs]."""
    return time.time_ns() // 1000


class Breaks:
    """Tells when the clock was set, or nobody read it for longer than `longest_us`: a process that stood still can't tell the two apart."""

    def __init__(self, longest_us: int) -> None:
        self._longest_us = longest_us
        self._read_us: int | None = None

    def between(self, now_us: int) -> bool:
        """Whether there was a break between the reading before this one and this one."""
        before_us, self._read_us = self._read_us, now_us
        return before_us is not None and not 0 <= now_us - before_us <= self._longest_us
