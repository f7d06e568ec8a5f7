"""A record as training reads it."""

from typing import Any

import numpy as np

from ecgstream.training.corpus import Packed


def record(**changes: Any) -> Packed:
    signal = (np.random.default_rng(1).normal(0, 100, 128 * 60)).astype(np.int16)
    fields: dict[str, Any] = dict(  # noqa: C408
        database="mitdb", record="100", lead=0, signal=signal, beats=np.arange(64.0, signal.size, 128),
        kinds=np.array(["N"] * 60), rhythms=[(0, signal.size, "N")], peaks=np.arange(60.0, signal.size, 130),
    )  # fmt: skip
    return Packed(**(fields | changes))  # type: ignore[arg-type]
