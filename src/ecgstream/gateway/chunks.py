"""From samples as they come to valid chunks: pure, no I/O, no clock."""

import operator
import secrets
from collections.abc import Callable, Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ecgstream.codec import JSON, MSGPACK, decode, encode
from ecgstream.messages import MAX_CHUNK_S, MAX_SAMPLE, Chunk

Publish = Callable[[bytes, bytes], None]
LATEST_US = 2**53


class Stream:
    """One lead of one device: takes samples of any number, publishes chunks of `chunk_s` seconds.

    The session's sample counter is kept here: samples are numbered in the order in which they are added, `skip` moves it
    over samples that the device lost, `restart` begins a new session. Times follow from the time of sample 0
    (`start_us`) and the rate; `at_us` sets them anew where the device's clock says otherwise. Whatever no chunk could carry
    is refused with a ValueError that names the field and the value, and changes nothing. Where `publish` raises, what it
    refused is held (see `add`). Not safe to be used by two threads at once.

    >>> sent = []
    >>> stream = Stream(lambda key, value: sent.append(value), "watch-17", fs_hz=250.0, uv_per_lsb=1.0, session="s1", start_us=10**15)
    >>> stream.add([0, 12, 31] * 100)  # 1.2 s
    >>> stream.flush()
    >>> [decode(Chunk, value).n_samples for value in sent]
    [250, 50]
    """

    def __init__(
        self,
        publish: Publish,
        device_id: str,
        *,
        fs_hz: float,
        uv_per_lsb: float,
        lead: str = "I",
        session: str | None = None,
        start_us: int | None = None,
        chunk_s: float = 1.0,
        content_type: str = MSGPACK,
        now_us: Callable[[], int] | None = None,
    ) -> None:
        if not 0 < chunk_s <= MAX_CHUNK_S:
            raise ValueError(f"chunk_s: expected up to {MAX_CHUNK_S} s, got {chunk_s}")
        self.device_id, self.fs_hz, self.uv_per_lsb, self.lead = (
            device_id,
            float(fs_hz),
            float(uv_per_lsb),
            lead,
        )
        self.session = session or new_session()
        self._publish, self._content_type, self._now_us = publish, content_type, now_us
        start_us = self._start(start_us)
        self._first = 0
        self._held: list[NDArray[np.int16]] = []
        self._n_held = 0
        self._lead_off = False
        self._check(self.session, 0, start_us)
        self._step = max(1, round(chunk_s * self.fs_hz))
        self._anchor: tuple[int, int] | None = None if start_us is None else (0, start_us)

    @property
    def next_sample(self) -> int:
        """Index of the next sample to be added."""
        return self._first + self._n_held

    def add(self, samples: Sequence[int] | NDArray[np.integer], at_us: int | None = None) -> None:
        """Add samples: integers (n_samples,) in units of `uv_per_lsb`, within int16. `at_us`: time of the first one.

        Raises ValueError where they are no integers or don't fit, or the time can't be; nothing of them is taken then.
        Where publishing raises, they are taken all the same: the newest minute is held, and goes with the next ones.
        """
        array = _int16(samples)
        if self.next_sample + len(array) > MAX_SAMPLE:
            raise ValueError(f"samples: {len(array)} from {self.next_sample} on, a session has {MAX_SAMPLE}")
        begin_us = self._new_time_us(len(array), at_us)
        try:
            if begin_us is not None and self._n_held:
                self.flush()
        finally:
            if begin_us is not None:
                self._anchor = (self.next_sample, begin_us)
            self._take(array)

    def skip(self, n_samples: int) -> None:
        """Say that the device lost so many samples here: the stream has a gap."""
        n_samples = _integer("n_samples", n_samples)
        if n_samples < 0:
            raise ValueError(f"n_samples: {n_samples}, expected 0 or more")
        place = self.next_sample + n_samples
        self._check(self.session, place, None if self._anchor is None else self._time_us(place))
        self.flush()
        self._first += n_samples

    def set_lead_off(self, is_off: bool) -> None:
        """Say whether the electrode is off, from the next sample on."""
        is_off = bool(is_off)
        if is_off != self._lead_off:
            self.flush()
            self._lead_off = is_off

    def restart(self, session: str | None = None, start_us: int | None = None) -> None:
        """Begin a new session: the device has restarted its counter, or changed its rate or gain."""
        session = session or new_session()
        start_us = self._start(start_us)
        self._check(session, 0, start_us)
        self.flush()
        self.session, self._first = session, 0
        self._anchor = None if start_us is None else (0, start_us)

    def flush(self) -> None:
        """Publish what is held, as a chunk shorter than `chunk_s`."""
        if self._n_held:
            self._send(self._n_held)

    def _take(self, array: NDArray[np.int16]) -> None:
        """Hold samples, and publish what makes whole chunks."""
        self._held.append(array)
        self._n_held += len(array)
        try:
            while self._n_held >= self._step:
                self._send(self._step)
        except BaseException:
            self._forget(self._n_held - round(MAX_CHUNK_S * self.fs_hz))
            raise

    def _send(self, n_samples: int) -> None:
        samples = self._joined()[:n_samples]
        chunk = self._chunk(self.session, self._first, self._time_us(self._first), samples)
        self._publish(self.device_id.encode(), encode(chunk, self._content_type))
        self._forget(n_samples)

    def _forget(self, n_samples: int) -> None:
        """Move the counter over samples that are held; does nothing where there are fewer than one."""
        if n_samples > 0:
            self._held = [self._joined()[n_samples:]]
            self._n_held -= n_samples
            self._first += n_samples

    def _joined(self) -> NDArray[np.int16]:
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held)]
        return self._held[0]

    def _start(self, start_us: int | None) -> int | None:
        """The time of a session's sample 0, where it is told; raises ValueError where nothing will tell it."""
        if start_us is not None:
            return _integer("start_us", start_us)
        if self._now_us is None:
            raise ValueError("start_us: None, and no now_us to ask")
        return None

    def _new_time_us(self, n_samples: int, at_us: int | None) -> int | None:
        """The time of the next sample where it doesn't follow from those before."""
        if at_us is not None:
            time_us = _integer("at_us", at_us)
        elif self._anchor is None:
            assert self._now_us is not None
            time_us = _integer("now_us", self._now_us()) - round(n_samples / self.fs_hz * 1e6)
        else:
            return None
        if self._anchor is not None and time_us == self._time_us(self.next_sample):
            return None
        self._check(self.session, self.next_sample, time_us)
        return time_us

    def _check(self, session: str, first_sample: int, start_us: int | None) -> None:
        """Refuse what no chunk could carry, with its field and value; a time that isn't known yet could be any."""
        chunk = self._chunk(
            session, first_sample, LATEST_US if start_us is None else start_us, np.zeros(0, np.int16)
        )
        decode(Chunk, encode(chunk, self._content_type), self._content_type)

    def _chunk(self, session: str, first_sample: int, start_us: int, samples: NDArray[np.int16]) -> Chunk:
        return Chunk(
            device_id=self.device_id,
            session=session,
            first_sample=first_sample,
            start_us=start_us,
            fs_hz=self.fs_hz,
            uv_per_lsb=self.uv_per_lsb,
            lead=self.lead,
            lead_off=self._lead_off,
            samples=samples.tolist() if self._content_type == JSON else samples.tobytes(),
        )

    def _time_us(self, sample: int) -> int:
        assert self._anchor is not None
        anchor_sample, anchor_us = self._anchor
        return anchor_us + round((sample - anchor_sample) * 1e6 / self.fs_hz)


def new_session() -> str:
    """A session id that no other session of the device has."""
    return secrets.token_hex(8)


def _integer(name: str, value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name}: expected an integer, got {value!r}") from None


def _int16(samples: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int16]:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ValueError(f"samples: expected one dimension, got shape {array.shape}")
    if len(array) and array.dtype.kind not in "iu":
        raise ValueError(f"samples: expected integers in units of uv_per_lsb, got {array.dtype}")
    if len(array) and (array.min() < -32768 or array.max() > 32767):
        raise ValueError(f"samples: expected int16, got {array.min()} to {array.max()}")
    return array.astype("<i2")  # a copy: the caller may use its buffer again
