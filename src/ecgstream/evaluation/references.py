"""What the experts said: annotations read as intervals, beat classes and record labels.

Vocabulary. The rhythm a database writes after ``(`` becomes one of the model's rhythm classes (`RHYTHM_OF`)
and one of its acute classes (`ACUTE_OF`). Atrial flutter counts as ``af``. Rhythms the model has no class
for become ``other``: pre-excitation, atrial bigeminy, high-grade ventricular ectopy. Ventricular
fibrillation and flutter and asystole have no long-horizon class and are left out of the rhythm tables; the
acute tables judge them. Blocks of all degrees, ``(BI``, ``(BII``, ``(B3``, and ``(SAB`` are ``block``. A rhythm lasts until
the next, or until a ``)`` (Icentia11k), after which none is known.

Beats follow AAMI EC57: N (normal, bundle branch block, escape), S (supraventricular ectopic), V
(ventricular ectopic and escape), F (fusion), Q (paced, fusion with paced, unclassifiable); the codes stand
in `KIND_OF`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation import BadReference, sources
from ecgstream.recordings.wfdb_format import check_signals, read_header, read_marks
from ecgstream.training.corpus import AAMI
from ecgstream.training.splits import LEARNT, patient_of, split_of

RHYTHM_OF: dict[str, str | None] = {
    "N": "sinus", "NSR": "sinus", "SBR": "sinus",
    "AFIB": "af", "AF": "af", "AFL": "af",
    "SVTA": "svt",
    "B": "bigeminy", "T": "trigeminy",
    "IVR": "idioventricular", "VER": "idioventricular",
    "NOD": "junctional", "J": "junctional",
    "BI": "block", "BII": "block", "B3": "block", "SAB": "block",
    "P": "paced", "PM": "paced",
    "VT": "vt",
    "PREX": "other", "AB": "other", "HGEA": "other",
    "NOISE": "noise",
    "VF": None, "VFIB": None, "VFL": None, "ASYS": None,
}  # fmt: skip
ACUTE_OF: dict[str, str] = {
    label: "noise" if label == "NOISE" else "vt" if label == "VT" else "organised" for label in RHYTHM_OF
} | {"VF": "vf", "VFIB": "vf", "VFL": "vf", "ASYS": "asystole"}
# Beside the codes that are learnt: bundle branch block of either side, R on T, and a beat that wasn't classified. One beat of
# the databases that are learnt from has one of these, and was left out.
KIND_OF = AAMI | {"B": "N", "r": "V", "?": "Q"}
LEARNING_S = 300.0  # EC57: the first five minutes are for learning and aren't scored


@dataclass(frozen=True)
class Interval:
    """A stretch [start_s, end_s) with one label."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True)
class Reference:
    """The annotations of one record.

    beats_s: float64 (m,), R peak times; kinds: (m,) of N, S, V, F, Q. rhythms: as the database writes them,
    without the bracket. fibrillation: spans between ``[`` and ``]``, in which no beats are annotated.
    """

    database: str
    record: str
    duration_s: float
    beats_s: NDArray[np.float64]
    kinds: NDArray[np.str_]
    rhythms: list[Interval]
    fibrillation: list[Interval] = field(default_factory=list)

    @property
    def patient(self) -> str:
        """Who the record is of; MIT-BIH's 201 and 202 are one man."""
        return f"{self.database}/{patient_of(self.database, self.record)}"


def records_of(data: Path, database: str, split: str = "dev") -> list[str]:
    """The annotated records of `data/database` that are in `split` (``train``, ``tune``, ``dev`` or
    ``all``), sorted; where there are none in the folder itself, those of the folders below it, as ``p00/p00000/p00000_s00``.
    """
    folder = data / database
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected PhysioNet's {database} there")
    files = list(folder.glob("*.atr"))
    if not files and database not in LEARNT:  # whose records are known by their names alone
        files = list(folder.rglob("*.atr"))
    names = sorted(file.relative_to(folder).with_suffix("").as_posix() for file in files)
    if not names:
        raise FileNotFoundError(f"{folder}: no annotations (*.atr) there; expected PhysioNet's {database}")
    with_signal = [name for name in names if _has_signal(folder, name)]  # AFDB has two without
    return [name for name in with_signal if split in ("all", split_of(database, name))]


def _has_signal(folder: Path, record: str) -> bool:
    with sources.told_of(folder.name, record):
        return bool(read_header(folder / f"{record}.hea").n_sig)


def read_reference(
    data: Path, database: str, record: str, unjudged: Collection[str] | None = ()
) -> Reference:
    """Read one record's ``.atr``; of the rhythms in `unjudged` (None: of any outside the vocabulary) nothing is known.

    Raises `BadReference` naming a rhythm that is neither in the vocabulary nor among these, or a file that can't be read.
    """
    with sources.told_of(database, record):
        header = check_signals(data / database, record)
        marks = read_marks(data / database, record)
    if header.sig_len is None:
        raise BadReference(f"{database}/{record}: expected the number of samples in its header, found none")
    duration_s = header.sig_len / header.fs
    times_s = np.asarray(marks.sample, np.float64) / header.fs
    changes: list[tuple[float, str | None]] = []
    onsets: list[tuple[float, str]] = []
    for at_s, symbol, note in zip(times_s, marks.symbol, marks.aux_note, strict=True):
        name = note.strip("\x00").strip()
        if symbol == "+" and name == ")":
            changes.append((float(at_s), None))
        elif symbol == "+" and name.startswith("("):
            label = name[1:]
            is_judged = label in RHYTHM_OF if unjudged is None else label not in unjudged
            if is_judged and label not in RHYTHM_OF:
                raise BadReference(
                    f"{database}/{record} at {at_s:.1f} s: rhythm {name!r}, expected one of {', '.join(RHYTHM_OF)}"
                )
            changes.append((float(at_s), label if is_judged else None))
        elif symbol in "[]":
            onsets.append((float(at_s), symbol))
    is_beat = np.array([symbol in KIND_OF for symbol in marks.symbol], dtype=bool)
    kinds = np.array([KIND_OF[symbol] for symbol in marks.symbol if symbol in KIND_OF], dtype="U1")
    fibrillation = [i for i in intervals(onsets, duration_s) if i.label == "["]
    return Reference(
        database, record, duration_s, times_s[is_beat], kinds, intervals(changes, duration_s), fibrillation
    )


def intervals(changes: Sequence[tuple[float, str | None]], end_s: float) -> list[Interval]:
    """Changes (time, label) as intervals, each lasting until the next change, none from a change to None on; equal neighbours
    are joined.
    """
    joined: list[Interval] = []
    ends = [*(at for at, _ in changes[1:]), end_s]
    for (start_s, label), stop_s in zip(changes, ends[: len(changes)], strict=True):
        if label is None or stop_s <= start_s:
            continue
        if joined and joined[-1].label == label and joined[-1].end_s == start_s:
            joined[-1] = Interval(joined[-1].start_s, stop_s, label)
        else:
            joined.append(Interval(start_s, stop_s, label))
    return joined


def renamed(reference: list[Interval], vocabulary: dict[str, str | None] | dict[str, str]) -> list[Interval]:
    """The intervals in another vocabulary; those without a word in it are left out, equal neighbours
    joined.
    """
    said: list[Interval] = []
    for interval in reference:
        label = vocabulary[interval.label]
        if label is None:
            continue
        if said and said[-1].label == label and said[-1].end_s == interval.start_s:
            said[-1] = Interval(said[-1].start_s, interval.end_s, label)
        else:
            said.append(Interval(interval.start_s, interval.end_s, label))
    return said


def read_cinc_labels(data: Path, split: str = "dev") -> dict[str, str]:
    """Record -> N, A, O or ~ of CinC 2017's ``REFERENCE-v3.csv``, for those whose signal is there and that
    are in `split`.
    """
    folder = data / "cinc2017"
    return {
        record: label
        for record, label in sources.read_labels(folder / "REFERENCE-v3.csv").items()
        if (folder / "training2017" / f"{record}.hea").is_file()
        and split in ("all", split_of("cinc2017", record))
    }
