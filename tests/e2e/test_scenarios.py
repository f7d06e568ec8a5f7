"""The gallery of scenarios: each gives the alerts that it says, and no other of high priority."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgstream.analysis import Analyzer
from ecgstream.codec import InvalidRecord, decode
from ecgstream.limits import load_limits
from ecgstream.messages import Alert, AlertState, Chunk, Finding, Priority
from ecgstream.model_folder import load_model
from ecgstream.pieces import Event, Refusal
from ecgstream.recordings import RecordingError
from ecgstream.replay import Place
from ecgstream.sessions import Sessions
from ecgstream.shipped import shipped_model
from ecgstream.simulator.devices import Device
from ecgstream.simulator.scenarios import Scenario, read_scenario
from ecgstream.watch import over_findings

GALLERY = Path(__file__).parents[2] / "simulators" / "scenarios"
START_US = 1_700_000_000_000_000
DEVICE_ID, SESSION = "scenario", "s"


def findings(scenario: Scenario) -> Iterator[Finding]:
    """The scenario's records through decoding, reassembly and analysis, in the order in which they come."""
    device = Device(DEVICE_ID, scenario.signal(), SESSION, START_US)
    sessions, analyzer = Sessions(max_devices=1), Analyzer(load_model(shipped_model()), 1)
    events: list[Event] = []
    refused: list[Refusal] = []
    for n, delivery in enumerate(scenario.deliveries_of(device)):
        try:
            chunk = decode(Chunk, delivery.value)
        except InvalidRecord:
            continue
        if chunk.device_id.encode() != delivery.key:
            continue
        at_ms = START_US // 1000 + round(1000 * delivery.at_s)
        sessions.push(chunk, Place(n, timestamp=at_ms), events, refused)
        yield from analyzer.feed(events)
        events = []
    sessions.end_all(events, refused)
    assert refused == []
    yield from analyzer.feed(events)


def holds(scenario: Scenario, alerts: list[Alert]) -> None:
    """The expected alerts are there, within their times; the others are allowed."""
    raised = [
        (a.kind, (a.onset_us - START_US) / 1e6, a.priority) for a in alerts if a.state is AlertState.RAISED
    ]
    told = {kind: [f"{onset:.1f} s" for k, onset, _ in raised if k == kind] for kind, _, _ in raised}
    for expected in scenario.expect:
        before_s = float("inf") if expected.before_s is None else expected.before_s
        on_time = [
            kind
            for kind, onset, _ in raised
            if kind == expected.kind and expected.after_s <= onset <= before_s
        ]
        assert on_time, f"expected {expected}, raised {told}"
    assert not set(told) & set(scenario.never), told
    wanted = {expected.kind for expected in scenario.expect}
    assert {kind for kind, _, priority in raised if priority is Priority.HIGH} <= wanted, told


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*.yaml")), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    scenario = read_scenario(path)
    try:
        alerts = list(over_findings(findings(scenario), load_limits()))
    except RecordingError as error:
        pytest.skip(str(error))
    holds(scenario, alerts)


def test_the_gallery_names_kinds_that_there_are() -> None:
    kinds = set(load_limits().kinds)
    paths = sorted(GALLERY.glob("*.yaml"))
    assert len(paths) >= 15
    for path in paths:
        scenario = read_scenario(path)
        named = {expected.kind for expected in scenario.expect} | set(scenario.never)
        assert named <= kinds, path.name
        assert not {expected.kind for expected in scenario.expect} & set(scenario.never), path.name
