"""An ECG strip as text: braille dots, four dots high and two wide a character.

Each column of dots shows the least and the greatest sample that fall in it, joined to the column before, so that no
spike is lost however narrow the terminal.

"""

import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import Strip

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # row of dots, column of dots
LEAST_SPAN_UV = 1000.0  # a quiet signal isn't blown up to fill the rows


def draw(signal: NDArray[np.float32], columns: int, rows: int = 4) -> list[str]:
    """`signal`, float32 (n_samples,) in µV, as `rows` lines of `columns` characters; a gap (NaN) stays empty.

    >>> draw(np.zeros(100, np.float32), 4, 1)
    ['⠤⠤⠤⠤']
    """
    if columns < 1 or rows < 1:
        raise ValueError(f"columns, rows: at least 1 each, got {columns}, {rows}")
    seen = signal[np.isfinite(signal)]
    if seen.size == 0:
        return [" " * columns] * rows
    low, high = float(seen.min()), float(seen.max())
    middle, span = (low + high) / 2, max(high - low, LEAST_SPAN_UV)
    n_dots = 4 * rows
    level = np.clip((0.5 - (signal - middle) / span) * n_dots, 0, n_dots - 1)
    edges = np.linspace(0, signal.size, 2 * columns + 1).round().astype(int)
    cells = np.zeros((rows, columns), dtype=int)
    before: float | None = None
    for x in range(2 * columns):
        column = level[edges[x] : max(edges[x + 1], edges[x] + 1)]
        column = column[np.isfinite(column)]
        if column.size == 0:
            before = None
            continue
        joined = column if before is None else np.append(column, before)
        for y in range(int(joined.min()), int(joined.max()) + 1):
            cells[y // 4, x // 2] |= DOTS[y % 4][x % 2]
        before = float(column[-1])
    return ["".join(chr(BRAILLE + c) if c else " " for c in row) for row in cells.tolist()]


def around_onset(strip: Strip, onset_us: int, columns: int, rows: int = 4) -> list[str]:
    """A strip as text, with a last line that marks the onset and names its length."""
    lines = draw(strip.microvolts(), columns, rows)
    length_us = max(1, strip.end_us - strip.start_us)
    place = (onset_us - strip.start_us) / length_us * columns
    mark = min(columns - 1, max(0, int(place)))
    ruler = [" "] * columns
    ruler[mark] = "▲"
    label = f"{length_us / 1e6:.0f} s"
    if mark + 1 + len(label) < columns:
        ruler[columns - len(label) :] = label
    return [*lines, "".join(ruler)]
