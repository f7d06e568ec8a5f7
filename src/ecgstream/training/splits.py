"""Who may be learnt from: one split by patient, fixed before anything was trained.

`dev` is what is reported; it is never trained or tuned on. `tune` is for calibration and operating points, and is learnt when these are
known (`ecgstream.training.learn`). Any other database is `dev` as a whole. MIT-BIH's `dev` patients are
chosen so that each rhythm with two or more patients stands on both sides; 201 and 202 are one patient. CinC 2017 names no
patients and is split by record. NSTDB's `118e…` and `119e…` are MIT-BIH's 118 and 119 under noise: each stands where its patient does.
"""

import hashlib

CINC2017, MITDB, NSTDB, SVDB, VFDB = "cinc2017", "mitdb", "nstdb", "svdb", "vfdb"
LEARNT = frozenset({CINC2017, MITDB, NSTDB, SVDB, VFDB})  # some of their patients are
MITDB_DEV = frozenset({"114", "119", "201", "208", "220"})
MITDB_PACED = frozenset({"102", "104", "107", "217"})
VFDB_FOLDS = 5


def patient_of(database: str, record: str) -> str:
    """The patient behind a record, as far as the database tells; of records in folders each folder is one, unless its name is a number
    (``1.0.0``).
    """
    if database == NSTDB:
        return record.partition("e")[0]
    folder = record.rpartition("/")[0]
    if any(letter.isalpha() for letter in folder):
        return folder
    return "201" if database == MITDB and record == "202" else record


def _fraction(database: str, patient: str) -> float:
    digest = hashlib.sha256(f"ecgstream/{database}/{patient}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def fold_of(database: str, record: str, n_folds: int = VFDB_FOLDS) -> int:
    """The cross-validation fold of a record's patient, 0 <= fold < n_folds."""
    return int(_fraction(database, patient_of(database, record)) * n_folds)


def split_of(database: str, record: str) -> str:
    """``"train"``, ``"tune"`` or ``"dev"``."""
    if database == NSTDB:
        return split_of(MITDB, patient_of(database, record))
    if database not in (CINC2017, MITDB, SVDB, VFDB):
        return "dev"
    patient = patient_of(database, record)
    fraction = _fraction(database, patient)
    if database == MITDB:
        return "dev" if patient in MITDB_DEV else "tune" if 0.2 <= fraction < 0.3 else "train"
    return "dev" if fraction < 0.2 else "tune" if fraction < 0.3 else "train"
