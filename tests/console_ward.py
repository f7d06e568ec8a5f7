"""A made-up ward for the console's tests: findings and alerts with drawn ECG, and a console that serves them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from argon2 import PasswordHasher
from numpy.typing import NDArray

from ecgstream.console.feed import MemoryFeed
from ecgstream.console.server import build_server
from ecgstream.console.settings import ConsoleSettings
from ecgstream.messages import (
    Ack,
    Acknowledgement,
    Alert,
    AlertState,
    Beat,
    Finding,
    Priority,
    Quality,
    Reason,
    Strip,
)

FS_HZ = 128.0
SECRET = "a-secret-for-tests-a-secret-for-tests"
PASSWORDS = {"vera": "view-only-pass", "anna": "acknowledge-pass", "carl": "configure-pass"}
ROLES = {"vera": "view", "anna": "acknowledge", "carl": "configure"}
# width [s], place [s] and height [mV] of the waves of a beat
WAVES = {
    "N": [(0.025, -0.17, 0.12), (0.009, -0.028, -0.1), (0.011, 0.0, 1.1), (0.010, 0.03, -0.22), (0.05, 0.27, 0.28)],
    "S": [(0.02, -0.13, 0.08), (0.011, 0.0, 1.0), (0.010, 0.03, -0.25), (0.05, 0.25, 0.22)],
    "V": [(0.045, 0.0, 1.7), (0.05, 0.11, -0.9), (0.07, 0.3, -0.45)],
}  # fmt: skip


def drawn(beats: list[tuple[float, str]], seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """An ECG with beats at those times [s] and of those kinds: float64 (n,), mV."""
    at = np.arange(round(seconds * FS_HZ)) / FS_HZ
    signal = 0.012 * np.random.default_rng(seed).standard_normal(at.size)
    for when, kind in beats:
        for width, place, height in WAVES[kind]:
            signal += height * np.exp(-0.5 * ((at - when - place) / width) ** 2)
    return signal


def rhythm_beats(rhythm: str, seconds: float, rate: float, seed: int = 0) -> list[tuple[float, str]]:
    """Beat times [s] and kinds of a rhythm."""
    noise = np.random.default_rng(seed)
    beats, when, n = [], 0.4, 0
    while when < seconds - 0.3:
        kind = "V" if (rhythm == "vt" and 10 < when < 19) or (rhythm == "bigeminy" and n % 2) else "N"
        beats.append((when, kind))
        step = 60 / (175 if kind == "V" and rhythm == "vt" else rate)
        if rhythm == "af":
            step *= noise.uniform(0.6, 1.45)
        elif rhythm == "bigeminy":
            step *= 1.35 if kind == "V" else 0.7
        when, n = when + step * noise.uniform(0.98, 1.02), n + 1
    return beats


def strip_of(rhythm: str, start_us: int, rate: float, seed: int = 0) -> tuple[Strip, list[Beat]]:
    """30 s of a rhythm from `start_us` on, and its beats."""
    beats = rhythm_beats(rhythm, 30.0, rate, seed)
    samples = np.round(drawn(beats, 30.0, seed) * 1000 / 5).clip(-32768, 32767).astype("<i2")
    strip = Strip(start_us=start_us, fs_hz=FS_HZ, uv_per_lsb=5.0, samples=samples.tobytes())
    return strip, [Beat(start_us + round(t * 1e6), kind, 0.97) for t, kind in beats]


def finding(
    device_id: str,
    end_us: int,
    *,
    rhythm: str | None = "sinus",
    rate: float | None = 70.0,
    quality: Quality = Quality.FULL,
    reasons: list[Reason] | None = None,
    signal: bool = False,
    seed: int = 0,
    session: str = "s1",
    window: int | None = None,
) -> Finding:
    """What a window of 30 s ending at `end_us` shows; without a `window` it is numbered by that time."""
    start_us = end_us - 30_000_000
    strip, beats = strip_of(rhythm or "sinus", start_us, rate or 70.0, seed) if signal else (None, [])
    if not signal and rate:
        beats = [Beat(start_us + round(i * 60e6 / rate), "V" if rhythm == "bigeminy" and i % 2 else "N", 0.9)
                 for i in range(int(rate / 2))]  # fmt: skip
    return Finding(
        device_id=device_id, session=session, window=end_us // 1_000_000 % 10**6 if window is None else window,
        start_us=start_us, end_us=end_us,
        quality=quality, reasons=reasons or [], rhythm=rhythm if rhythm != "vt" else "other",
        rhythm_probabilities={rhythm: 0.93, "other": 0.05, "noise": 0.02} if rhythm else {},
        acute="vt" if rhythm == "vt" else "organised", heart_rate_bpm=None if rate is None else float(rate), beats=beats, signal=strip,
        acute_probabilities={"organised": 0.04, "vt": 0.95} if rhythm == "vt" else {"organised": 0.98},
        model="ecgstream-1@1a2b3c4d",
    )  # fmt: skip


def alert(alert_id: str = "a1", *, device_id: str = "bed-07", kind: str = "vt", priority: str = "high", revision: int = 0,
          onset_us: int | None = None, category: str = "physiological", state: str = "raised", rhythm: str | None = "vt",
          **more: Any) -> Alert:  # fmt: skip
    """An alert of a few seconds ago."""
    onset_us = time.time_ns() // 1000 - 12_000_000 if onset_us is None else onset_us
    strip, beats = strip_of(rhythm, onset_us - 10_000_000, 76.0, seed=3) if rhythm else (None, [])
    fields: dict[str, Any] = {
        "heart_rate_bpm": 174.0 if kind == "vt" else 88.0, "strip": strip, "beats": beats, "model": "ecgstream-1@1a2b3c4d",
        "configuration": "default-1", "evidence": {"beats": 12, "longest_run": 12, "probability": 0.97},
    }  # fmt: skip
    return Alert(
        alert_id=alert_id, revision=revision, state=AlertState(state), device_id=device_id, session="s1", kind=kind,
        category=category, priority=Priority(priority), first_window=onset_us // 1_000_000 % 10**6, onset_us=onset_us,
        detected_us=onset_us + 6_000_000, **(fields | more),
    )  # fmt: skip


def acknowledged(known: Alert, ack: Ack) -> Alert:
    """The revision with which alerting confirms an answer."""
    answer = Acknowledgement(by=ack.by, at_us=ack.at_us, note=ack.note)
    return msgspec.structs.replace(
        known, revision=known.revision + 1, state=AlertState.ACKNOWLEDGED, acknowledgement=answer
    )


def users_file(folder: Path) -> Path:
    """A users file with vera (view), anna (acknowledge) and carl (configure)."""
    path = folder / "users"
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    lines = [f"{name}:{ROLES[name]}:{cheap.hash(password)}\n" for name, password in PASSWORDS.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


class Console:
    """A console that runs in a thread, with a feed that the test holds."""

    def __init__(self, settings: ConsoleSettings) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.settings = settings.model_copy(update={"port": port})
        self.feed = MemoryFeed()
        self.url = f"http://127.0.0.1:{port}"
        self._start()

    def _start(self) -> None:
        self._server, self.failures = build_server(self.settings, self.feed)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 15
        while not self._server.started or self.feed.desk is None:
            assert time.monotonic() < deadline, "the console did not start"
            time.sleep(0.02)
        self._loop = self._server.servers[0].get_loop()

    def do(self, act: Callable[[], Any]) -> Any:
        """Run `act` on the console's own loop and wait for it."""
        done = threading.Event()
        result: list[Any] = []

        def run() -> None:
            result.append(act())
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(30)
        return result[0]

    def put(self, *records: Alert | Finding) -> None:
        """Let records arrive now."""
        now = time.time_ns() // 1000
        desk = self.feed.desk
        assert desk is not None
        for record in records:
            if isinstance(record, Alert):
                self.do(lambda record=record: desk.take_alert(record, now))  # type: ignore[misc]
            else:
                self.do(lambda record=record: desk.take_finding(record, now))  # type: ignore[misc]

    def stop(self) -> None:
        """Stop the server, as a crash of its machine would."""
        self._server.should_exit = True
        self._thread.join(15)
        assert not self._thread.is_alive()

    def start_again(self) -> None:
        """Serve again on the same port, as a restart would."""
        self.feed.desk = None
        self._start()


@contextlib.contextmanager
def running(settings: ConsoleSettings) -> Iterator[Console]:
    """A console for the time of the block."""
    console = Console(settings)
    try:
        yield console
    finally:
        console.stop()
