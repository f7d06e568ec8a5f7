"""AliveCor's `.atc` files (Alive File Format 1.6).

`ALIVE`, three bytes, a version (uint32), then blocks: an id of four letters, the length of the data (uint32), the data, and
the sum of all bytes before it (uint32), all little-endian. `fmt `: format (1), rate [Hz] (uint16), resolution
[nV] (uint16), flags, two bytes more. `info`: date and device. `ecg `: lead I as int16; `ecg2` and so on: further leads.
"""

import struct
from datetime import datetime
from pathlib import Path

import numpy as np

from ecgstream.recordings.recording import Recording, RecordingError, checked_rate, utc_us

LEADS = {
    b"ecg ": "I", b"ecg2": "II", b"ecg3": "III", b"ecg4": "aVR", b"ecg5": "aVL", b"ecg6": "aVF",
    b"ecg7": "V1", b"ecg8": "V2", b"ecg9": "V3", b"ecga": "V4", b"ecgb": "V5", b"ecgc": "V6",
}  # fmt: skip
FORMAT = struct.Struct("<BHHBH")


def read_atc(path: Path, channel: int = 0) -> Recording:
    """Read one lead: channel 0 is lead I, 1 lead II and so on, in the file's order."""
    data = path.read_bytes()
    if data[:5] != b"ALIVE":
        raise RecordingError(path, "byte 0", f"expected 'ALIVE', found {data[:5]!r}")
    if len(data) < 12:
        raise RecordingError(path, f"byte {len(data)}", "expected a version, the file ends here")
    blocks = _blocks(path, data)
    if b"fmt " not in blocks:
        raise RecordingError(path, "blocks", f"expected a 'fmt ' block, found {_names(blocks)}")
    fs_hz, nv_per_lsb = _format(path, *blocks[b"fmt "])
    leads = [name for name in LEADS if name in blocks]
    if not leads:
        raise RecordingError(path, "blocks", f"expected an 'ecg ' block, found {_names(blocks)}")
    if not 0 <= channel < len(leads):
        raise RecordingError(path, "blocks", f"expected channel 0 to {len(leads) - 1}, asked for {channel}")
    start, content = blocks[leads[channel]]
    if not content or len(content) % 2:
        raise RecordingError(path, f"byte {start}", f"expected int16 samples, found {len(content)} bytes")
    return Recording(
        name=path.stem,
        fs_hz=fs_hz,
        lead=LEADS[leads[channel]],
        uv_per_lsb=nv_per_lsb / 1000.0,
        samples=np.frombuffer(content, dtype="<i2").astype(np.int16),
        start_us=_start_us(blocks.get(b"info", (0, b""))[1]),
    )


def _blocks(path: Path, data: bytes) -> dict[bytes, tuple[int, bytes]]:
    """The first block of each id: where its data begin, and these."""
    blocks: dict[bytes, tuple[int, bytes]] = {}
    at = 12
    while at < len(data):
        if at + 8 > len(data):
            raise RecordingError(path, f"byte {at}", "expected a block's id and length, the file ends here")
        name, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        end = at + 8 + length
        if end + 4 > len(data):
            raise RecordingError(
                path, f"byte {at}", f"expected a block of {length} bytes ({name!r}), the file ends early"
            )
        (expected,) = struct.unpack_from("<I", data, end)
        found = sum(data[at:end]) & 0xFFFFFFFF
        if found != expected:
            raise RecordingError(
                path, f"byte {end}", f"expected checksum {expected} of block {name!r}, found {found}"
            )
        blocks.setdefault(name, (at + 8, data[at + 8 : end]))
        at = end + 4
    return blocks


def _format(path: Path, start: int, content: bytes) -> tuple[float, float]:
    if len(content) < FORMAT.size:
        raise RecordingError(
            path, f"byte {start}", f"expected a format of {FORMAT.size} bytes, found {len(content)}"
        )
    kind, fs_hz, nv_per_lsb, _, _ = FORMAT.unpack_from(content)
    if kind != 1:
        raise RecordingError(path, f"byte {start}", f"expected ECG format 1, found {kind}")
    if nv_per_lsb == 0:
        raise RecordingError(path, f"byte {start + 3}", "expected a resolution in nV, found 0")
    return checked_rate(path, f"byte {start + 1}", fs_hz), float(nv_per_lsb)


def _start_us(info: bytes) -> int | None:
    """The recording's date (32 letters, ISO 8601); None without one or without a time zone."""
    text = info[:32].split(b"\x00")[0].decode("ascii", errors="replace").strip()
    try:
        started = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if started.tzinfo is None else utc_us(started)


def _names(blocks: dict[bytes, tuple[int, bytes]]) -> str:
    return ", ".join(repr(name) for name in blocks) or "no block"
