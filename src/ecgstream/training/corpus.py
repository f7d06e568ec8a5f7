"""PhysioNet-layout folders, read once through the serving front end and packed at the model's rate.

A packed database is one npz file: all signals end to end (int16, 1 µV a unit, filtered, 128 Hz), and for each record its
span, its beats (R peak position in samples at 128 Hz, AAMI class), its rhythm intervals and the R peaks that the detector finds.
"""

import hashlib
import inspect
import sys
import uuid
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ecgstream import filtering, resampling
from ecgstream.beats import detector, envelope
from ecgstream.evaluation import BadReference
from ecgstream.evaluation.sources import (
    SourcePiece,
    held,
    read_labels,
    read_stored_noise,
    told_of,
)
from ecgstream.frontend import FrontEnd
from ecgstream.model_folder import CINC_CLASSES
from ecgstream.recordings.wfdb_format import read_marks, read_signals
from ecgstream.training import splits

FS_HZ = resampling.MODEL_FS_HZ
PIECE_S = 30
LABELS, SIGNALS = "REFERENCE-v3.csv", "training2017"  # of CinC 2017
# What numpy raises on a packed file that was cut or isn't one.
UNREADABLE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)

# AAMI EC57 classes of MIT-BIH's beat codes; fusion (F) and unclassifiable or paced (Q) beats are not learnt
AAMI = (
    dict.fromkeys("NLRejn", "N")
    | dict.fromkeys("AaJS", "S")
    | dict.fromkeys("VE", "V")
    | {"F": "F"}
    | dict.fromkeys("/fQ", "Q")
)


@dataclass(frozen=True)
class Packed:
    """One record of one lead at the model's rate.

    signal: int16 (n,), µV, filtered. beats: float64 (m,), R peak positions in samples. kinds: (m,) of N, S, V, F, Q.
    rhythms: (start, end, label as the database writes it) in samples. peaks: float64 (k,), R peaks as the detector finds them, in
    samples. label: the record's CinC label, or empty.
    """

    database: str
    record: str
    lead: int
    signal: NDArray[np.int16]
    beats: NDArray[np.float64]
    kinds: NDArray[np.str_]
    rhythms: list[tuple[int, int, str]]
    peaks: NDArray[np.float64]
    label: str = ""


def through_front_end(signal_uv: NDArray[np.floating[Any]], fs_hz: float) -> NDArray[np.float32]:
    """Resample and filter one whole recording with the kernels that serve: float32 (n,), µV, 128 Hz, from time 0."""
    resampled = resampling.whole(signal_uv, float(fs_hz))
    filtered = np.empty(resampled.size + filtering.TAPS, np.float32)
    memory = np.zeros(1, filtering.STATE)
    filtering.start(memory[0], 0)
    m = filtering.step(memory[0], filtering.band_pass(), resampled, True, filtered)
    return filtered[:m]


def found_peaks(signal_uv: NDArray[np.floating[Any]], fs_hz: float) -> NDArray[np.float64]:
    """R peaks as the detector that serves finds them: float64 (n,), samples at 128 Hz."""
    front_end = FrontEnd(1)
    front_end.start(0, fs_hz, 0)
    samples, step = _int16(signal_uv), round(PIECE_S * fs_hz)
    blocks = []
    for first in range(0, samples.size, step):
        blocks += front_end.feed([(0, SourcePiece(first, 1.0, False, samples[first : first + step]))])
    blocks += front_end.finish(0)
    return np.sort(np.concatenate([np.empty(0), *(block.beats for block in blocks)]))


def _rhythms(annotation: Any, scale: float, n: int) -> list[tuple[int, int, str]]:
    changes = [
        (round(sample * scale), note.strip("\x00").strip())
        for sample, symbol, note in zip(
            annotation.sample, annotation.symbol, annotation.aux_note, strict=True
        )
        if symbol == "+" and note.strip("\x00").startswith("(")
    ]
    ends = [*(start for start, _ in changes[1:]), n][: len(changes)]
    return [(start, end, note[1:]) for (start, note), end in zip(changes, ends, strict=True) if end > start]


def read_annotated(folder: Path, database: str) -> list[Packed]:
    """Read every record of an annotated database, each lead as a `Packed`. The R peaks are as annotated."""
    packed = []
    for header in tqdm(sorted(folder.glob("*.hea")), desc=database, unit="record"):
        record = header.stem
        with told_of(database, record):
            data, annotation = read_signals(folder, record), read_marks(folder, record)
        scale = FS_HZ / data.fs
        is_beat = [symbol in AAMI for symbol in annotation.symbol]
        beats = np.asarray(annotation.sample, dtype=np.float64)[is_beat] * scale
        kinds = np.array([AAMI[s] for s in annotation.symbol if s in AAMI], dtype="U1")
        # MIT-BIH's 114 has MLII as its second signal; the lead of interest is put first
        order = sorted(range(data.n_sig), key=lambda i: data.sig_name[i] != "MLII")
        for lead, channel in enumerate(order):
            raw = held(data.p_signal[:, channel]) * 1000.0
            signal = through_front_end(raw, data.fs)
            rhythms = _rhythms(annotation, scale, signal.size)
            peaks = found_peaks(raw, data.fs)
            packed.append(Packed(database, record, lead, _int16(signal), beats, kinds, rhythms, peaks))
    return packed


def read_cinc2017(folder: Path) -> list[Packed]:
    """Read the CinC 2017 training set with the labels of REFERENCE-v3.csv."""
    labels, root = read_labels(folder / LABELS), folder / SIGNALS
    packed = []
    for record in tqdm(sorted(labels), desc="cinc2017", unit="record"):
        if not (root / f"{record}.hea").exists():
            continue
        with told_of(splits.CINC2017, record):
            data = read_signals(root, record)
        raw = held(data.p_signal[:, 0]) * 1000.0
        signal = _int16(through_front_end(raw, data.fs))
        peaks = found_peaks(raw, data.fs)
        packed.append(
            Packed("cinc2017", record, 0, signal, np.empty(0), np.empty(0, "U1"), [], peaks, labels[record])
        )
    return packed


def read_noise(folder: Path) -> dict[str, NDArray[np.float32]]:
    """NSTDB's noises through the front end: name -> float32 (n,), µV, 128 Hz (the filters are linear, so noise adds)."""
    noises = {}
    for name in ("bw", "ma", "em"):
        stored, fs_hz = read_stored_noise(folder, name)
        unit_uv = 1000.0 if np.nanmax(np.abs(stored)) < 100 else 1.0  # mV, or µV
        for channel in range(stored.shape[1]):
            noises[f"{name}{channel}"] = through_front_end(held(stored[:, channel]) * unit_uv, fs_hz)
    return noises


def _int16(signal: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def load(data: Path, database: str, cache: Path) -> list[Packed]:
    """The packed records of a database: from `cache` when it holds this version of them, else read and kept there.

    Raises FileNotFoundError or `BadReference` where they can't be read or aren't enough to train on.
    """
    folder = data / database
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected PhysioNet's {database} there")
    path = cache / f"{database}-{_key(folder, database)}.npz"
    records = _kept(path)
    if records is None:
        read = read_cinc2017(folder) if database == splits.CINC2017 else read_annotated(folder, database)
        if not read:
            raise FileNotFoundError(f"{folder}: no records (*.hea) there; expected PhysioNet's {database}")
        _write(path, read)
        records = _read(path)
    _check_enough(folder, database, records)
    return records


def _key(folder: Path, database: str) -> str:
    """A name for what is read of a database, and how: another one once a file of it has changed."""
    root = folder / SIGNALS if database == splits.CINC2017 else folder
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected PhysioNet's {database} there")
    files = [p for p in root.iterdir() if p.suffix in (".hea", ".dat", ".mat", ".atr") and p.is_file()]
    if (folder / LABELS).is_file():
        files.append(folder / LABELS)
    found = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)
    this = sys.modules[__name__]
    code = [inspect.getsource(module) for module in (this, resampling, filtering, detector, envelope)]
    return hashlib.sha256(repr((found, code)).encode()).hexdigest()[:12]


def _check_enough(folder: Path, database: str, records: list[Packed]) -> None:
    """Each split that training needs must have records, and CinC 2017's train split records of each label."""
    if database == splits.VFDB:
        return  # all of it is learnt, in folds
    labels: dict[str, set[str]] = {}
    for record in records:
        labels.setdefault(splits.split_of(database, record.record), set()).add(record.label)
    needed = ("train", "tune", "dev") if database == splits.CINC2017 else ("train",)
    _none_missing(f"{folder}: training needs records of the splits", needed, labels)
    if database == splits.CINC2017:
        _none_missing(
            f"{folder}: training needs records of its train split labelled", CINC_CLASSES, labels["train"]
        )


def _none_missing(what: str, needed: Iterable[str], found: Iterable[str]) -> None:
    missing = [name for name in needed if name not in found]
    if missing:
        raise BadReference(f"{what} {', '.join(needed)}; found none for {', '.join(missing)}")


def _kept(path: Path) -> list[Packed] | None:
    """The records packed in a file; None where there is none or it can't be read."""
    try:
        return _read(path)
    except UNREADABLE:
        return None


def _write(path: Path, records: list[Packed]) -> None:
    """Pack the records into `path`, which is never there in part."""
    index = [
        (r.database, r.record, r.lead, r.label, r.signal.size, r.beats.size, len(r.rhythms), r.peaks.size)
        for r in records
    ]
    intervals = [interval for r in records for interval in r.rhythms]
    arrays: dict[str, Any] = {
        "index": np.array(index, dtype=np.str_),
        "signal": np.concatenate([r.signal for r in records]),
        "beats": np.concatenate([r.beats for r in records]),
        "kinds": np.concatenate([r.kinds for r in records]),
        "peaks": np.concatenate([r.peaks for r in records]),
        "spans": np.array([i[:2] for i in intervals], dtype=np.int64).reshape(-1, 2),
        "notes": np.array([i[2] for i in intervals], dtype=np.str_),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(path: Path) -> list[Packed]:
    with path.open("rb") as file, np.load(file) as z:
        index, signal, beats, kinds, spans, notes, peaks = (
            z[k] for k in ("index", "signal", "beats", "kinds", "spans", "notes", "peaks")
        )
    records, s, b, i, p = [], 0, 0, 0, 0
    for database, record, lead, label, *sizes in index:
        n, m, k, q = (int(size) for size in sizes)
        rhythms = [
            (int(a), int(e), str(note))
            for (a, e), note in zip(spans[i : i + k], notes[i : i + k], strict=True)
        ]
        records.append(
            Packed(
                str(database),
                str(record),
                int(lead),
                signal[s : s + n],
                beats[b : b + m],
                kinds[b : b + m],
                rhythms,
                peaks[p : p + q],
                str(label),
            )
        )
        s, b, i, p = s + n, b + m, i + k, p + q
    return records
