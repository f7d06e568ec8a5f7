"""The transition table of events, and the page drawn from it."""

from pathlib import Path

import pytest

from ecgstream.episodes import (
    STANDING,
    TRANSITIONS,
    Action,
    Episode,
    Input,
    State,
    advance,
    input_of,
    mermaid,
)
from ecgstream.limits import load_limits
from ecgstream.readings import Reading, Sign

AF = load_limits().kinds["af"]  # 30 s on, 30 s off, 300 s blind
S = 1_000_000


def reading(sign: Sign, since_s: float, until_s: float, complete: bool = False) -> Reading:
    return Reading("af", sign, round(since_s * S), round(until_s * S), complete=complete)


def test_every_state_has_an_answer_to_every_input() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(set(row) == set(Input) for row in TRANSITIONS.values())


def test_only_what_is_sustained_opens_and_the_end_of_a_session_ends_everything() -> None:
    for state, row in TRANSITIONS.items():
        for given, (to, action) in row.items():
            opens = state not in STANDING and to in STANDING
            assert opens == (given is Input.SUSTAINED and state not in STANDING), (state, given)
            assert (action is Action.RAISE) == opens
            assert (action is Action.END) == (state in STANDING and to not in STANDING)
        assert row[Input.OVER].to is State.QUIET
        assert row[Input.LOST].to is State.QUIET


def run(signs: list[tuple[float, Sign]]) -> list[tuple[float, Action]]:
    episode = Episode()
    done: list[tuple[float, Action]] = []
    for at_s, sign in signs:
        r = reading(sign, at_s - 1, at_s)
        action = advance(episode, input_of(episode, r, AF, round(at_s * S)), r, round(at_s))
        if action in (Action.RAISE, Action.DROP, Action.END):
            done.append((at_s, action))
    return done


def test_minimum_duration_counts_event_time_and_not_findings() -> None:
    for step in (1, 5, 10):
        raised = run([(t, Sign.ON) for t in range(step, 100, step)])
        assert [a for _, a in raised] == [Action.RAISE]
        assert 29 <= raised[0][0] <= 29 + 2 * step


def test_hysteresis_hold_neither_opens_nor_closes() -> None:
    assert run([(t, Sign.HOLD) for t in range(1, 200)]) == []
    kept = run([(t, Sign.ON if t < 50 else Sign.HOLD) for t in range(1, 500)])
    assert [a for _, a in kept] == [Action.RAISE]


def test_a_short_one_is_dropped() -> None:
    assert run([(t, Sign.ON if t < 20 else Sign.OFF) for t in range(1, 60)]) == [(20, Action.DROP)]


def test_an_interruption_shorter_than_min_off_is_one_event() -> None:
    done = run([(t, Sign.OFF if 60 <= t < 80 else Sign.ON) for t in range(1, 120)])
    assert [a for _, a in done] == [Action.RAISE]


def test_a_gap_leaves_an_open_event_standing_for_its_time_and_then_ends_it() -> None:
    short = run([(t, Sign.BLIND if 60 <= t < 300 else Sign.ON) for t in range(1, 400)])
    assert [a for _, a in short] == [Action.RAISE]
    for_ever = run([(t, Sign.BLIND if t >= 60 else Sign.ON) for t in range(1, 900)])
    assert [a for _, a in for_ever] == [Action.RAISE, Action.END]
    assert for_ever[1][0] == pytest.approx(59 + AF.max_blind_s, abs=1)


def test_a_run_of_beats_that_is_over_counts_once() -> None:
    episode = Episode()
    vt = load_limits().kinds["vt"]
    actions: list[Action] = []
    for at_s in range(45, 80, 5):
        r = reading(Sign.ON, 40, 42, complete=True)  # each window shows the same run
        actions.append(advance(episode, input_of(episode, r, vt, at_s * S), r, at_s))
    assert actions.count(Action.RAISE) == 1
    assert actions.count(Action.END) == 1
    assert episode.state is State.QUIET
    later = reading(Sign.ON, 70, 73, complete=True)
    assert advance(episode, input_of(episode, later, vt, 75 * S), later, 75) is Action.RAISE
    assert episode.since_us == 70 * S


def test_what_was_only_pending_has_told_nothing() -> None:
    """The network sees VT first; the beats, classed seconds later, bear it out when the wave is over."""
    episode, vt = Episode(), load_limits().kinds["vt"]
    wave = reading(Sign.ON, 47, 50)
    beats = reading(Sign.ON, 45, 48, complete=True)
    assert advance(episode, input_of(episode, wave, vt, 50 * S), wave, 50) is Action.BEGIN
    assert advance(episode, input_of(episode, beats, vt, 52 * S), beats, 52) is Action.RAISE
    assert episode.since_us == 45 * S


def test_what_was_dropped_has_told_nothing() -> None:
    episode, vt = Episode(), load_limits().kinds["vt"]
    wave, nothing = reading(Sign.ON, 47, 50), reading(Sign.OFF, 51, 51)
    beats = reading(Sign.ON, 45, 48, complete=True)
    assert advance(episode, input_of(episode, wave, vt, 50 * S), wave, 50) is Action.BEGIN
    assert advance(episode, input_of(episode, nothing, vt, 51 * S), nothing, 51) is Action.DROP
    assert advance(episode, input_of(episode, beats, vt, 52 * S), beats, 52) is Action.RAISE
    assert episode.since_us == 45 * S


def test_the_documents_diagram_is_the_tables() -> None:
    page = (Path(__file__).parents[2] / "docs" / "episodes.md").read_text()
    assert f"```mermaid\n{mermaid()}\n```" in page
