"""From samples as they come to valid chunks: pure, no I/O, no clock."""

import secrets
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgstream.codec import JSON, MSGPACK, decode, encode
from ecgstream.messages import MAX_CHUNK_S, Chunk

Publish = Callable[[bytes, bytes], None]


class Stream:
    """One lead of one device: takes samples of any number, publishes chunks of `chunk_s` seconds.

    The session's sample counter is kept here: samples are numbered in the order in which they are added, `skip` moves it
    over samples that the device lost, `restart` begins a new session. Times follow from the time of sample 0
    (`start_us`) and the rate; `at_us` sets them anew where the device's clock says otherwise. Not safe to be
    used by two threads at once.

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
        if start_us is None and now_us is None:
            raise ValueError("start_us: None, and no now_us to ask")
        self.device_id, self.fs_hz, self.uv_per_lsb, self.lead = (
            device_id,
            float(fs_hz),
            float(uv_per_lsb),
            lead,
        )
        self.session = session or new_session()
        self._publish, self._content_type, self._now_us = publish, content_type, now_us
        self._step = max(1, round(chunk_s * fs_hz))
        self._anchor: tuple[int, int] | None = None if start_us is None else (0, start_us)
        self._first = 0
        self._held: list[NDArray[np.int16]] = []
        self._n_held = 0
        self._lead_off = False
        decode(Chunk, encode(self._chunk(np.zeros(0, "<i2"), 10**15)))  # refuses a wrong id, rate, lead now

    @property
    def next_sample(self) -> int:
        """Index of the next sample to be added."""
        return self._first + self._n_held

    def add(self, samples: Sequence[int] | NDArray[np.integer], at_us: int | None = None) -> None:
        """Add samples: integers (n_samples,) in units of `uv_per_lsb`, within int16. `at_us`: time of the first one.

        Raises ValueError where they are no integers or don't fit; nothing of them is taken then.
        """
        array = _int16(samples)
        if at_us is not None:
            if self._anchor is not None and at_us != self._time_us(self.next_sample):
                self.flush()
            self._anchor = (self.next_sample, at_us)
        elif self._anchor is None:
            assert self._now_us is not None
            self._anchor = (self.next_sample, self._now_us() - round(len(array) / self.fs_hz * 1e6))
        self._held.append(array)
        self._n_held += len(array)
        while self._n_held >= self._step:
            self._send(self._step)

    def skip(self, n_samples: int) -> None:
        """Say that the device lost so many samples here: the stream has a gap."""
        if n_samples < 0:
            raise ValueError(f"n_samples: {n_samples}, expected 0 or more")
        self.flush()
        self._first += n_samples

    def set_lead_off(self, is_off: bool) -> None:
        """Say whether the electrode is off, from the next sample on."""
        if is_off != self._lead_off:
            self.flush()
            self._lead_off = is_off

    def restart(self, session: str | None = None, start_us: int | None = None) -> None:
        """Begin a new session: the device has restarted its counter, or changed its rate or gain."""
        self.flush()
        self.session = session or new_session()
        self._first = 0
        self._anchor = None if start_us is None else (0, start_us)
        if self._anchor is None and self._now_us is None:
            raise ValueError("start_us: None, and no now_us to ask")

    def flush(self) -> None:
        """Publish what is held, as a chunk shorter than `chunk_s`."""
        if self._n_held:
            self._send(self._n_held)

    def _send(self, n_samples: int) -> None:
        held = np.concatenate(self._held)
        chunk = self._chunk(held[:n_samples], self._time_us(self._first))
        self._publish(self.device_id.encode(), encode(chunk, self._content_type))
        self._held = [held[n_samples:]]
        self._n_held -= n_samples
        self._first += n_samples

    def _chunk(self, samples: NDArray[np.int16], start_us: int) -> Chunk:
        return Chunk(
            device_id=self.device_id,
            session=self.session,
            first_sample=self._first,
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


def _int16(samples: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int16]:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ValueError(f"samples: expected one dimension, got shape {array.shape}")
    if len(array) and array.dtype.kind not in "iu":
        raise ValueError(f"samples: expected integers in units of uv_per_lsb, got {array.dtype}")
    if len(array) and (array.min() < -32768 or array.max() > 32767):
        raise ValueError(f"samples: expected int16, got {array.min()} to {array.max()}")
    return array.astype("<i2")  # a copy: the caller may use its buffer again
