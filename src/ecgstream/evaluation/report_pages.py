"""An evaluation as a folder that a person reads: one Markdown page, with its confusion matrices,
reliability curves and worst records.

Names are chosen by this project; nothing of a recording but its excerpt is copied.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgstream.evaluation.results import Confusion, Evaluation, Worst, markdown
from ecgstream.evaluation.statistics import Reliability

INK, GRID, TRACE = "#1b1b1b", "#f0b8b8", "#0b3c5d"
Excerpt = Callable[[Worst], tuple[NDArray[np.float32], float]]  # µV and Hz


def write_report(folder: Path, evaluation: Evaluation, excerpt: Excerpt | None = None) -> Path:
    """Write `evaluation.kind`.md and its pictures into `folder`; `excerpt` reads the signal of a worst
    record. Returns the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = evaluation.kind
    page = [
        f"# {kind}: {evaluation.model}",
        "",
        f"Split: {evaluation.split}. Figures in per cent unless they say otherwise, with 95 % intervals.",
        "",
    ]
    for table in evaluation.tables:
        page += markdown(table)
    for name, matrix in evaluation.confusions.items():
        if matrix.counts.sum():
            page += _picture(
                folder, f"{kind}-confusion-{name}.png", f"Confusion, {matrix.unit}", confusion_figure(matrix)
            )
    for name, curve in evaluation.reliabilities.items():
        if curve.count.sum():
            title = f"Reliability by {name}, expected calibration error {100 * curve.ece:.1f} %"
            page += _picture(folder, f"{kind}-reliability-{name}.png", title, reliability_figure(curve))
        if curve.left_out:
            page += [
                f"Of the labels, {100 * curve.left_out:.1f} % aren't the class of the greatest probability: the order of the beats or an"
                " operating point named them. They are left out.",
                "",
            ]
    if evaluation.worst and excerpt is not None:
        page += ["## Where it is worst", ""]
        for worst in evaluation.worst:
            signal, fs_hz = excerpt(worst)
            name = f"{kind}-worst-{_slug(worst)}.png"
            page += _picture(folder, name, worst.caption, strip_figure(signal, fs_hz, worst), heading="###")
    path = folder / f"{kind}.md"
    path.write_text("\n".join(page), encoding="utf-8")
    return path


def _slug(worst: Worst) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{worst.database}-{worst.record}-{worst.start_s:.1f}")


def _picture(folder: Path, name: str, title: str, figure: Figure, heading: str = "##") -> list[str]:
    figure.savefig(folder / name, dpi=110)
    return [f"{heading} {title}", "", f"![{title}]({name})", ""]


def confusion_figure(matrix: Confusion) -> Figure:
    """Rows (reference) as shares of their sum, with the counts written in."""
    counts = matrix.counts
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    counts, names = counts[np.ix_(used, used)], [matrix.classes[i] for i in used]
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    size = 2.2 + 0.62 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("called")
    axes.set_ylabel("reference")
    for i, j in np.ndindex(*counts.shape):
        if counts[i, j]:
            ink = "white" if share[i, j] > 0.55 else INK
            axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=ink, fontsize=7)
    return figure


def reliability_figure(curve: Reliability) -> Figure:
    """What was claimed against what came true, over how often it was claimed."""
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    above.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    known = curve.count > 0
    above.plot(curve.claimed[known], curve.observed[known], marker="o", color=TRACE)
    above.set_ylabel("came true")
    above.set_ylim(0, 1)
    n = len(curve.count)
    below.bar((np.arange(n) + 0.5) / n, curve.count, width=0.9 / n, color=TRACE)
    below.set_ylabel("how often")
    below.set_xlabel("claimed probability")
    below.set_xlim(0, 1)
    return figure


def strip_figure(signal: NDArray[np.float32], fs_hz: float, worst: Worst) -> Figure:
    """The excerpt on ECG paper in rows of 10 s: 0.2 s and 0.5 mV a square."""
    row_s = 10.0
    per_row = round(row_s * fs_hz)
    rows: Sequence[NDArray[np.float32]] = [
        signal[i : i + per_row] for i in range(0, max(1, len(signal)), per_row)
    ]
    millivolts = signal[np.isfinite(signal)] / 1000.0
    low, high = np.percentile(millivolts, [0.2, 99.8]) if len(millivolts) else (-1.0, 1.0)
    low, high = min(-0.5, float(low) - 0.2), max(1.0, float(high) + 0.2)
    figure = Figure(figsize=(11, 0.4 + 1.5 * len(rows)), layout="constrained")
    for i, (axes, part) in enumerate(zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, strict=True)):
        start = worst.start_s + i * row_s
        axes.plot(start + np.arange(len(part)) / fs_hz, part / 1000.0, color=TRACE, linewidth=0.8)
        axes.set_xlim(start, start + row_s)
        axes.set_ylim(low, high)
        axes.set_xticks(np.arange(start, start + row_s + 0.1, 1.0))
        axes.set_xticks(np.arange(start, start + row_s + 0.1, 0.2), minor=True)
        axes.grid(which="both", color=GRID, linewidth=0.4)
        axes.set_ylabel("mV")
    axes.set_xlabel("seconds from the record's start")
    return figure
