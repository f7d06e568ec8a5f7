"""The noise stress test (Moody, Muldrow & Mark, Computers in Cardiology 1984;11:381-384; EC57): beats under real noise.

Clean records of MIT-BIH get the noises of NSTDB, each alone: baseline wander (`bw`), muscle (`ma`) and electrode
motion (`em`), in every other two minutes from 5:00 on, at 24 to -6 dB. As PhysioNet's `nst` has it, the signal's
power is that of a sine as high as the QRS complex (peak to peak squared over eight), the noise's the square of what `sigamp` measures
of its record: the root mean square about the mean of a second, averaged over seconds. So what wanders slower than that counts
for nothing, and `bw` is large at any ratio. One gain serves all stretches, and noise begins and ends without a step. Beats are counted
from 5:00 on, over noisy and clean minutes, as for the records of NSTDB; *with the gate* leaves out the seconds that the front end calls
unreadable and shows their share.

Departures: the QRS complex's height is the median of all beats, not `sigamp`'s trimmed mean of 300; `em` may be the reconstruction from
record 118e_6 that comes as an npz file.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import BadReference
from ecgstream.evaluation.beats import DETECTOR, Count, Detected, count, detect, figures, share
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import LEARNING_S, Reference, read_reference
from ecgstream.evaluation.results import Cell, Evaluation, Shown, Table
from ecgstream.evaluation.sources import Source, read_source, read_stored_noise

CLEAN = ("115", "118", "119", "122")  # NSTDB's own two, and two more with little noise in their first lead
NOISES = ("bw", "ma", "em")
SNR_DB = (24, 18, 12, 6, 0, -6)
STRETCH_S = 120
QRS_S = 0.05
RMS_WINDOWS = 300  # the noise's first seconds; a twentieth of them at either end isn't averaged
COLUMNS = ("noise", "SNR dB", "Se", "+P", "gated Se", "gated +P", "shut time", "shut beats")
Floats = NDArray[np.float64]


def read_noises(folder: Path) -> dict[str, tuple[Floats, float]]:
    """NSTDB's noises in `folder`: name -> first channel (n,), rate [Hz].

    Raises `FileNotFoundError` for what is missing, `BadReference` for what is no noise.
    """
    found: dict[str, tuple[Floats, float]] = {}
    for name in NOISES:
        values, fs_hz = read_stored_noise(folder, name)
        found[name] = np.asarray(values[:, 0], np.float64), fs_hz
        if not noise_rms(*found[name]) > 0:
            raise BadReference(f"{folder}: {name}: expected a second of noise and more, found none")
    return found


def qrs_power(source: Source, reference: Reference) -> float:
    """The signal's power: a sine's with the median QRS complex's height, in squares of the samples' unit."""
    half = round(QRS_S * source.fs_hz)
    centres = np.rint(reference.beats_s * source.fs_hz).astype(np.int64)
    inside = centres[(centres >= half) & (centres < len(source.samples) - half)]
    windows = source.samples[inside[:, None] + np.arange(-half, half + 1)]
    return float(np.median(np.ptp(windows.astype(np.float64), axis=1)) ** 2 / 8)


def noise_rms(noise: Floats, noise_hz: float) -> float:
    """How strong a noise is, as `sigamp` measures it: the trimmed mean of the seconds' root mean squares about their means."""
    n = round(noise_hz)
    rms = np.sort(noise[: min(len(noise) // n, RMS_WINDOWS) * n].reshape(-1, n).std(axis=1))
    trimmed = len(rms) // 20
    return float(rms[trimmed : len(rms) - trimmed].mean()) if len(rms) else 0.0


def stressed(source: Source, power: float, noise: Floats, noise_hz: float, snr_db: float) -> Source:
    """The recording with the noise in every other two minutes from 5:00 on; the noise begins anew at its end."""
    at_s = np.arange(len(source.samples)) / source.fs_hz
    place = at_s * noise_hz % (len(noise) - 1)
    steps = np.diff(np.interp(place, np.arange(len(noise)), noise), prepend=0.0)
    begins_anew = np.diff(place, prepend=0.0) < 0
    is_noisy = (at_s >= LEARNING_S) & ((at_s - LEARNING_S) // STRETCH_S % 2 == 0)
    gain = np.sqrt(power / 10 ** (snr_db / 10)) / noise_rms(noise, noise_hz)
    x = source.samples + gain * np.cumsum(np.where(is_noisy & ~begins_anew, steps, 0.0))
    return replace(source, samples=np.clip(np.rint(x), -32768, 32767).astype(np.int16))


def _row(name: str, snr_db: int, counts: Sequence[Count]) -> tuple[Cell, ...]:
    bare, gated = figures(counts, False), figures(counts, True)
    time = share(sum(c.shut_s for c in counts), sum(c.judged_s for c in counts))
    shut = share(sum(c.shut_found + c.shut_missed for c in counts), bare[0])
    return (name, Shown(snr_db, f"{snr_db:+d}"), *bare[1:3], *gated[1:3], time, shut)


def run(data: Path, done: Callable[[Detected], None] = lambda _detected: None) -> Evaluation:
    """Stress the clean records of mitdb that are in `data` with each noise at each SNR; nothing is learnt, so all are judged."""
    noises = read_noises(data / "nstdb")
    clean = []
    for record in (r for r in CLEAN if (data / "mitdb" / f"{r}.hea").exists()):
        reference = read_reference(data, "mitdb", record)
        source = read_source(data, "mitdb", record, reference.patient, lead=0)
        clean.append((source, reference, qrs_power(source, reference)))
    if not clean:
        raise FileNotFoundError(f"{data / 'mitdb'}: none of {', '.join(CLEAN)} there")
    expect(done, len(noises) * len(SNR_DB) * len(clean))
    result = Evaluation("noise", DETECTOR, "all")
    rows, pooled = [], {snr_db: list[Count]() for snr_db in SNR_DB}
    for name, (noise, noise_hz) in noises.items():
        for snr_db in SNR_DB:
            counts = []
            for source, reference, power in clean:
                detected = detect(stressed(source, power, noise, noise_hz, snr_db))
                counts.append(count(reference, detected))
                done(detected)
            rows.append(_row(name, snr_db, counts))
            pooled[snr_db] += counts
    names = ", ".join(source.record for source, _, _ in clean)
    note = f"Records {names}; from 5:00, noisy and clean two minutes in turn."
    result.tables.append(Table("noise stress", COLUMNS, rows, note))
    everything = [_row("all", snr_db, counts) for snr_db, counts in pooled.items()]
    result.tables.append(Table("all noises together", COLUMNS, everything, note))
    return result
