"""What the monitor says of a recording, as WFDB annotations, so that `bxb`, `rxr` and `epicmp` can referee it.

Symbols and texts are those of the MIT-BIH databases and of EC57:

- beats at their R peaks: ``N``, ``V``, ``S``; ``Q`` where the network gave no class;
- ``+`` at each change of rhythm with its name in `aux_note`: ``(N``, ``(AFIB``, ``(SVTA``, ``(VT``, ``(B``, …; two
  classes have no name there: ``(OTHER`` (CinC 2017's "other rhythm") and ``(NOISE`` (VFDB's);
- ventricular fibrillation and flutter between ``[`` and ``]``;
- unreadable stretches (EC57's shutdown) from ``~`` with subtype -1 to ``~`` with subtype 0.

A second's rhythm is the one known 15 s later (the window's middle), unless the acute head, known 2 s later (its
window's middle), tells VT, VF or asystole. Times are samples of the recording's own rate.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import wfdb

from ecgstream.evaluation.labels import judged_by, kinds_of, labels_of
from ecgstream.evaluation.sources import Source
from ecgstream.evaluation.spans import spells
from ecgstream.evaluation.streaming import Stream, stream_records
from ecgstream.model_folder import Model
from ecgstream.recordings import Recording

TEXT = {
    "sinus": "(N", "af": "(AFIB", "svt": "(SVTA", "bigeminy": "(B", "trigeminy": "(T", "idioventricular": "(IVR",
    "junctional": "(NOD", "block": "(BII", "paced": "(P", "vt": "(VT", "asystole": "(ASYS", "other": "(OTHER", "noise": "(NOISE",
}  # fmt: skip
ACUTE_CENTRE_S = 2
TOLD_BY_ACUTE = frozenset({"vt", "vf", "asystole"})
SHUTDOWN, READABLE = -1, 0


class Note(NamedTuple):
    """One annotation: sample, symbol, subtype, text."""

    sample: int
    symbol: str
    subtype: int = 0
    text: str = ""


def read_whole(recording: Recording, model: Model) -> Stream:
    """The recording through front end and network, with its filtered signal. Raises ValueError where it's shorter than a second."""
    name = recording.name
    source = Source(
        "",
        name,
        name,
        float(recording.fs_hz),
        recording.uv_per_lsb,
        np.asarray(recording.samples, np.int16),
        tuple(recording.missing),
    )
    stream = stream_records(model, [source], n_slots=1, keep_signal=True)[0]
    if not stream.grades:
        raise ValueError(f"{name}: expected a second of signal or more, found {recording.duration_s:.2g} s")
    return stream


def rhythm_by_second(stream: Stream, model: Model) -> list[str | None]:
    """What each second's rhythm is called; None where nothing is known of it."""
    n = len(stream.rhythm)
    rhythms = labels_of(stream, model.rhythm_classes, model.thresholds)
    known = stream.readable & ~np.isnan(stream.acute).any(axis=1)
    best = np.nan_to_num(stream.acute).argmax(axis=1)
    acute = [model.acute_classes[k] if ok else None for k, ok in zip(best, known, strict=True)]
    out: list[str | None] = []
    for second in range(n):
        sudden = acute[min(second + ACUTE_CENTRE_S, n - 1)]
        slow = rhythms[judged_by(second, n)]
        out.append(sudden if sudden in TOLD_BY_ACUTE else slow)
    return out


def notes_of(stream: Stream, model: Model) -> list[Note]:
    """All annotations of a recording, in the order of time."""
    fs_hz, n = stream.source.fs_hz, len(stream.source.samples)

    def at(time_s: float) -> int:
        return min(max(0, round(time_s * fs_hz)), max(0, n - 1))

    notes = [
        Note(at(time_s), kind) for time_s, kind in zip(stream.beats_s, kinds_of(stream, model), strict=True)
    ]
    for start, end, readable in spells(stream.readable.tolist()):
        if not readable:
            notes += [Note(at(start), "~", SHUTDOWN), Note(at(end), "~", READABLE)]
    for start, end, rhythm in spells(rhythm_by_second(stream, model)):
        if rhythm == "vf":
            notes += [Note(at(start), "["), Note(at(end), "]")]
        elif isinstance(rhythm, str):
            notes.append(Note(at(start), "+", text=TEXT[rhythm]))
    return sorted(notes, key=lambda note: (note.sample, note.symbol != "]"))


def write(notes: Sequence[Note], record: str, fs_hz: float, folder: Path, extension: str) -> Path:
    """Write a WFDB annotation file; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrann(
        record, extension, np.array([n.sample for n in notes], np.int64), [n.symbol for n in notes],
        subtype=np.array([n.subtype for n in notes], np.int64), aux_note=[n.text for n in notes], fs=fs_hz, write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{record}.{extension}"
