"""The front end alone: ECG-seconds a core-second at 250 Hz in 1-s chunks over many devices, beside two references.

    python benchmarks/front_end.py

CPU time of the process, in one run, in turns (the median of `ROUNDS`).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import neurokit2 as nk
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ecgstream.frontend import FrontEnd
from ecgstream.recordings import toy_recording

FS_HZ, DEVICES, SECONDS, ROUNDS = 250, 500, 20, 3


@dataclass(frozen=True)
class Part:
    """A second of one device."""

    first_sample: int
    samples: NDArray[np.int16]
    uv_per_lsb: float = 5.0
    lead_off: bool = False


def main() -> None:
    """Measure and print."""
    toy = toy_recording()
    line = signal.resample_poly(toy.samples.astype(np.float64), 25, 36).astype(np.int16)
    one = line[: SECONDS * FS_HZ].astype(np.float64) * 5.0
    sos = signal.butter(4, [0.6, 40], "band", fs=FS_HZ, output="sos")
    front_end = FrontEnd(DEVICES)
    at = [0]

    def ours() -> float:
        if at[0] == 0:
            for slot in range(DEVICES):
                front_end.start(slot, FS_HZ, 0)
        for second in range(at[0], at[0] + SECONDS):
            place = second % 290 * FS_HZ
            samples = line[place : place + FS_HZ]
            front_end.feed([(slot, Part(second * FS_HZ, samples)) for slot in range(DEVICES)])
        at[0] += SECONDS
        return DEVICES * SECONDS

    def neurokit() -> float:
        for _ in range(5):
            nk.ecg_peaks(nk.ecg_clean(one, sampling_rate=FS_HZ), sampling_rate=FS_HZ)
        return 5 * SECONDS

    def filter_alone() -> float:
        states = np.zeros((DEVICES, sos.shape[0], 2))
        for second in range(SECONDS):
            part = one[second * FS_HZ : (second + 1) * FS_HZ]
            for slot in range(DEVICES):
                _, states[slot] = signal.sosfilt(sos, part, zi=states[slot])
        return DEVICES * SECONDS

    ways: dict[str, Callable[[], float]] = {
        "ecgstream: resample, filter, beats, quality": ours,
        "neurokit2: ecg_clean and ecg_peaks on 20 s": neurokit,
        "scipy: sosfilt alone, 1-s chunks": filter_alone,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.process_time()
            seconds = way()
            rates[name].append(seconds / (time.process_time() - start))
    first = float(np.median(rates[next(iter(ways))]))
    print(f"{'ECG-seconds a core-second':48}{'median':>9}{'range':>18}{'ours is':>10}")
    for name, found in rates.items():
        median = float(np.median(found))
        print(f"{name:48}{median:9.0f}{f'{min(found):.0f}-{max(found):.0f}':>18}{first / median:9.1f}x")


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
