"""What one window shows: the bounded memory of one session, and the rules by which it becomes a finding.

Window `k` ends at second `k + 1` of the session and looks back 30 s. Of those, the last `ACUTE_S` carry the quality
that a finding states and what kills in seconds; the rhythm needs two thirds of the 30 s to be readable.

**Published** is every fifth window, and any that is notable: an acute rhythm at `ACUTE_NOTABLE` or more, silence of
`SILENT_NOTABLE_S` or a beat just after it, a heart rate outside 45-130/min, three ventricular beats in a row within 10 s, a rhythm or a
quality that is not the last window's. A notable window and any rhythm but sinus carry the filtered signal.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgstream.commits import WARM_ANYWAY_S, WARM_UP_S
from ecgstream.messages import MISSING, Beat, Finding, Quality, Reason, Strip
from ecgstream.patterns import kinds_in, rhythm_named, told_by_waves
from ecgstream.pieces import Piece
from ecgstream.seen_beats import FS_HZ, BeatSeen, ends_in_pause, ends_in_ventricular_run, heart_rate_bpm

WINDOW_S = 30
ACUTE_S = 5
PUBLISH_EVERY = 5
SIGNAL_EVERY = 10  # windows, of a calm rhythm: a page that shows the device has a trace that is no older
MIN_READABLE_S = 20
ACUTE_NOTABLE = 0.25
SILENT_NOTABLE_S = 2.5
RATE_NOTABLE_BPM = (45.0, 130.0)
CLASSIFY_WITHIN_S = 8
NOTABLE_ACUTE = frozenset({"vt", "vf", "asystole"})
US_PER_SAMPLE = 1e6 / FS_HZ

Row = Sequence[float]


class Classes(Protocol):
    """A model's name and the names of its heads' classes."""

    @property
    def name(self) -> str: ...
    @property
    def acute_classes(self) -> tuple[str, ...]: ...
    @property
    def rhythm_classes(self) -> tuple[str, ...]: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...


class SessionWindow:
    """The last 30 s of one session and the decisions made on them."""

    __slots__ = (
        "beats",
        "cnn_start",
        "device_id",
        "epochs",
        "expected",
        "fs_hz",
        "grades",
        "latest_warm",
        "next_window",
        "pending",
        "previous",
        "readable_from",
        "reasons",
        "session",
        "slot",
        "warm_from",
    )

    def __init__(self, device_id: str, session: str, slot: int, fs_hz: float, first_sample: int) -> None:
        self.device_id = device_id
        self.session = session
        self.slot = slot
        self.fs_hz = fs_hz
        self.expected = first_sample
        self.latest_warm = first_sample + WARM_ANYWAY_S * fs_hz  # sample at which it is warm in any case
        self.warm_from = first_sample + WARM_UP_S * fs_hz if first_sample else 0.0
        self.next_window = int(first_sample / fs_hz)
        self.epochs: deque[tuple[int, int]] = (
            deque()
        )  # (first sample, UTC µs of sample 0) wherever it changed
        self.cnn_start: int | None = None  # model sample at which the scorer's run began
        self.beats: list[BeatSeen] = []
        self.pending: list[BeatSeen] = []  # beats whose class isn't known yet
        self.grades: deque[Quality] = deque(maxlen=WINDOW_S)
        self.reasons: deque[tuple[Reason, ...]] = deque(maxlen=WINDOW_S)
        self.readable_from = 0  # model sample after the last unreadable second
        self.previous: tuple[str | None, Quality] | None = None  # the last window's rhythm and quality

    def take(self, piece: Piece) -> None:
        """Note the next piece's time, and what is missing before it while the session isn't warm."""
        missing = piece.first_sample - self.expected
        if missing and self.expected < self.warm_from:
            self.warm_from = min(self.warm_from + missing, self.latest_warm)
        self.expected = piece.first_sample + piece.samples.size
        if not self.epochs or self.epochs[-1][1] != piece.epoch_us:
            self.epochs.append((piece.first_sample, piece.epoch_us))

    def second(
        self, index: int, found: NDArray[np.float64], grade: Quality, reasons: tuple[Reason, ...]
    ) -> None:
        """Take what the front end says of second `index`; seconds that it jumped over are gaps."""
        skipped = min(index - self.next_window, WINDOW_S)
        if skipped > 0:
            self.grades.extend([Quality.UNREADABLE] * skipped)
            self.reasons.extend([(Reason.GAP,)] * skipped)
        self.next_window = index + 1
        self.grades.append(grade)
        self.reasons.append(reasons)
        if grade is Quality.UNREADABLE:
            self.readable_from = (index + 1) * FS_HZ
        beats = self.beats
        for position in found.tolist():
            beat = BeatSeen(position)
            beats.append(beat)
            if len(beats) > 1 and beats[-2].position > position:
                beats.sort(key=lambda seen: seen.position)
            if self.cnn_start is not None and position >= self.cnn_start:
                self.pending.append(beat)
        start = (index + 1 - WINDOW_S) * FS_HZ
        old = 0
        while old < len(beats) and beats[old].position < start:
            old += 1
        if old:
            del beats[:old]

    def classified(self, kinds: Sequence[str | None], probabilities: Sequence[float]) -> None:
        """Take the classes of the pending beats; None where a beat's isn't known yet."""
        too_old = (self.next_window - CLASSIFY_WITHIN_S) * FS_HZ
        still = []
        for beat, kind, probability in zip(self.pending, kinds, probabilities, strict=True):
            if kind is not None:
                beat.kind, beat.probability = kind, probability
            elif beat.position >= too_old:
                still.append(beat)
        self.pending = still

    def quality(self) -> Quality:
        """How readable the last `ACUTE_S` seconds are: what most of them are."""
        grades = self.grades
        n = min(ACUTE_S, len(grades))
        full = unreadable = 0
        for k in range(1, n + 1):
            grade = grades[-k]
            full += grade is Quality.FULL
            unreadable += grade is Quality.UNREADABLE
        if 2 * unreadable > n:
            return Quality.UNREADABLE
        return Quality.FULL if 2 * full > n else Quality.RATE_ONLY

    def rhythm_readable(self) -> bool:
        """Whether enough of the window can be read to name its rhythm."""
        return len(self.grades) - self.grades.count(Quality.UNREADABLE) >= MIN_READABLE_S

    def epoch_us(self, window: int) -> int:
        """UTC time of the session's sample 0, by the chunk that holds the window's last sample."""
        end = (window + 1) * self.fs_hz
        while len(self.epochs) > 1 and self.epochs[1][0] < end:
            self.epochs.popleft()
        return self.epochs[0][1]

    def finding(
        self,
        model: Classes,
        rhythm_row: Row | None,
        acute_row: Row | None,
        silent_s: float | None,
        ring: NDArray[np.int16],
    ) -> Finding | None:
        """The window's finding if it is to be published.

        `rhythm_row`, `acute_row`: probabilities, None where a head isn't warm. `ring`: int16 (30, 128), the filtered
        signal of second `s` at row `s % 30`, µV.
        """
        window = self.next_window - 1
        rhythms, acutes = model.rhythm_classes, model.acute_classes
        quality = self.quality()
        acute_known = acute_row is not None and quality is not Quality.UNREADABLE
        rhythm_known = rhythm_row is not None and self.rhythm_readable()
        waves = (
            told_by_waves(rhythm_row, rhythms, model.thresholds)
            if rhythm_row is not None and rhythm_known
            else None
        )
        at_s = [beat.position / FS_HZ for beat in self.beats]
        kinds = kinds_in(waves, at_s, [beat.kind for beat in self.beats])
        rhythm = waves and rhythm_named(waves, at_s, kinds)
        rate = (
            heart_rate_bpm(self.beats, self.next_window * FS_HZ, self.readable_from)
            if quality is not Quality.UNREADABLE
            else None
        )
        notable = (
            self.previous != (rhythm, quality)
            or (rate is not None and not RATE_NOTABLE_BPM[0] <= rate <= RATE_NOTABLE_BPM[1])
            or (silent_s is not None and silent_s >= SILENT_NOTABLE_S)
            or (
                acute_row is not None
                and acute_known
                and any(
                    p >= ACUTE_NOTABLE and a in NOTABLE_ACUTE for p, a in zip(acute_row, acutes, strict=True)
                )
            )
            or ends_in_ventricular_run(self.beats, self.next_window * FS_HZ)
            or ends_in_pause(self.beats, self.next_window * FS_HZ, SILENT_NOTABLE_S)
        )
        self.previous = (rhythm, quality)
        epoch = self.epoch_us(window)
        warm = (window + 1) * self.fs_hz >= self.warm_from
        if not warm or not (notable or window % PUBLISH_EVERY == PUBLISH_EVERY - 1):
            return None
        start = max(0, window + 1 - WINDOW_S)
        is_turn = window % SIGNAL_EVERY == SIGNAL_EVERY - 1
        with_signal = notable or is_turn or rhythm not in {"sinus", None}
        return Finding(
            device_id=self.device_id,
            session=self.session,
            window=window,
            start_us=epoch + start * 1_000_000,
            end_us=epoch + (window + 1) * 1_000_000,
            quality=quality,
            reasons=self._reasons(quality, rhythm_known=rhythm_known, acute_known=acute_known),
            rhythm=rhythm,
            rhythm_probabilities=dict(zip(rhythms, rhythm_row, strict=True))
            if rhythm_row and rhythm_known
            else {},
            acute=acutes[_largest(acute_row)] if acute_row and acute_known else None,
            acute_probabilities=dict(zip(acutes, acute_row, strict=True))
            if acute_row and acute_known
            else {},
            heart_rate_bpm=rate,
            beats=[
                Beat(
                    epoch + int(beat.position * US_PER_SAMPLE + 0.5),
                    kind,
                    beat.probability if kind == beat.kind else None,
                )
                for beat, kind in zip(self.beats, kinds, strict=True)
            ],
            signal=self._strip(epoch, start, window, ring) if with_signal else None,
            model=model.name,
        )

    def _reasons(self, quality: Quality, *, rhythm_known: bool, acute_known: bool) -> list[Reason]:
        """Why something isn't fully known: each reason once, in the order of `Reason`."""
        look_back = 0
        if quality is not Quality.FULL:
            look_back = ACUTE_S
        readable = self.rhythm_readable()
        if not rhythm_known and not readable:
            look_back = WINDOW_S
        found = (
            {reason for reasons in list(self.reasons)[-look_back:] for reason in reasons}
            if look_back
            else set()
        )
        if (not acute_known and quality is not Quality.UNREADABLE) or (
            not rhythm_known and (readable or len(self.grades) < WINDOW_S)
        ):
            found.add(Reason.WARM_UP)
        return [reason for reason in Reason if reason in found]

    def _strip(self, epoch: int, start: int, window: int, ring: NDArray[np.int16]) -> Strip | None:
        rows = np.arange(start, window + 1) % WINDOW_S
        samples = ring[rows]
        if (samples == MISSING).all():
            return None
        return Strip(
            start_us=epoch + start * 1_000_000, fs_hz=FS_HZ, uv_per_lsb=1.0, samples=samples.tobytes()
        )


def _largest(row: Row) -> int:
    return max(range(len(row)), key=row.__getitem__)
