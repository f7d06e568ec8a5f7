"""From samples to valid chunks: what a stream of the gateway makes, and what it refuses."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstream.codec import JSON, MSGPACK, InvalidRecord, decode
from ecgstream.gateway.chunks import Stream
from ecgstream.messages import MAX_SAMPLE, Chunk
from fakes import is_full

START_US = 1_700_000_000_000_000


def stream_of(sent: list[Chunk], **more: object) -> Stream:
    def publish(key: bytes, value: bytes) -> None:
        chunk = decode(Chunk, value)
        assert key == chunk.device_id.encode()
        sent.append(chunk)

    given: dict[str, object] = {"fs_hz": 250.0, "uv_per_lsb": 2.5, "session": "s", "start_us": START_US}
    return Stream(publish, "watch-1", **(given | more))  # type: ignore[arg-type]


@given(cuts=st.lists(st.integers(0, 700), max_size=12), content_type=st.sampled_from([JSON, MSGPACK]))
@settings(deadline=None, max_examples=40)
def test_any_cutting_of_samples_gives_the_same_chunks(cuts: list[int], content_type: str) -> None:
    wave = np.arange(sum(cuts)) % 4000 - 2000
    sent: list[Chunk] = []
    stream = stream_of(sent, content_type=content_type)
    for part in np.split(wave, np.cumsum(cuts)[:-1]) if cuts else []:
        stream.add(part)
    stream.flush()
    assert [chunk.first_sample for chunk in sent] == list(range(0, len(wave), 250))
    assert [chunk.start_us for chunk in sent] == [START_US + 1_000_000 * i for i in range(len(sent))]
    together = np.concatenate([chunk.array() for chunk in sent]) if sent else np.zeros(0)
    assert np.array_equal(together, wave)


def test_a_gap_moves_the_counter_and_the_time() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    stream.add([1] * 300)
    stream.skip(500)
    stream.add([2] * 250)
    assert [(c.first_sample, c.n_samples) for c in sent] == [(0, 250), (250, 50), (800, 250)]
    assert sent[2].start_us == START_US + 3_200_000


def test_lead_off_and_restart_begin_new_chunks() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    stream.add([1] * 100)
    stream.set_lead_off(True)
    stream.add([0] * 50)
    stream.restart("s2", START_US + 10_000_000)
    stream.add([1] * 250)
    assert [(c.session, c.first_sample, c.lead_off) for c in sent] == [
        ("s", 0, False),
        ("s", 100, True),
        ("s2", 0, True),
    ]


def test_the_devices_clock_counts_where_it_is_told() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    stream.add([1] * 250)
    stream.add([1] * 250, at_us=START_US + 1_000_700)
    assert [c.start_us - START_US for c in sent] == [0, 1_000_700]


def test_the_first_time_is_when_the_first_samples_came() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent, start_us=None, now_us=lambda: START_US)
    stream.add([1] * 250)
    assert sent[0].start_us == START_US - 1_000_000


@pytest.mark.parametrize("samples", [[0.5], [40_000], [[1, 2]], ["1"]])
def test_samples_that_cannot_be_are_refused_and_nothing_is_taken(samples: list[object]) -> None:
    stream = stream_of([])
    with pytest.raises(ValueError, match="samples: expected"):
        stream.add(samples)  # type: ignore[arg-type]
    assert stream.next_sample == 0


@pytest.mark.parametrize(
    ("field", "value"), [("fs_hz", 20.0), ("uv_per_lsb", 0.0), ("lead", "x" * 40), ("chunk_s", 90.0)]
)
def test_settings_that_cannot_be_are_refused_at_once(field: str, value: object) -> None:
    with pytest.raises((InvalidRecord, ValueError), match=field):
        stream_of([], **{field: value})


@pytest.mark.parametrize(
    ("field", "act"),
    [
        ("start_us: expected an integer", lambda _: stream_of([], start_us=float(START_US))),
        ("start_us: -5", lambda _: stream_of([], start_us=-5)),
        ("session: 'a b'", lambda _: stream_of([], session="a b")),
        ("content_type: ", lambda _: stream_of([], content_type="text/plain")),
        ("at_us: expected an integer", lambda stream: stream.add([1], at_us=float(START_US))),
        ("start_us: -1", lambda stream: stream.add([1], at_us=-1)),
        ("session: 'a b'", lambda stream: stream.restart("a b", START_US)),
        ("start_us: expected an integer", lambda stream: stream.restart("s2", float(START_US))),
        ("start_us: None", lambda stream: stream.restart("s2")),
        ("first_sample: 2199023255652", lambda stream: stream.skip(2**41)),
        ("n_samples: expected an integer", lambda stream: stream.skip(250.0)),
        ("n_samples: -1", lambda stream: stream.skip(-1)),
    ],
)
def test_what_no_chunk_could_carry_is_refused_and_changes_nothing(
    field: str, act: Callable[[Stream], object]
) -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    stream.add([1] * 100)
    with pytest.raises(ValueError, match=field):
        act(stream)
    assert (sent, stream.next_sample) == ([], 100)
    stream.add([1] * 150)
    assert [(c.session, c.first_sample, c.start_us, c.n_samples) for c in sent] == [("s", 0, START_US, 250)]


def test_a_session_ends_before_its_samples_cannot_be_counted() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    stream.skip(MAX_SAMPLE - 250)
    stream.add([1] * 250)
    with pytest.raises(ValueError, match=f"samples: 1 from {MAX_SAMPLE} on"):
        stream.add([1])
    assert [c.end_sample for c in sent] == [MAX_SAMPLE]


def test_numbers_and_truth_values_of_any_kind_make_valid_chunks() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent, start_us=np.int64(START_US))
    stream.skip(np.int64(250))  # type: ignore[arg-type]
    stream.set_lead_off(1)  # type: ignore[arg-type]
    stream.add([1] * 250, at_us=np.int64(START_US))  # type: ignore[arg-type]
    stream.set_lead_off(np.bool_(False))  # type: ignore[arg-type]
    stream.add([1] * 250)
    assert [(c.first_sample, c.start_us, c.lead_off) for c in sent] == [
        (250, START_US, True),
        (500, START_US + 1_000_000, False),
    ]


def test_where_publishing_fails_the_newest_minute_is_held_and_goes_with_the_next_samples() -> None:
    sent: list[Chunk] = []
    stream = stream_of(sent)
    publish = stream._publish

    stream._publish = is_full
    for second in range(90):
        with pytest.raises(OSError, match="full"):
            stream.add([second] * 250, at_us=START_US + 1_000_100 * second)
    stream._publish = publish
    stream.add([90] * 250)
    assert [c.first_sample for c in sent] == list(range(30 * 250, 91 * 250, 250))
    assert [c.array()[0] for c in sent] == list(range(30, 91))
