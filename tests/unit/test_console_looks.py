"""What the console's pages say and how they are coloured: names for everything that can come, contrasts that hold."""

import json
import re

import pytest

from ecgstream.console import pages
from ecgstream.console.trend import RHYTHMS
from ecgstream.limits import KINDS
from ecgstream.messages import AlertState, Reason

STATIC = {name: content.decode() for name, (content, _, _) in pages.load_static().items()}
DAY, NIGHT = "day", "night"
TEXT_CONTRAST, SHAPE_CONTRAST = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11


def table(name: str, file: str = "words.js") -> set[str]:
    """The keys of one of the page's tables of words."""
    block = re.search(rf"const {name} = {{(.*?)}};", STATIC[file], re.S)
    assert block is not None
    return set(re.findall(r'(?:^|[{,]\s*|\n\s*)"?([\w-]+)"?:', block[1]))


def colours(time_of_day: str) -> dict[str, str]:
    """The colours by name, as the style sheets set them."""
    found: dict[str, str] = {}
    for sheet in ("console.css", "paper.css"):
        day, night = STATIC[sheet], STATIC[sheet].split(':root[data-theme="dark"] {')
        parts = [day.split("@media")[0]]
        if time_of_day == NIGHT:
            parts += [part.split("}")[0] for part in night[1:] if "--" in part.split("}")[0]][:1]
        for part in parts:
            found |= dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]+)", part))
    return found


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_kind_rhythm_reason_and_state_has_a_name() -> None:
    assert table("KINDS") == KINDS
    assert set(RHYTHMS) <= table("RHYTHMS")
    assert set(RHYTHMS) == table("BAND", "trend.js")
    assert {str(r) for r in Reason} == table("REASONS")
    states = re.search(r"const STATES = {(.*?)};", STATIC["words.js"], re.S)
    assert states is not None
    assert {str(s) for s in AlertState} == set(re.findall(r"(\w+):", states[1]))


@pytest.mark.parametrize("time_of_day", [DAY, NIGHT])
@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("ink", ["ground", "card", "tint-high", "tint-medium", "tint-low"]),
        ("ink-2", ["ground", "card", "tint-high", "tint-medium"]),
        ("link", ["ground", "card", "tint-high", "tint-medium", "sheet"]),
        ("high", ["ground", "card", "tint-high", "sheet"]),
        ("good", ["ground", "card"]),
        ("warn", ["warn-ground"]),
        ("on-strong", ["strong"]),
        ("on-high", ["high"]),
        ("on-medium", ["medium"]),
        ("on-low", ["low"]),
        ("trace", ["sheet"]),
        ("beat", ["sheet"]),
    ],
)
def test_text_stands_out_by_day_and_at_night(time_of_day: str, text: str, grounds: list[str]) -> None:
    at = colours(time_of_day)
    for ground in grounds:
        assert contrast(at[text], at[ground]) >= TEXT_CONTRAST, (
            ground,
            json.dumps([at[text], at[ground]]),
        )


@pytest.mark.parametrize("time_of_day", [DAY, NIGHT])
def test_the_trace_stands_out_from_the_lines_of_the_paper(time_of_day: str) -> None:
    at = colours(time_of_day)
    assert contrast(at["trace"], at["coarse"]) >= TEXT_CONTRAST
    assert contrast(at["trace"], at["fine"]) > contrast(at["trace"], at["coarse"])  # large squares stand out
    assert contrast(at["coarse"], at["sheet"]) >= 1.5  # and still can be counted


@pytest.mark.parametrize("priority", ["high", "medium", "low"])
def test_a_symbol_shows_on_the_night_s_card(priority: str) -> None:
    at = colours(NIGHT)  # by day yellow and cyan need their dark rim
    assert contrast(at[priority], at["card"]) >= SHAPE_CONTRAST
    assert re.search(r"\.symbol \.rim \{[^}]*stroke: rgb\(0 0 0 / \.6\)", STATIC["console.css"])


def test_the_night_is_the_same_chosen_or_by_the_system() -> None:
    for sheet in ("console.css", "paper.css"):
        blocks = re.findall(
            r":root(?::not\(\[data-theme=\"light\"\]\)|\[data-theme=\"dark\"\]) \{([^}]*--[^}]*)\}",
            STATIC[sheet].split("@media print")[0],
        )
        assert len(blocks) == 2, sheet
        assert re.findall(r"--[\w-]+:[^;]+", blocks[0]) == re.findall(r"--[\w-]+:[^;]+", blocks[1])
