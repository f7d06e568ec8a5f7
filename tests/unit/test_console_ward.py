"""The console's ward: what each device shows, and its last hours."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from console_ward import alert, finding
from ecgstream.console import pages
from ecgstream.console.desk import Desk
from ecgstream.console.live import Live
from ecgstream.console.store import Store
from ecgstream.console.trend import BIN, burden
from ecgstream.console.ward import PAST_SESSIONS, Ward
from ecgstream.messages import Beat, Finding, Quality

T0 = 1_760_000_040_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
VENDOR = Path(pages.__file__).parent / "vendor"


def test_burdens_are_shares_of_readable_time_whatever_the_rate_of_findings() -> None:
    ward = Ward()
    for second in range(5, 605, 5):  # ten minutes of sinus rhythm, a finding every 5 s
        ward.take(finding("d", T0 + second * 1_000_000), T0)
    for second in range(601, 901):  # five minutes of AF, a finding a second
        ward.take(finding("d", T0 + second * 1_000_000, rhythm="af"), T0)
    for second in range(905, 1205, 5):  # five minutes that can't be read
        ward.take(
            finding("d", T0 + second * 1_000_000, rhythm=None, rate=None, quality=Quality.UNREADABLE), T0
        )
    shares = ward.detail("d")["burden"]
    assert shares["af"] == pytest.approx(1 / 3, abs=0.01)
    assert shares["readable"] == pytest.approx(3 / 4, abs=0.01)


def test_a_beat_in_many_windows_is_counted_once() -> None:
    ward = Ward()
    beats = [Beat(T0 + i * 1_000_000, "V" if i % 4 == 0 else "N", 0.9) for i in range(100)]
    for second in range(30, 100, 5):
        end_us = T0 + second * 1_000_000
        window = [b for b in beats if end_us - 30_000_000 <= b.at_us <= end_us]
        ward.take(msgspec.structs.replace(finding("d", end_us), beats=window), T0)
    shares = ward.detail("d")["burden"]
    assert 88 <= shares["beats"] <= 92
    assert shares["pvc"] == pytest.approx(0.25, abs=0.02)


def test_nothing_known_is_none_and_not_zero() -> None:
    shares = burden(np.zeros(0, dtype=BIN))
    assert shares["af"] is None
    assert shares["pvc"] is None
    ward = Ward()
    ward.take(finding("d", T0, rhythm=None, rate=None, quality=Quality.UNREADABLE), T0)
    assert ward.summary("d")["heart_rate_bpm"] is None
    assert ward.detail("d")["trend"]["mean"] == [None]


def test_a_minute_never_hides_seconds_of_vt() -> None:
    ward = Ward()
    for second in range(1, 50):
        ward.take(finding("d", T0 + second * 1_000_000, rhythm="vt" if 20 <= second < 25 else "sinus"), T0)
    assert "vt" in ward.detail("d")["trend"]["rhythm"]


def test_repeated_findings_change_nothing() -> None:
    ward = Ward()
    known = finding("d", T0)
    assert ward.take(known, T0)
    assert not ward.take(known, T0)
    assert ward.repeated == 1


def test_a_new_session_is_shown_though_its_clock_stands_earlier() -> None:
    ward = Ward()
    ward.take(finding("d", T0, rhythm="sinus", window=400), T0)
    for window in range(3):
        earlier = finding("d", T0 - HOUR_US + window * 1_000_000, rhythm="vt", session="s2", window=window)
        assert ward.take(earlier, T0 + window)
    assert (ward.detail("d")["session"], ward.summary("d")["rhythm"]) == ("s2", "vt")
    assert ward.summary("d")["heard_us"] == T0 + 2


def test_a_log_read_again_brings_no_past_session_back() -> None:
    ward = Ward()
    log = [
        finding("d", T0 + 10_000_000 * i + window, session=f"s{i}", window=window)
        for i in range(PAST_SESSIONS + 1)
        for window in range(2)
    ]
    assert all(ward.take(record, T0) for record in log)
    assert not any(ward.take(record, T0) for record in log)
    assert ward.repeated == len(log)
    assert ward.detail("d")["session"] == f"s{PAST_SESSIONS}"


def test_a_session_that_goes_on_after_another_is_shown_again() -> None:
    ward = Ward()
    phone, station = ([finding("d", T0 + k, session=name, window=k) for k in range(9)] for name in "ab")
    later = [finding("d", T0 + k, session="a", window=k, rhythm="vt") for k in range(20, 25)]
    assert all(ward.take(record, T0) for record in (*phone, *station, *later))
    assert (ward.detail("d")["session"], ward.summary("d")["rhythm"]) == ("a", "vt")
    assert not any(ward.take(record, T0) for record in (*phone, *station))


def test_more_sessions_than_are_remembered_end_with_the_last_all_the_same() -> None:
    ward = Ward()
    log = [finding("d", T0 + i, session=f"s{i}", window=0) for i in range(3 * PAST_SESSIONS)]
    for record in (*log, *log[5:], *log):
        ward.take(record, T0)
    assert ward.take(finding("d", T0, session=log[-1].session, window=1), T0)


def bare(window: int, end_us: int, **more: Any) -> Finding:
    """A finding without beats."""
    return msgspec.structs.replace(finding("d", end_us, window=window, **more), beats=[])


def test_a_clock_set_back_within_a_session_is_followed() -> None:
    ward = Ward()
    for window in range(600):
        ward.take(bare(window, T0 + window * 1_000_000), T0)
    for window in range(600, 720):  # five minutes back
        end_us = T0 + (window - 300) * 1_000_000
        beats = [Beat(end_us - 5_500_000, "V", 0.9)]
        assert ward.take(msgspec.structs.replace(bare(window, end_us, rhythm="af"), beats=beats), T0), window
    shown = ward.detail("d")
    assert shown["end_us"] == T0 + 419_000_000
    assert shown["trend"]["at_s"] == [(T0 // 60_000_000 + minute) * 60 for minute in range(7)]
    assert shown["trend"]["rhythm"] == ["sinus"] * 5 + ["af"] * 2
    assert (shown["burden"]["heard_s"], shown["burden"]["beats"]) == (420, 119)


def test_a_clock_that_was_far_ahead_for_a_moment_costs_the_trend_no_other_minute() -> None:
    ward = Ward()
    for window in range(1200):
        ahead_us = 365 * DAY_US if window == 1000 else 0
        ward.take(bare(window, T0 + ahead_us + window * 1_000_000), T0)
    assert ward.detail("d")["trend"]["at_s"] == [(T0 // 60_000_000 + minute) * 60 for minute in range(20)]


def test_a_clock_that_was_never_set_shows_only_minutes_that_were_heard() -> None:
    ward = Ward()
    for window in range(120):
        ward.take(bare(window, 600_000_000 + window * 1_000_000), T0)
    assert ward.detail("d")["trend"]["at_s"] == [600, 660]


def test_a_trace_says_when_it_came_whatever_its_device_s_clock_says() -> None:
    ward = Ward()
    ward.take(finding("d", T0 + HOUR_US, signal=True, window=1), T0)
    ward.take(finding("d", T0 + HOUR_US, window=2), T0 + 1_000_000)
    assert ward.detail("d")["trace"]["heard_us"] == T0


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_a_rate_that_is_no_number_is_not_known(rate: float) -> None:
    desk = Desk(Store(), Ward(), Live())
    desk.take_finding(msgspec.structs.replace(bare(0, T0), heart_rate_bpm=rate), T0)
    desk.take_alert(alert("a", heart_rate_bpm=rate), T0)
    assert desk.ward.summary("d")["heart_rate_bpm"] is None
    assert desk.ward.detail("d")["trend"]["mean"] == [None]
    assert [shown["heart_rate_bpm"] for shown in desk.inbox()] == [None]


def test_the_ward_is_bounded_and_the_longest_silent_leaves() -> None:
    ward = Ward(max_devices=2)
    for i, name in enumerate(["a", "b", "a", "c"]):
        ward.take(finding(name, T0 + i * 1_000_000), T0)
    assert sorted(ward.devices) == ["a", "c"]
    assert ward.evicted == 1


def test_the_trend_forgets_what_is_older_than_its_length() -> None:
    ward = Ward(trend_hours=1)
    for minute in range(90):
        ward.take(finding("d", T0 + minute * 60_000_000), T0)
    at_s = ward.detail("d")["trend"]["at_s"]
    assert len(at_s) == 60
    assert at_s == sorted(at_s)
