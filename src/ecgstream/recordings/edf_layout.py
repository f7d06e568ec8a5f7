"""How an EDF or BDF file is laid out: what its header says of its size, and the notes in it that can't be read.

A file that ends early would be read as far as it goes; its header says how long it must be. Notes (EDF+) are texts
with a time, each ended by a zero byte, in a signal of their own; one that isn't UTF-8 would keep `edfio` from reading the rest.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ecgstream.recordings.recording import RecordingError

HEADER_BYTES, SIGNAL_BYTES = 256, 256
LABEL_BYTES, LENGTHS_AT = 16, 216  # of a signal's header: its name, and where its samples a data record stand
NOTES = (b"EDF Annotations", b"BDF Annotations")
NOTE = re.compile(rb"[+-]\d+(?:\.\d+)?(?:\x15\d+(?:\.\d+)?)?\x14.*\x14", re.DOTALL)


class Layout(NamedTuple):
    """Where things stand: the header's bytes, how many data records of how many bytes, and where in each record notes are."""

    header_bytes: int
    n_records: int
    record_bytes: int
    notes: tuple[slice, ...]


def checked_layout(path: Path) -> Layout:
    """The layout of a file that is as long as its header says; raises `RecordingError` otherwise."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        n_records, n_signals = _counts(path, size, head)
        header_bytes = HEADER_BYTES + n_signals * SIGNAL_BYTES
        if _number(path, head, 184, 192) != header_bytes:
            raise RecordingError(
                path, "byte 184", f"expected {header_bytes} (the header's size), found {head[184:192]!r}"
            )
        signals = file.read(n_signals * SIGNAL_BYTES)
    if len(signals) < n_signals * SIGNAL_BYTES:
        raise RecordingError(
            path, f"byte {size}", f"expected a header of {header_bytes} bytes, the file ends here"
        )
    labels = [signals[i * LABEL_BYTES :][:LABEL_BYTES].strip() for i in range(n_signals)]
    at, width = n_signals * LENGTHS_AT, 3 if head[1:8] == b"BIOSEMI" else 2
    lengths = [
        width * _number(path, signals, at + 8 * i, at + 8 * i + 8, HEADER_BYTES) for i in range(n_signals)
    ]
    if min(lengths) < 0:
        raise RecordingError(path, f"byte {HEADER_BYTES + at}", "expected samples, found fewer than none")
    expected = header_bytes + n_records * sum(lengths)
    if n_records < 1 or size < expected:
        raise RecordingError(
            path, f"byte {size}", f"expected {expected} bytes ({n_records} data records), the file ends here"
        )
    places = [slice(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(n_signals)]
    notes = tuple(place for place, label in zip(places, labels, strict=True) if label in NOTES)
    return Layout(header_bytes, n_records, sum(lengths), notes)


def without_unreadable_notes(path: Path, layout: Layout) -> bytes:
    """The file's content, zero bytes in the place of notes that can't be read."""
    content = np.fromfile(path, np.uint8)
    end = layout.header_bytes + layout.n_records * layout.record_bytes
    for record in content[layout.header_bytes : end].reshape(layout.n_records, layout.record_bytes):
        for place in layout.notes:
            record[place] = np.frombuffer(_readable(record[place].tobytes()), np.uint8)
    return content.tobytes()


def _readable(notes: bytes) -> bytes:
    return b"\0".join(note if _is_readable(note) else bytes(len(note)) for note in notes.split(b"\0"))


def _is_readable(note: bytes) -> bool:
    try:
        note.decode()
    except UnicodeDecodeError:
        return False
    return NOTE.fullmatch(note) is not None


def _counts(path: Path, size: int, head: bytes) -> tuple[int, int]:
    """Data records and signals, by the file's first bytes."""
    if len(head) < HEADER_BYTES:
        raise RecordingError(
            path, f"byte {size}", f"expected an EDF header of {HEADER_BYTES} bytes, the file ends here"
        )
    if head[:8] != b"0       " and head[1:8] != b"BIOSEMI":
        raise RecordingError(path, "byte 0", f"expected EDF's version '0', found {head[:8]!r}")
    n_records, n_signals = _number(path, head, 236, 244), _number(path, head, 252, 256)
    if n_signals < 1:
        raise RecordingError(path, "byte 252", f"expected at least one signal, found {n_signals}")
    return n_records, n_signals


def _number(path: Path, data: bytes, start: int, stop: int, offset: int = 0) -> int:
    try:
        return int(data[start:stop])
    except ValueError:
        raise RecordingError(
            path, f"byte {offset + start}", f"expected a whole number, found {data[start:stop]!r}"
        ) from None
