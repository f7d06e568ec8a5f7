"""The records that travel: samples in, findings, alerts, acknowledgements, dead letters out.

Each record is defined once, as a frozen `msgspec` struct; `ecgstream.codec` says how it travels.

Times ending in ``_us`` are UTC microseconds since 1970. Sample indices count from the start of a session.
"""

from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

SCHEMA_VERSION = 1
MIN_FS_HZ, MAX_FS_HZ = 100.0, 1000.0
MAX_CHUNK_S = 60
MAX_CHUNK_SAMPLES = int(MAX_FS_HZ) * MAX_CHUNK_S
MAX_SAMPLE = 2**40  # 34 years at 1,000 Hz; places stay exact to 1/4,096 of a sample

# `$` also stands before a last line break, for Python; the end of the text is named so that ECMA reads it, too.
ID_PATTERN, LONGEST_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$(?!\n)", 64
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e]*$(?!\n)"

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN)]
Text = Annotated[str, Meta(max_length=2000)]
Index = Annotated[int, Meta(ge=0, le=2**53)]
TimeUs = Annotated[int, Meta(ge=0, le=2**53)]
Int16 = Annotated[int, Meta(ge=-32768, le=32767)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Version = Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """What all records share: the version of this schema."""

    v: Version = SCHEMA_VERSION


class Chunk(Record, frozen=True, kw_only=True):
    """Samples of one lead of one device (topic ``ecg.samples``, key: device id).

    `first_sample` is the index of the first sample in its session; a device that restarts its counter takes a
    new `session`. `start_us` is the time of that first sample. `samples` are int16 in units of `uv_per_lsb`: a
    list of integers, or little-endian bytes (base64 text in JSON).
    """

    device_id: Id
    session: Id
    first_sample: Annotated[int, Meta(ge=0, le=MAX_SAMPLE)]
    start_us: TimeUs
    fs_hz: Annotated[float, Meta(ge=MIN_FS_HZ, le=MAX_FS_HZ)]
    uv_per_lsb: Annotated[float, Meta(gt=0.0, le=1000.0)]
    samples: (
        Annotated[bytes, Meta(max_length=2 * MAX_CHUNK_SAMPLES)]
        | Annotated[list[Int16], Meta(max_length=MAX_CHUNK_SAMPLES)]
    )
    lead: Annotated[str, Meta(max_length=16, pattern=PRINTABLE)] = "I"
    lead_off: bool = False

    def __post_init__(self) -> None:
        if not self.fs_hz >= MIN_FS_HZ or not self.uv_per_lsb > 0.0:
            raise ValueError(f"fs_hz, uv_per_lsb: {self.fs_hz}, {self.uv_per_lsb}: not a number")
        if isinstance(self.samples, bytes) and len(self.samples) % 2:
            raise ValueError(f"samples: {len(self.samples)} bytes is not a whole number of int16")
        if self.n_samples > MAX_CHUNK_S * self.fs_hz + 0.5:
            raise ValueError(f"samples: {self.n_samples} at {self.fs_hz} Hz is longer than {MAX_CHUNK_S} s")
        if self.start_us * self.fs_hz < self.first_sample * 1e6:
            raise ValueError(
                f"start_us: {self.start_us} would put sample 0 of the session before 1970 "
                f"(first_sample {self.first_sample} at {self.fs_hz} Hz)"
            )

    @property
    def n_samples(self) -> int:
        """How many samples the chunk holds."""
        return len(self.samples) // 2 if isinstance(self.samples, bytes) else len(self.samples)

    @property
    def end_sample(self) -> int:
        """Index after the last sample."""
        return self.first_sample + self.n_samples

    def array(self) -> NDArray[np.int16]:
        """The samples: int16 (n_samples,), in units of `uv_per_lsb`; read-only when they came as bytes."""
        if isinstance(self.samples, bytes):
            return np.frombuffer(self.samples, dtype="<i2")
        return np.asarray(self.samples, dtype=np.int16)


class Quality(StrEnum):
    """How much of a window can be read."""

    FULL = "full"
    RATE_ONLY = "rate-only"
    UNREADABLE = "unreadable"


class Reason(StrEnum):
    """Why a window is less than fully readable."""

    WARM_UP = "warm-up"
    GAP = "gap"
    LEAD_OFF = "lead-off"
    FLAT = "flat"
    CLIPPED = "clipped"
    MOTION = "motion"
    MUSCLE = "muscle"
    MAINS = "mains"
    DETECTORS_DISAGREE = "detectors-disagree"


class Beat(Struct, frozen=True, array_like=True):
    """One beat: time of its R peak, its AAMI class (``N``, ``S``, ``V``; ``Q`` where none was given), its
    probability where the beat itself gave the class, not the rhythm that it stands in."""

    at_us: TimeUs
    kind: str
    probability: Probability | None = None


MISSING = -32768  # a sample of a strip that isn't known


class Strip(Struct, frozen=True, kw_only=True):
    """A stretch of the filtered signal: int16 little-endian (n_samples,), in units of `uv_per_lsb` µV.

    -32768 (`MISSING`) stands for a sample that is not known, such as in a gap.
    """

    start_us: TimeUs
    fs_hz: float
    uv_per_lsb: float
    samples: bytes

    @property
    def end_us(self) -> int:
        """Time after the last sample."""
        return self.start_us + round(len(self.samples) // 2 / self.fs_hz * 1e6)

    def microvolts(self) -> NDArray[np.float32]:
        """The signal: float32 (n_samples,), µV; NaN where it is missing."""
        samples = np.frombuffer(self.samples, dtype="<i2")
        signal = samples.astype(np.float32) * np.float32(self.uv_per_lsb)
        signal[samples == MISSING] = np.nan
        return signal


class Finding(Record, frozen=True, kw_only=True):
    """What one window of one session shows (topic ``ecg.rhythm``, key: device id).

    Window `k` ends `k + 1` hops after the session's start and looks back one window length, never past the
    start. `acute`, `quality` and the heart rate read its last seconds, `rhythm` all of it. ``None`` means
    "not known" and never "no": a head that isn't warm or a window that can't be read gives ``None`` and its
    `reasons`. `rhythm` is what waves and the order of beats make of the window, `rhythm_probabilities` what
    the waves say alone. `beats` are all beats in the window. `signal` is present when the window shows something.
    """

    device_id: Id
    session: Id
    window: Index
    start_us: TimeUs
    end_us: TimeUs
    quality: Quality
    reasons: list[Reason] = []
    rhythm: str | None = None
    rhythm_probabilities: dict[str, Probability] = {}
    acute: str | None = None
    acute_probabilities: dict[str, Probability] = {}
    heart_rate_bpm: float | None = None
    beats: list[Beat] = []
    signal: Strip | None = None
    model: str


class AlertState(StrEnum):
    """Where an alert is in its life."""

    RAISED = "raised"
    UPDATED = "updated"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"


class Priority(StrEnum):
    """IEC 60601-1-8 alarm priorities."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Who answered, when, and what they noted."""

    by: Annotated[str, Meta(min_length=1, max_length=128)]
    at_us: TimeUs
    note: Text = ""


class Alert(Record, frozen=True, kw_only=True):
    """One revision of one alert (topic ``ecg.alerts``, key: device id).

    The id is a pure function of device, session, kind and first window, so that a repeated record changes
    nothing. The highest `revision` of an id is its state. `strip` is the filtered signal around the onset.
    """

    alert_id: Id
    revision: Index
    state: AlertState
    device_id: Id
    session: Id
    kind: Id
    category: str  # "physiological" or "technical"
    priority: Priority
    first_window: Index
    onset_us: TimeUs
    detected_us: TimeUs
    end_us: TimeUs | None = None
    heart_rate_bpm: float | None = None
    message: Text = ""
    evidence: dict[str, Any] = {}
    beats: list[Beat] = []
    strip: Strip | None = None
    acknowledgement: Acknowledgement | None = None
    escalations: Index = 0
    model: str = ""
    configuration: str = ""
    published_us: TimeUs | None = None


class Ack(Record, frozen=True, kw_only=True):
    """A person's answer to an alert (topic ``ecg.acks``, key: device id)."""

    alert_id: Id
    device_id: Id
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    at_us: TimeUs
    note: Text = ""


class Snooze(Record, frozen=True, kw_only=True):
    """A person's order to hold back one kind of alert of one device until `until_us` (topic ``ecg.acks``, key: device id).

    An `until_us` that has passed ends a snooze early.
    """

    device_id: Id
    kind: Id
    until_us: TimeUs
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    at_us: TimeUs
    note: Text = ""


class KindSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device's settings say of one kind of alert; ``None`` leaves the configuration's value."""

    enabled: bool | None = None
    priority: Priority | None = None


class DeviceSettings(Record, frozen=True, kw_only=True):
    """Limits and kinds of one device (compacted topic ``ecg.device-settings``, key: device id).

    `limits` and `kinds` name entries of the alarm table (`ecgstream.limits`); what they don't name keeps the
    table's value.
    """

    device_id: Id
    limits: dict[str, float] = {}
    kinds: dict[str, KindSettings] = {}
    by: Annotated[str, Meta(max_length=128)] = ""
    at_us: TimeUs | None = None


class DeadLetter(Record, frozen=True, kw_only=True):
    """A record that could not be taken (topic ``ecg.dead-letters``): its bytes, its headers and the reason.

    One that is longer than any record that is taken is cut, and the reason says so. One that could not even be unpacked has no
    key and no value.
    `parked`: not its sender's fault but ours: it made our own code raise twice, or is an alert that reached nobody.
    """

    reason: Text
    topic: str
    partition: int
    offset: int
    parked: bool = False
    key: bytes | None = None
    value: bytes | None = None
    headers: list[tuple[str, bytes]] = []
