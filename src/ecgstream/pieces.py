"""What goes into reassembly beside chunks, and what comes out: where a chunk stood, pieces in order, refusals, counts."""

from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """Where a chunk stood in the log; a consumer's record is one."""

    @property
    def topic(self) -> str:
        """The topic that the log is a part of."""

    @property
    def partition(self) -> int:
        """The log's number in it."""

    @property
    def offset(self) -> int:
        """Place in that log."""

    @property
    def timestamp(self) -> int:
        """The log's time of the record, ms since 1970."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Samples next to the piece before, or after a gap when `first_sample` jumps.

    `samples`: int16 (n,), read-only, in units of `uv_per_lsb`. `epoch_us`: UTC time of the session's sample 0
    by the chunk's clock, whole milliseconds.
    """

    device_id: str
    session: str
    first_sample: int
    fs_hz: float
    uv_per_lsb: float
    epoch_us: int
    lead_off: bool
    samples: NDArray[np.int16]


class Ended(msgspec.Struct, frozen=True):
    """A session is over: its tail can be completed and its state forgotten."""

    device_id: str
    session: str


Event = Piece | Ended


class Refusal(msgspec.Struct, frozen=True):
    """A chunk that can't be taken, and why: the sender's fault."""

    source: Source
    reason: str


@dataclass(slots=True)
class Counts:
    """What reassembly did to chunks, since the start."""

    chunks: int = 0
    duplicates: int = 0  # wholly known already
    trimmed: int = 0  # partly known already
    reordered: int = 0  # came early, were held and put in order
    late: int = 0  # came after their place was declared a gap, or before the place where reading began
    gaps: int = 0
    gap_s: float = 0.0
