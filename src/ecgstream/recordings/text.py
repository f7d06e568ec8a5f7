"""Text files: Apple Health's ECG export, Polar H10 logs, tables with a time and a value, one value a line.

What a file says of itself (rate, unit, lead, date) is used; what it doesn't say must be given or follow from its times,
and is never guessed from the shape of the signal. Numbers may have a decimal comma, where the columns are
parted by something else or the commas can't be anything else.
"""

import csv
import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream.recordings.recording import (
    MAX_SAMPLES,
    Recording,
    RecordingError,
    checked_rate,
    checked_unit,
    from_microvolts,
    lead_name,
    utc_us,
)

HERTZ = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(?:hertz|herz|hz\b|hercios|гц|герц|赫兹|赫茲|ヘルツ|헤르츠)", re.IGNORECASE
)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d+)? ?(?:[+-]\d{2}:?\d{2}|Z)")
LOG_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}")
UNITS = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1000.0, "v": 1e6}
UNIT = re.compile(r"(?<![a-z0-9])(uv|µv|μv|mv|v)(?![a-z0-9])", re.IGNORECASE)  # the V of V5 is none
TIME_S = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
TIME_UNIT = re.compile(r"(?<![a-z])(sec|ms|us|µs|ns|s)(?![a-z])", re.IGNORECASE)
TIME_NAME = re.compile(r"time|zeit|temps", re.IGNORECASE)
NUMBER = re.compile(r"^[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?$")
LEAD = re.compile(r"^(?:lead|ableitung|dérivation|derivación|derivazione|导联|誘導)\b[ :]*", re.IGNORECASE)
MISSING_WORDS = {"", "nan", "na", "null", "-"}
RATES_HZ = (50.0, 2000.0)  # by which the unit of times is told
PLAUSIBLE_PEAK_UV = 20.0  # a smaller one is millivolts taken for microvolts, or no ECG


@dataclass
class _Header:
    """What stands above the numbers."""

    fs_hz: float | None = None
    unit_uv: float | None = None
    lead: str = "I"
    start_us: int | None = None
    names: list[str] = field(default_factory=list)


def read_text(path: Path, channel: int = 0, fs_hz: float | None = None) -> Recording:
    """Read a text file; `channel` counts its columns of values. `fs_hz` where neither header nor times give a rate."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordingError(path, f"byte {error.start}", "expected UTF-8 text") from error
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if _is_data(line)), None)
    if first is None:
        raise RecordingError(path, "lines", "expected numbers, found none")
    header = _read_header(lines[:first])
    separator = _separator(lines[first:], header)
    table = _table(path, lines, first, separator, decimal_comma=separator != ",")
    time_columns = _time_columns(table, header)
    values = [i for i in range(table.shape[1]) if i not in time_columns]
    if not 0 <= channel < len(values):
        raise RecordingError(
            path, f"line {first + 1}", f"expected channel 0 to {len(values) - 1}, asked for {channel}"
        )
    column = values[channel]
    name = header.names[column] if column < len(header.names) else ""
    unit_uv = _unit(name) or header.unit_uv
    signal = table[:, column]
    if unit_uv is None:
        _check_microvolts(path, first, signal)
    signal = signal * (unit_uv or 1.0)
    if header.fs_hz is None and time_columns:
        timer = _finest(time_columns, header)
        signal, rate, start_us = _by_time(path, first, table[:, timer], signal, header, timer, fs_hz)
        header.start_us = header.start_us or start_us
    else:
        rate = header.fs_hz or fs_hz or 0.0
        if not rate:
            raise RecordingError(
                path, "header", "expected a sampling rate or times, found neither; give it (--fs)"
            )
    rate = checked_rate(path, "rate", rate)
    recording = from_microvolts(signal, path.stem, rate, header.lead, header.start_us)
    checked_unit(path, f"column {column + 1}" + (f" ({name})" if name else ""), recording.uv_per_lsb)
    return recording


def _is_data(line: str) -> bool:
    parts = [part.strip().strip('"') for part in re.split(r"[;,\t ]+", line.strip())]
    is_number = [bool(NUMBER.match(part)) for part in parts]
    if any(is_number) and LOG_DATE.match(line) and re.search("[;,\t]", line):
        return True  # a log whose first column is a date
    return bool(parts) and all(is_number)


def _read_header(lines: list[str]) -> _Header:
    header = _Header()
    for line in lines:
        if found := HERTZ.search(line):
            header.fs_hz = float(found[1].replace(",", "."))
        if found := DATE.search(line):
            header.start_us = _us(found[0])
        cells = [cell.strip() for row in csv.reader(io.StringIO(line)) for cell in row]
        if len(cells) == 2 and cells[1].lower() in UNITS:
            header.unit_uv = UNITS[cells[1].lower()]
        if len(cells) == 2 and LEAD.match(cells[0]):
            header.lead = lead_name(LEAD.sub("", cells[1]))
    titles = [line for line in lines if line.strip()]
    if titles and header.fs_hz is None:  # with a rate it is a block of facts, not of titles
        header.names = [name.strip().strip('"') for name in re.split(r"[;\t]|,(?! )", titles[-1])]
    return header


def _separator(lines: list[str], header: _Header) -> str:
    """What parts the columns: ``;``, a tab, ``,`` or nothing (then a comma is a decimal comma)."""
    some = [line.strip() for line in lines[:2000] if line.strip()]
    for separator in (";", "\t"):
        if all(separator in line for line in some[:10]):
            return separator
    if not any("," in line for line in some):
        return " " if all(" " in line for line in some[:10]) else ""
    counts = {line.count(",") for line in some}
    if not any("." in line for line in some) and (
        (counts == {1} and len(header.names) != 2) or counts == {0, 1}
    ):
        first = [line.split(",")[0].strip('" ') for line in some if "," in line]
        rest = [line.split(",")[1].strip('" ') for line in some if "," in line]
        is_time = counts == {1} and _increases(first)
        if not is_time and all(part.isdigit() for part in rest):
            return ""
    return ","


def _increases(numbers: list[str]) -> bool:
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        return False
    return all(a < b for a, b in pairwise(values))


def _table(
    path: Path, lines: list[str], first: int, separator: str, decimal_comma: bool
) -> NDArray[np.float64]:
    """The numbers: float64 (n_lines, n_columns), NaN where a value is missing. A date counts as seconds."""
    rows: list[list[float]] = []
    blank = None
    for i in range(first, len(lines)):
        line = lines[i].strip()
        if not line:
            blank = blank or i
            continue
        if blank is not None:
            raise RecordingError(path, f"line {blank + 1}", "expected a value, found an empty line")
        cells = [line] if separator == "" else line.split(separator) if separator != " " else line.split()
        row = [_cell(path, i, cell.strip().strip('"'), decimal_comma) for cell in cells]
        if rows and len(row) != len(rows[0]):
            raise RecordingError(
                path, f"line {i + 1}", f"expected {len(rows[0])} columns, found {len(row)}: {line[:60]!r}"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def _cell(path: Path, i: int, cell: str, decimal_comma: bool) -> float:
    if cell.lower() in MISSING_WORDS:
        return np.nan
    number = cell.replace(",", ".") if decimal_comma else cell
    if NUMBER.match(number) and isfinite(float(number)):
        return float(number)
    at = _us(cell)
    if at is None:
        raise RecordingError(path, f"line {i + 1}", f"expected a number, found {cell[:60]!r}")
    return at / 1e6


def _time_columns(table: NDArray[np.float64], header: _Header) -> list[int]:
    """Columns that tell a time: named so, or unnamed and first, with values that only grow."""
    named = [i for i, name in enumerate(header.names) if TIME_NAME.search(name)]
    named = [i for i in named if i < table.shape[1]]
    if named or table.shape[1] < 2:
        return named
    return [0] if bool(np.all(np.diff(table[:, 0]) > 0)) else []


def _finest(columns: list[int], header: _Header) -> int:
    """Of several columns of times the one told in nanoseconds, or else the last."""
    fine = [i for i in columns if i < len(header.names) and re.search(r"\bns\b|\[ns\]", header.names[i])]
    return (fine or columns)[-1]


def _by_time(
    path: Path,
    first: int,
    times: NDArray[np.float64],
    signal: NDArray[np.float64],
    header: _Header,
    column: int,
    fs_hz: float | None,
) -> tuple[NDArray[np.float64], float, int | None]:
    """Signal on an even grid, its rate [Hz] and its start [µs]: a step of over 1.5 samples is a gap.

    A column in steps of 1 that isn't called a time counts samples; the rate is then `fs_hz`.
    """
    steps = np.diff(times)
    if len(steps) < 10:
        raise RecordingError(
            path, f"line {first + 1}", "expected at least 11 lines to tell the rate from their times"
        )
    if not np.all(steps >= 0):
        bad = first + 2 + int(np.argmin(steps >= 0))
        raise RecordingError(
            path, f"line {bad}", "expected times that grow, found one before its predecessor"
        )
    # Logs round their times to whole milliseconds, so that the mean of the usual steps is the rate, no single one.
    usual = steps[steps <= 1.5 * max(float(np.median(steps)), 1e-12)]
    step = float(usual.mean())
    name = header.names[column] if column < len(header.names) else ""
    found = TIME_UNIT.search(name)
    scales = [TIME_S[found[1].lower()]] if found else [1.0, 1e-3, 1e-6, 1e-9]
    if step == 1.0 and not found and not TIME_NAME.search(name):
        if not fs_hz:
            raise RecordingError(
                path,
                f"column {column + 1}",
                "expected times or a sampling rate, found a count of samples; give it (--fs)",
            )
        scales = [1.0 / fs_hz]
    rates = [1.0 / (step * scale) for scale in scales if step > 0]
    rate = next((rate for rate in rates if RATES_HZ[0] <= rate <= RATES_HZ[1]), None)
    if rate is None:
        raise RecordingError(path, f"line {first + 1}", f"expected times of samples, found steps of {step:g}")
    # Between gaps samples are consecutive, whatever the rounding of their times.
    skipped = np.where(steps > 1.5 * step, np.round(steps / step) - 1.0, 0.0)
    span = len(times) + float(skipped.sum())
    if not span <= MAX_SAMPLES:
        raise RecordingError(
            path, "times", f"expected at most {MAX_SAMPLES} samples, found a span of {span:.0f}"
        )
    index = np.arange(len(times)) + np.concatenate([[0.0], np.cumsum(skipped)]).astype(np.int64)
    even = np.full(int(index[-1]) + 1, np.nan)
    even[index] = signal
    scale = scales[rates.index(rate)]
    start_s = float(times[0]) * scale
    return even, rate, round(start_s * 1e6) if 1e9 < start_s < 4e9 else None


def _unit(name: str) -> float | None:
    found = UNIT.search(name.replace("_", " "))
    return UNITS[found[1].lower()] if found else None


def _check_microvolts(path: Path, first: int, signal: NDArray[np.float64]) -> None:
    """A file without a unit is read as µV, unless its values show that it can't be."""
    peak = float(np.nanmax(np.abs(signal))) if np.isfinite(signal).any() else 0.0
    if peak < PLAUSIBLE_PEAK_UV:
        raise RecordingError(
            path,
            f"line {first + 1}",
            f"expected µV; values up to {peak:g} aren't. Name the unit in a header: ecg [mV]",
        )


def _us(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return None
    return utc_us(at)
