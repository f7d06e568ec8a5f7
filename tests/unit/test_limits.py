"""The alarm table and a device's settings over it."""

from pathlib import Path

import pytest

from ecgstream.limits import KINDS, LimitsError, for_device, load_limits
from ecgstream.messages import DeviceSettings, KindSettings, Priority

LIMITS = load_limits()


def settings(**fields: object) -> DeviceSettings:
    return DeviceSettings(device_id="chest-7", **fields)  # type: ignore[arg-type]


def test_the_packaged_table_holds_every_kind_and_names_itself() -> None:
    assert set(LIMITS.kinds) == KINDS
    assert LIMITS.name.startswith("default-1@")
    assert load_limits().name == LIMITS.name


def test_what_kills_is_high_latched_and_escalates() -> None:
    for kind in ("asystole", "vf", "vt", "extreme-bradycardia", "extreme-tachycardia"):
        rule = LIMITS.kinds[kind]
        assert (rule.priority, rule.latch) == (Priority.HIGH, True)
        assert rule.escalate_after_s is not None
        assert rule.escalate_times > 0


def test_a_kind_that_folds_stands_before_those_it_folds() -> None:
    order = list(LIMITS.kinds)
    for kind, rule in LIMITS.kinds.items():
        assert all(order.index(kind) < order.index(folded) for folded in rule.folds), kind


def test_settings_change_what_they_name_and_nothing_else() -> None:
    changed = for_device(
        LIMITS,
        settings(
            limits={"high_rate_bpm": 135, "vt_beats": 6},
            kinds={"af": KindSettings(enabled=False), "pause": KindSettings(priority=Priority.HIGH)},
        ),
    )
    assert (changed.limits.high_rate_bpm, changed.limits.vt_beats) == (135, 6)
    assert changed.limits.low_rate_bpm == LIMITS.limits.low_rate_bpm
    assert not changed.kinds["af"].enabled
    assert changed.kinds["pause"].priority is Priority.HIGH
    assert changed.kinds["vt"] == LIMITS.kinds["vt"]
    assert changed.name.startswith(LIMITS.name + "+")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"limits": {"hart_rate": 90}}, "limits.hart_rate: no such limit"),
        ({"limits": {"vt_beats": 4.5}}, "limits.vt_beats: 4.5 is refused"),
        ({"limits": {"low_rate_bpm": 3}}, "limits.low_rate_bpm: 3 is refused"),
        (
            {"limits": {"high_rate_bpm": 150}},
            "limits.high_rate_bpm: 150 must be below limits.extreme_tachycardia_bpm",
        ),
        ({"limits": {"asystole_s": 2.5}}, "limits.pause_s: 3 must be below limits.asystole_s"),
        ({"kinds": {"flutter": KindSettings(enabled=False)}}, "kinds.flutter: no such kind"),
    ],
)
def test_a_bad_entry_is_refused_by_name(bad: dict[str, object], said: str) -> None:
    with pytest.raises(LimitsError, match=said.replace(".", r"\.")):
        for_device(LIMITS, settings(**bad))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("asystole_s: 4.0", "asystole_s: soon", "asystole_s"),
        ("  pause:", "  puase:", r"kinds\.puase: no such kind"),
        ("folds: [high-rate, svt]", "folds: [high-rate, vt]", "folds"),
        ("folds: [high-rate, svt]", "folds: [high-rat]", "no such kind 'high-rat'"),
        ("priority: high", "priority: urgent", "priority"),
        ("name: default-1", "name: [", "not YAML"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (Path(__file__).parents[2] / "src" / "ecgstream" / "alarms.yaml").read_text()
    assert old in text
    table = tmp_path / "alarms.yaml"
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(LimitsError, match=said):
        load_limits(table)
