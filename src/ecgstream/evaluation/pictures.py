"""A recording as a person would rather see it: raw and filtered on ECG paper, beats, quality and rhythm as bands."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgstream.evaluation.annotations import rhythm_by_second
from ecgstream.evaluation.labels import kinds_of
from ecgstream.evaluation.spans import spells
from ecgstream.evaluation.streaming import Stream
from ecgstream.messages import Quality, Reason
from ecgstream.model_folder import Model

FS_HZ = 128
MAX_S = 120.0
ROW_S = 10.0  # of paper in one row: 25 cm at 25 mm/s
BIG, SMALL = "#e8a0a0", "#f6d8d8"
BEAT_COLOURS = {"N": "#1b5e20", "V": "#b71c1c", "S": "#0d47a1", "Q": "#616161"}
QUALITY_COLOURS = {Quality.FULL: "#a5d6a7", Quality.RATE_ONLY: "#ffe082", Quality.UNREADABLE: "#bdbdbd"}
RHYTHM_COLOURS = {
    "sinus": "#c8e6c9", "af": "#ffcc80", "svt": "#ffab91", "bigeminy": "#b3e5fc", "trigeminy": "#b2dfdb", "vt": "#ef9a9a",
    "vf": "#e57373", "asystole": "#ce93d8", "other": "#d7ccc8", "noise": "#e0e0e0",
}  # fmt: skip


def draw(stream: Stream, model: Model, from_s: float, to_s: float, path: Path) -> None:
    """Write a PNG or SVG (by the file's ending) of the recording from `from_s` to `to_s`, at most two minutes.

    `stream` must hold its signal. Raises ValueError for a stretch that isn't in the recording.
    """
    duration_s = stream.source.duration_s
    if not 0 <= from_s < to_s or from_s >= duration_s:
        raise ValueError(
            f"--from {from_s:g}, --to {to_s:g}: expected 0 <= from < to, from below {duration_s:.0f} s"
        )
    to_s = min(to_s, duration_s)
    if to_s - from_s > MAX_S:
        raise ValueError(
            f"--from {from_s:g}, --to {to_s:g}: {to_s - from_s:.0f} s, at most {MAX_S:.0f} fit a picture"
        )
    rows = int(np.ceil((to_s - from_s) / ROW_S - 1e-9))
    raw = stream.source.samples * (stream.source.uv_per_lsb / 1000.0)
    filtered = np.empty(0) if stream.signal is None else stream.signal / 1000.0
    rhythms, kinds = rhythm_by_second(stream, model), kinds_of(stream, model)
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(11.5, 0.5 + 3.9 * rows), layout="constrained")
        axes = figure.subplots(3 * rows, 1, height_ratios=[1.6, 1.6, 0.42] * rows, squeeze=False)[:, 0]
        for row in range(rows):
            start_s = from_s + row * ROW_S
            upper, lower, band = axes[3 * row : 3 * row + 3]
            _trace(upper, raw, stream.source.fs_hz, start_s, "as recorded [mV]")
            _trace(lower, filtered, FS_HZ, start_s, "filtered [mV]")
            _beats(lower, stream, kinds, start_s)
            _bands(band, stream, rhythms, start_s)
        axes[0].set_title(f"{stream.source.record}, {stream.source.fs_hz:g} Hz, {model.name}", loc="left")
        axes[-1].set_xlabel("s")
        figure.savefig(path, dpi=110)


def _trace(axes: Any, signal_mv: NDArray[Any], fs_hz: float, start_s: float, label: str) -> None:
    """One row of one signal on paper; heights at 10 mm/mV where the signal fits, else what it needs."""
    first, end = round(start_s * fs_hz), round((start_s + ROW_S) * fs_hz)
    part = signal_mv[first:end]
    known = part[np.isfinite(part)]
    middle = float(np.median(known)) if known.size else 0.0
    reach = max(1.0, float(np.percentile(np.abs(known - middle), 99.7)) * 1.15) if known.size else 1.0
    low, high = np.floor((middle - reach) * 2) / 2, np.ceil((middle + reach) * 2 + 0.5) / 2
    axes.plot(start_s + np.arange(len(part)) / fs_hz, part, color="black", linewidth=0.7)
    axes.set_xlim(start_s, start_s + ROW_S)
    axes.set_ylim(low, high)
    axes.set_xticks(start_s + np.arange(0, ROW_S + 0.1, 0.2))
    axes.set_xticks(start_s + np.arange(0, ROW_S + 0.01, 0.04), minor=True)
    coarse = 0.5 if high - low <= 8 else (high - low) / 16
    axes.set_yticks(np.arange(low, high + 1e-9, coarse))
    axes.set_yticks(np.arange(low, high + 1e-9, coarse / 5), minor=True)
    axes.grid(which="major", color=BIG, linewidth=0.6)
    axes.grid(which="minor", color=SMALL, linewidth=0.4)
    axes.tick_params(which="both", length=0)
    axes.tick_params(labelbottom=False)
    for i, tick in enumerate(axes.get_yticklabels()):
        tick.set_visible(i % 2 == 0)
    axes.set_ylabel(label)


def _beats(axes: Any, stream: Stream, kinds: list[str], start_s: float) -> None:
    top = axes.get_ylim()[1]
    for time_s, kind in zip(stream.beats_s, kinds, strict=True):
        if start_s <= time_s < start_s + ROW_S:
            axes.annotate(
                kind, (time_s, top), xytext=(0, -2), textcoords="offset points", ha="center", va="top",
                color=BEAT_COLOURS[kind], fontweight="normal" if kind == "N" else "bold",
            )  # fmt: skip
            axes.axvline(time_s, ymin=0.9, ymax=0.94, color=BEAT_COLOURS[kind], linewidth=1)


def _bands(axes: Any, stream: Stream, rhythms: list[str | None], start_s: float) -> None:
    """Quality (above, with its reasons) and rhythm (below) of each second."""
    begin, end = int(start_s), int(np.ceil(start_s + ROW_S))
    told = zip(stream.grades[begin:end], stream.reasons[begin:end], strict=True)
    qualities = [(grade, reasons if grade is not Quality.FULL else ()) for grade, reasons in told]
    for first, after, (grade, reasons) in spells(qualities):
        axes.broken_barh([(begin + first, after - first)], (1, 1), facecolors=QUALITY_COLOURS[grade])
        why = ", ".join(reason for reason in reasons if reason is not Reason.WARM_UP or len(reasons) == 1)
        name = f"{grade}{': ' + why if why else ''}"
        axes.text(begin + first + 0.05, 1.5, name, va="center", fontsize=6, clip_on=True)
    for first, after, rhythm in spells(rhythms[begin:end]):
        colour = RHYTHM_COLOURS.get(rhythm or "", "#eeeeee")
        axes.broken_barh([(begin + first, after - first)], (0, 1), facecolors=colour)
        axes.text(begin + first + 0.05, 0.5, rhythm or "not known", va="center", fontsize=6, clip_on=True)
    axes.set_xlim(start_s, start_s + ROW_S)
    axes.set_ylim(0, 2)
    axes.set_yticks([0.5, 1.5], ["rhythm", "quality"])
    axes.set_xticks(start_s + np.arange(0, ROW_S + 0.1, 1.0))
    axes.tick_params(length=0)
