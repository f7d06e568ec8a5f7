"""Made-up streams and references for the evaluation's tests."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.references import Interval, Reference
from ecgstream.evaluation.sources import Source
from ecgstream.evaluation.streaming import Stream

RHYTHMS = (
    "sinus", "af", "svt", "bigeminy", "trigeminy", "idioventricular", "junctional", "block", "paced", "vt", "other",
    "noise",
)  # fmt: skip
ACUTE = ("organised", "vt", "vf", "asystole", "noise")
BEATS = ("N", "S", "V")


def one_hot(names: Sequence[str | None], classes: Sequence[str], share: float = 0.9) -> NDArray[np.float32]:
    """Rows with `share` on the named class, NaN where there is none."""
    rest = (1 - share) / (len(classes) - 1)
    rows = [[share if c == n else rest for c in classes] if n else [np.nan] * len(classes) for n in names]
    return np.array(rows, np.float32).reshape(-1, len(classes))


def stream(
    record: str = "x",
    *,
    seconds: int = 600,
    database: str = "mitdb",
    rhythm: Sequence[str | None] | None = None,
    acute: Sequence[str | None] | None = None,
    beats_s: Sequence[float] = (),
    beats: Sequence[str | None] = (),
    unreadable: Sequence[int] = (),
    signal: NDArray[np.float32] | None = None,
) -> Stream:
    """A stream with sinus rhythm and all seconds readable unless it is told otherwise."""
    readable = np.ones(seconds, bool)
    readable[list(unreadable)] = False
    source = Source(database, record, record, 128.0, 1.0, np.zeros(seconds * 128, np.int16))
    return Stream(
        source,
        one_hot(acute or ["organised"] * seconds, ACUTE),
        one_hot(rhythm or ["sinus"] * seconds, RHYTHMS),
        readable,
        np.array(beats_s, np.float64),
        one_hot(beats, BEATS),
        np.array(beats_s, np.float64).astype(np.int64) + 1,
        np.array(beats_s, np.float64).astype(np.int64) + 4,
        signal,
    )


def reference(
    record: str = "x",
    *,
    seconds: float = 600.0,
    database: str = "mitdb",
    rhythms: Sequence[tuple[float, float, str]] = ((0.0, 600.0, "N"),),
    beats_s: Sequence[float] = (),
    kinds: Sequence[str] = (),
    fibrillation: Sequence[tuple[float, float, str]] = (),
) -> Reference:
    """A reference; normal sinus rhythm unless it is told otherwise."""
    return Reference(
        database,
        record,
        seconds,
        np.array(beats_s, np.float64),
        np.array(kinds, dtype="U1"),
        [Interval(*r) for r in rhythms],
        [Interval(*r) for r in fibrillation],
    )
