"""One session's chunks put in order."""

from typing import Any

import numpy as np
import pytest

from ecgstream.messages import Chunk
from ecgstream.pieces import Counts, Ended, Event, Piece, Refusal
from ecgstream.reassembly import Stream
from ecgstream.replay import Place
from ecgstream.sessions import MAX_CANDIDATES, Sessions
from logs import chunk


def samples_of(events: list[Event]) -> list[int]:
    return [int(x) for event in events if isinstance(event, Piece) for x in event.samples]


def run(*chunks: Chunk) -> tuple[list[Event], list[Refusal], Stream]:
    stream = Stream(chunks[0], Counts())
    events: list[Event] = []
    refused: list[Refusal] = []
    for k, c in enumerate(chunks):
        stream.push(c, Place(k), events, refused)
    return events, refused, stream


def seconds(first: int, n: int, **fields: Any) -> Chunk:
    """`n` seconds from second `first`; each sample is its index."""
    return chunk(100 * first, np.arange(100 * first, 100 * (first + n)), **fields)


def test_chunks_in_order_go_through_as_they_are() -> None:
    events, refused, stream = run(seconds(0, 1), seconds(1, 2), chunk(300, []))
    assert samples_of(events) == list(range(300))
    assert not refused
    assert stream.counts.chunks == 3


def test_a_duplicate_is_dropped_and_counted() -> None:
    events, refused, stream = run(seconds(0, 1), seconds(1, 1), seconds(0, 1), seconds(1, 1))
    assert samples_of(events) == list(range(200))
    assert (len(refused), stream.counts.duplicates) == (0, 2)


def test_an_overlap_that_agrees_is_trimmed() -> None:
    events, refused, stream = run(seconds(0, 2), seconds(1, 2))
    assert samples_of(events) == list(range(300))
    assert (len(refused), stream.counts.trimmed) == (0, 1)


def test_an_overlap_that_contradicts_is_refused_with_the_sample() -> None:
    events, refused, _ = run(seconds(0, 2), chunk(150, [150, 151, 999]), seconds(2, 1))
    assert samples_of(events) == list(range(300))
    assert len(refused) == 1
    assert "sample 152 is 999, but 152 was received before" in refused[0].reason


def test_late_chunks_are_put_in_order() -> None:
    events, refused, stream = run(seconds(0, 1), seconds(2, 1), seconds(3, 1), seconds(1, 1), seconds(4, 1))
    assert samples_of(events) == list(range(500))
    assert (len(refused), stream.counts.reordered, stream.counts.gaps) == (0, 2, 0)


def test_what_does_not_come_within_ten_seconds_is_a_gap() -> None:
    late = seconds(1, 1)
    events, refused, stream = run(seconds(0, 1), *(seconds(k, 1) for k in range(2, 13)), late)
    assert samples_of(events) == [*range(100), *range(200, 1300)]
    assert [e.first_sample for e in events[:2] if isinstance(e, Piece)] == [0, 200]
    assert (len(refused), stream.counts.gaps, stream.counts.gap_s) == (0, 1, 1.0)


def test_what_is_held_is_bounded() -> None:
    chunks = [chunk(2 * k + 10, [k]) for k in range(600)]
    _, _, stream = run(seconds(0, 1), *(chunk(200 + c.first_sample, [0]) for c in chunks))
    assert len(stream.held) <= 256


def test_settings_do_not_change_inside_a_session() -> None:
    _, refused, _ = run(seconds(0, 1), seconds(1, 1, uv_per_lsb=5.0), seconds(1, 1, lead="II"))
    assert "uv_per_lsb: 5.0, but the session 's' has 2.0" in refused[0].reason
    assert "lead: 'II', but the session 's' has 'I'" in refused[1].reason


def test_a_chunk_far_ahead_that_the_stream_never_reaches_is_refused() -> None:
    events, refused, stream = run(seconds(0, 1), seconds(5000, 1), *(seconds(k, 1) for k in range(1, 14)))
    assert samples_of(events) == list(range(1400))
    assert len(refused) == 1
    assert "ahead of the stream" in refused[0].reason
    assert stream.head == 1400


def test_a_counter_that_starts_again_is_refused_as_such() -> None:
    again = chunk(0, [7] * 100, start_us=1_700_000_900_000_000)
    _, refused, _ = run(*(seconds(k, 1) for k in range(30)), again)
    assert "a device that restarts its counter takes a new session" in refused[0].reason


def test_a_session_seen_in_its_middle_begins_after_ten_seconds_by_the_majority() -> None:
    odd = seconds(40, 1, fs_hz=500.0)
    events, refused, stream = run(odd, *(seconds(k, 1) for k in range(40, 52)))
    assert stream.start == 4000
    assert samples_of(events) == list(range(4000, 5200))
    assert "fs_hz: 500.0, but the session 's' has 100.0" in refused[0].reason


def test_an_odd_first_chunk_far_ahead_does_not_set_the_place() -> None:
    events, refused, stream = run(seconds(9000, 1), *(seconds(k, 1) for k in range(40, 65)))
    assert stream.start == 4000
    assert samples_of(events) == list(range(4000, 6500))
    assert len(refused) == 1


def push(sessions: Sessions, *items: tuple[Chunk, Place]) -> tuple[list[Event], list[Refusal]]:
    events: list[Event] = []
    refused: list[Refusal] = []
    for c, place in items:
        sessions.push(c, place, events, refused)
    return events, refused


def test_a_session_whose_first_chunks_changed_places_is_read_from_its_first_sample() -> None:
    order = [2, 3, 0, 4, 1, *range(5, 12)]
    events, refused, stream = run(*(seconds(k, 1) for k in order))
    assert (stream.start, refused, stream.counts.gaps) == (0, [], 0)
    assert samples_of(events) == list(range(1200))


def test_a_first_chunk_that_comes_again_to_who_begins_later_does_not_set_the_place() -> None:
    events, _, stream = run(*(seconds(k, 1) for k in (5, 6, 0, *range(7, 16))))
    assert stream.start == 500
    assert samples_of(events) == list(range(500, 1600))
    assert stream.counts.late == 1


def logged(*chunks: Chunk) -> list[tuple[Chunk, Place]]:
    return [(c, Place(k)) for k, c in enumerate(chunks)]


def of_session(session: str, events: list[Event]) -> list[int]:
    return samples_of([e for e in events if e.session == session])


def test_a_new_session_ends_the_one_before_once_it_is_no_odd_chunk() -> None:
    new = [seconds(k, 1, session="t") for k in range(10)]
    sessions = Sessions(4)
    events, refused = push(sessions, *logged(seconds(0, 1), *new[:9]))
    assert [type(e) for e in events] == [Piece]
    more, _ = push(sessions, *logged(*new[9:]))
    assert more[0] == Ended("d", "s")
    assert of_session("t", more) == list(range(1000))
    assert not refused


@pytest.mark.parametrize(
    "stray", [seconds(0, 1, session="t"), seconds(0, 5, session="t"), chunk(0, [7], session="t")]
)
def test_an_odd_first_chunk_of_another_session_ends_nothing(stray: Chunk) -> None:
    events, refused = push(
        Sessions(4),
        *logged(*(seconds(k, 1) for k in range(20)), stray, *(seconds(k, 1) for k in range(20, 40))),
    )
    assert of_session("s", events) == list(range(4000))
    assert not any(isinstance(e, Ended) for e in events)
    assert ["session: 't' was seen in its beginning and then given up" in r.reason for r in refused] == [True]


def test_the_last_chunks_of_the_session_before_may_come_between_those_of_a_new_one() -> None:
    late = [seconds(k, 1) for k in range(5, 10)]
    new = [seconds(k, 1, session="t") for k in range(10)]
    in_turn = [c for pair in zip(late, new, strict=False) for c in pair]
    events, refused = push(Sessions(4), *logged(*(seconds(k, 1) for k in range(5)), *in_turn, *new[5:]))
    assert of_session("s", events) == list(range(1000))
    assert of_session("t", events) == list(range(1000))
    assert not refused


def test_a_short_session_is_told_when_its_device_falls_silent() -> None:
    sessions = Sessions(4)
    push(sessions, *logged(seconds(0, 3), seconds(0, 2, session="t")))
    events: list[Event] = []
    sessions.end_all(events, [])
    assert [e for e in events if isinstance(e, Ended)] == [Ended("d", "s"), Ended("d", "t")]
    assert of_session("t", events) == list(range(200))


def test_who_begins_to_read_beside_an_odd_chunk_loses_nothing_of_the_session() -> None:
    around = [
        seconds(50, 1),
        seconds(51, 1),
        seconds(0, 1, session="t"),
        *(seconds(k, 1) for k in range(52, 70)),
    ]
    for first in range(3):
        events, _ = push(Sessions(4), *logged(*around[first:]))
        assert of_session("s", events) == list(range(5000 + 100 * min(first, 2), 7000))


def test_what_waits_of_other_sessions_is_bounded() -> None:
    sessions = Sessions(4)
    events, refused = push(
        sessions, *logged(seconds(0, 1), *(seconds(0, 1, session=f"s{k}") for k in range(100)), seconds(1, 1))
    )
    assert of_session("s", events) == list(range(200))
    assert len(sessions.devices["d"].candidates) == MAX_CANDIDATES
    assert len(refused) == 100 - MAX_CANDIDATES


@pytest.mark.parametrize("start", range(9))
def test_who_begins_to_read_beside_two_sessions_takes_the_one_that_is_whole_first_and_stays(
    start: int,
) -> None:
    """Two devices with one id, or a device that two gateways hear."""
    beside = [c for k in range(50, 100) for c in (seconds(k, 1), seconds(k - 40, 1, session="t"))]
    sessions = Sessions(4)
    events, _ = push(sessions, *logged(*beside[start:]))
    assert [e.session for e in events if isinstance(e, Ended)] == []
    first = next(e for e in events if isinstance(e, Piece)).session
    stream = sessions.devices["d"].stream
    assert stream is not None
    assert stream.session == first


def test_one_odd_session_in_the_middle_ends_nothing() -> None:
    events, refused = push(
        Sessions(4),
        (seconds(0, 1), Place(0)),
        (seconds(70, 1, session="t"), Place(1)),
        (seconds(1, 1), Place(2)),
    )
    assert samples_of(events) == list(range(200))
    assert "session: 't' was seen in its middle and then given up" in refused[0].reason


def test_a_silent_device_ends_by_the_logs_time() -> None:
    sessions = Sessions(4)
    others = [(seconds(k, 1, device_id="e"), Place(k + 1, 1000 * k)) for k in range(122)]
    push(sessions, (seconds(0, 1), Place(0, 0)), *others[:121])
    events: list[Event] = []
    sessions.sweep(events, [])
    assert events == []
    push(sessions, others[121])
    sessions.sweep(events, [])
    assert events == [Ended("d", "s")]
    assert list(sessions.devices) == ["e"]


def test_a_newcomer_beyond_the_bound_is_refused_and_the_others_go_on() -> None:
    events, refused = push(
        Sessions(1),
        (seconds(0, 1), Place(0)),
        (seconds(0, 1, device_id="e"), Place(1)),
        (seconds(1, 1), Place(2)),
    )
    assert samples_of(events) == list(range(200))
    assert "all 1 places are taken" in refused[0].reason


def test_a_device_on_two_partitions_is_refused_on_the_second() -> None:
    _, refused = push(Sessions(4), (seconds(0, 1), Place(0)), (seconds(1, 1), Place(0, 0, "", 3)))
    assert "live on [0], and came on [3]" in refused[0].reason
