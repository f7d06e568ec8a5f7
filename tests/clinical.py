"""Findings made for tests: a beat sequence and probabilities, seen as the monitor would publish them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ecgstream.messages import Beat, Finding, Quality, Reason, Strip

T0_US = 1_700_000_000_000_000
ORGANISED = {"organised": 0.97, "noise": 0.03}
SINUS = {"sinus": 0.95, "af": 0.02, "other": 0.03}


def at(seconds: float) -> int:
    """Event time `seconds` after the session's start."""
    return T0_US + round(seconds * 1e6)


def strip(start_s: float, end_s: float) -> Strip:
    """A strip of silence."""
    n = round((end_s - start_s) * 128)
    return Strip(start_us=at(start_s), fs_hz=128.0, uv_per_lsb=1.0, samples=bytes(2 * n))


def beats(*pieces: tuple[str, float, int], start_s: float = 0.0) -> list[tuple[float, str]]:
    """Beats in a row: each piece is (kind, RR in seconds, how many)."""
    t, out = start_s, []
    for kind, rr_s, n in pieces:
        for _ in range(n):
            t += rr_s
            out.append((t, kind))
    return out


def finding(window: int, heart: Sequence[tuple[float, str]] = (), **changes: Any) -> Finding:
    """The finding of one window over the beats `heart`, seen 0.5 s after they happen."""
    end_s = window + 1
    start_s = max(0, end_s - 30)
    seen = [Beat(at(t), kind, 0.9) for t, kind in heart if start_s <= t <= end_s - 0.5]
    fields: dict[str, Any] = {
        "device_id": "chest-7",
        "session": "a",
        "window": window,
        "start_us": at(start_s),
        "end_us": at(end_s),
        "quality": Quality.FULL,
        "rhythm": "sinus",
        "rhythm_probabilities": SINUS,
        "acute": "organised",
        "acute_probabilities": ORGANISED,
        "beats": seen,
        "signal": strip(start_s, end_s),
        "model": "test-1@0",
    }
    return Finding(**(fields | changes))


def stream(
    heart: Sequence[tuple[float, str]],
    n_windows: int,
    changes: Callable[[int], dict[str, Any]] = lambda _: {},
    every: int = 1,
) -> Iterator[Finding]:
    """All findings of a session; `changes` gives what differs in a window."""
    for k in range(n_windows):
        if k % every == every - 1:
            yield finding(k, heart, **changes(k))


def unreadable(*reasons: Reason) -> dict[str, Any]:
    """What differs in a window that can't be read."""
    return {
        "quality": Quality.UNREADABLE,
        "reasons": list(reasons),
        "rhythm": None,
        "rhythm_probabilities": {},
        "acute": None,
        "acute_probabilities": {},
    }
