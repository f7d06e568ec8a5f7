"""Strips in the terminal and on the page."""

import numpy as np
import pytest

from clinical import at, beats, stream, unreadable
from ecgstream.burdens import add_up
from ecgstream.ecg_paper import svg
from ecgstream.limits import load_limits
from ecgstream.messages import MISSING, Reason, Strip
from ecgstream.report import page
from ecgstream.strip_text import around_onset, draw
from ecgstream.watch import over_findings

VT = beats(("N", 0.8, 50), ("V", 0.35, 20), ("N", 0.8, 60))


def test_a_spike_is_seen_however_narrow_the_terminal() -> None:
    signal = np.zeros(3840, np.float32)
    signal[1921] = 1500
    for columns in (10, 60, 200):
        lines = draw(signal, columns, 4)
        assert {len(line) for line in lines} == {columns}
        assert lines[0].strip("\u2800 ")


def test_a_gap_stays_empty_and_nothing_known_is_no_error() -> None:
    signal = np.zeros(1000, np.float32)
    signal[400:600] = np.nan
    middle = draw(signal, 50, 2)[1][22:28]
    assert set(middle) <= {" ", "\u2800"}
    assert draw(np.full(10, np.nan, np.float32), 5, 2) == [" " * 5] * 2
    assert draw(np.empty(0, np.float32), 5, 1) == [" " * 5]
    with pytest.raises(ValueError, match="columns"):
        draw(signal, 0)


def test_the_onset_is_marked_where_it_is() -> None:
    strip = Strip(start_us=at(0), fs_hz=128.0, uv_per_lsb=1.0, samples=bytes(2 * 3840))
    ruler = around_onset(strip, at(15), 60)[-1]
    assert ruler.index("▲") == 30
    assert ruler.endswith("30 s")


def test_paper_has_a_square_for_each_millimetre_and_no_line_across_a_gap() -> None:
    samples = np.zeros(1280, "<i2")
    samples[600:700] = MISSING
    drawn = svg(Strip(start_us=at(0), fs_hz=128.0, uv_per_lsb=1.0, samples=samples.tobytes()), at(5))
    assert 'viewBox="0 0 250.0' in drawn  # 10 s at 25 mm/s
    assert drawn.count('class="ecg"') == 2
    assert 'class="onset" x1="125.0"' in drawn


def test_burdens_count_each_beat_and_each_second_once() -> None:
    every_second = add_up(list(stream(VT, 90)))
    every_fifth = add_up(list(stream(VT, 90, every=5)))
    assert every_second.beats == every_fifth.beats
    assert every_second.beats["V"] == 20
    assert (every_second.runs, every_second.longest_run) == (1, 20)
    assert every_second.readable_s == every_fifth.readable_s == 90
    half = add_up(list(stream(VT, 90, lambda k: unreadable(Reason.MOTION) if k >= 45 else {})))
    assert half.unreadable_share == pytest.approx(0.5)


def test_the_page_holds_the_events_and_escapes_what_it_was_given() -> None:
    findings = list(stream(VT, 90))
    text = page("<b>203</b>", findings, list(over_findings(findings, load_limits(), answered=True)))
    assert "Ventricular tachycardia, 171/min" in text
    assert "<b>203</b>" not in text
    assert "src=" not in text  # one file that needs no other
    with pytest.raises(ValueError, match="findings"):
        page("none", [], [])
