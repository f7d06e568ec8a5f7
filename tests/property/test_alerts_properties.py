"""Whatever comes in whatever order: the same alerts, each once, with ordered revisions, and none that hangs."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical import at, beats, stream, unreadable
from ecgstream.device_state import State
from ecgstream.limits import load_limits
from ecgstream.messages import Ack, Alert, AlertState, Finding, Reason
from ecgstream.watch import on_ack, on_finding, on_tick

LIMITS = load_limits()
PIECES = st.lists(
    st.sampled_from(
        [
            ("N", 0.8, 20),
            ("V", 0.35, 12),
            ("N", 0.4, 40),
            ("N", 1.7, 10),
            ("N", 3.4, 1),
            ("N", 9.0, 1),
            ("V", 0.5, 3),
        ]
    ),
    min_size=1,
    max_size=8,
)
BLIND = st.lists(st.tuples(st.integers(0, 150), st.integers(1, 40)), max_size=3)


def findings_of(
    pieces: list[tuple[str, float, int]], blind: list[tuple[int, int]], every: int
) -> list[Finding]:
    heart = beats(*pieces)
    n = min(200, int(heart[-1][0]) + 20)

    def changes(k: int) -> dict[str, object]:
        if any(start <= k < start + length for start, length in blind):
            return unreadable(Reason.LEAD_OFF)
        return {"acute_probabilities": {"asystole": 0.4, "organised": 0.4}}

    return list(stream(heart, n, changes, every))


def watch(findings: list[Finding]) -> tuple[State, list[Alert]]:
    state = State("chest-7")
    return state, [a for f in findings for a in on_finding(state, f, LIMITS, f.end_us)]


@settings(max_examples=25, deadline=None)
@given(PIECES, BLIND, st.sampled_from([1, 2, 5]), st.data())
def test_reading_again_from_anywhere_gives_the_same_alerts(
    pieces: list[tuple[str, float, int]], blind: list[tuple[int, int]], every: int, data: st.DataObject
) -> None:
    findings = findings_of(pieces, blind, every)
    _, once = watch(findings)
    told: list[Finding] = []
    for i, f in enumerate(findings):
        told.append(f)
        if data.draw(st.integers(0, 9)) == 0:
            back = data.draw(st.integers(0, i))
            told += data.draw(st.permutations(findings[back : i + 1]))
    assert watch(told)[1] == once


@settings(max_examples=25, deadline=None)
@given(PIECES, BLIND, st.integers(0, 199))
def test_a_state_that_was_stored_goes_on_as_if_nothing_had_happened(
    pieces: list[tuple[str, float, int]], blind: list[tuple[int, int]], cut: int
) -> None:
    findings = findings_of(pieces, blind, 1)
    _, once = watch(findings)
    state, before = watch(findings[:cut])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    after = [a for f in findings[cut:] for a in on_finding(stored, f, LIMITS, f.end_us)]
    assert before + after == once


@settings(max_examples=25, deadline=None)
@given(PIECES, BLIND, st.dictionaries(st.integers(30, 180), st.integers(0, 9), max_size=6))
def test_revisions_are_ordered_and_a_life_makes_sense(
    pieces: list[tuple[str, float, int]], blind: list[tuple[int, int]], answers: dict[int, int]
) -> None:
    state = State("chest-7")
    published: list[Alert] = []
    for f in findings_of(pieces, blind, 1):
        published += on_finding(state, f, LIMITS, f.end_us)
        if published and f.window in answers:
            one = published[answers[f.window] % len(published)]
            published += on_ack(
                state, Ack(alert_id=one.alert_id, device_id="chest-7", by="a", at_us=f.end_us)
            )
    for t in range(200, 9_000, 200):
        published += on_tick(state, LIMITS, at(t))
    lives: dict[str, list[Alert]] = {}
    for alert in published:
        lives.setdefault(alert.alert_id, []).append(alert)
    for life in lives.values():
        assert [a.revision for a in life] == list(range(len(life)))
        assert life[0].state is AlertState.RAISED
        assert len(life) < 40
        assert all(a.onset_us <= a.detected_us for a in life)
        if life[0].kind != "signal-lost":
            assert life[-1].end_us is not None  # nothing hangs once the device is gone
            assert life[-1].state is not AlertState.RAISED


@settings(max_examples=25, deadline=None)
@given(PIECES, st.data())
def test_findings_that_swap_places_make_no_second_alert(
    pieces: list[tuple[str, float, int]], data: st.DataObject
) -> None:
    findings = findings_of(pieces, [], 1)
    swapped = list(findings)
    for i in range(0, len(swapped) - 1, 2):
        if data.draw(st.booleans()):
            swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
    in_order, out_of_order = watch(findings)[1], watch(swapped)[1]

    def raised(alerts: list[Alert]) -> list[str]:
        """Kinds of the high alerts, but those that a higher one folds in: which of the two came first is the order's.

        One alert counts once, however often it is raised again.
        """
        kinds = list({a.alert_id: a.kind for a in alerts if a.priority == "high"}.values())
        folded = {lower for kind in kinds for lower in LIMITS.kinds[kind].folds}
        return sorted(kind for kind in kinds if kind not in folded)

    assert raised(out_of_order) == raised(in_order)
