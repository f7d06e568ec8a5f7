"""The gateway's parts without a broker: chunks from samples, and the outbox on disk."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstream.codec import JSON, MSGPACK, InvalidRecord, decode
from ecgstream.gateway.chunks import Stream
from ecgstream.gateway.outbox import DiskOutbox, MemoryOutbox, OutboxError
from ecgstream.messages import Chunk

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


def fill(outbox: DiskOutbox | MemoryOutbox, n: int, start: int = 0, size: int = 100) -> None:
    for i in range(start, start + n):
        outbox.append(b"k%d" % (i % 7), b"%08d" % i + bytes(size - 8))


def numbers(outbox: DiskOutbox | MemoryOutbox, max_bytes: int = 10**9) -> list[int]:
    return [int(entry.value[:8]) for entry in outbox.peek(max_bytes)]


def drained(outbox: DiskOutbox | MemoryOutbox, round_bytes: int = 3000) -> list[int]:
    found: list[int] = []
    while entries := outbox.peek(round_bytes):
        found += [int(entry.value[:8]) for entry in entries]
        outbox.done(entries[-1].number)
    return found


def test_an_outbox_gives_back_all_in_order(tmp_path: Path) -> None:
    for outbox in (MemoryOutbox(10**9), DiskOutbox(tmp_path / "o", 10**7)):
        fill(outbox, 3000)
        assert (
            numbers(outbox)[:3] == numbers(outbox, 200)[:3] + numbers(outbox)[len(numbers(outbox, 200)) : 3]
        )
        assert drained(outbox) == list(range(3000))
        assert outbox.waiting == 0
        assert outbox.dropped == 0
        outbox.close()


def test_what_was_not_delivered_is_there_after_a_restart(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    fill(outbox, 2000)
    outbox.done(699)
    outbox.close()
    again = DiskOutbox(tmp_path, 10**7)
    assert again.waiting == 1300
    fill(again, 50, start=2000)
    assert drained(again) == list(range(700, 2050))
    again.close()


def test_a_half_written_entry_is_cut_off(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    fill(outbox, 10)
    outbox.close()
    segment = max(tmp_path.glob("*.segment"), key=lambda path: path.stat().st_size)
    with segment.open("ab") as file:
        file.write(struct.pack("<IIH", 1, 5000, 2) + b"torn")
    again = DiskOutbox(tmp_path, 10**7)
    fill(again, 5, start=10)
    assert drained(again) == list(range(15))
    again.close()


def test_at_the_bound_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    for outbox in (MemoryOutbox(400_000), DiskOutbox(tmp_path, 400_000)):
        fill(outbox, 10_000)
        assert outbox.waiting_bytes <= 400_000
        left = drained(outbox)
        assert left == list(range(10_000 - len(left), 10_000))
        assert outbox.dropped == 10_000 - len(left)
        assert len(left) > 2000
        outbox.close()


def test_segments_that_are_delivered_are_removed(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, 800_000)
    fill(outbox, 6000)
    assert len(list(tmp_path.glob("*.segment"))) > 3
    drained(outbox)
    assert len(list(tmp_path.glob("*.segment"))) == 1
    outbox.close()


def test_two_gateways_cannot_share_a_buffer(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, 10**6)
    with pytest.raises(OutboxError, match="another gateway uses it"):
        DiskOutbox(tmp_path, 10**6)
    outbox.close()


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "deliver", "restart"]), st.integers(1, 400)),
        min_size=1,
        max_size=25,
    )
)
@settings(deadline=None, max_examples=40)
def test_nothing_is_lost_or_repeated_whatever_happens_between(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    outbox = DiskOutbox(folder, 10**8)
    outbox._segment_bytes = 5000
    n, delivered = 0, []
    for what, size in steps:
        if what == "append":
            fill(outbox, size, start=n)
            n += size
        elif what == "deliver":
            entries = outbox.peek(size * 50)
            delivered += [int(entry.value[:8]) for entry in entries]
            if entries:
                outbox.done(entries[-1].number)
        else:
            outbox.close()
            outbox = DiskOutbox(folder, 10**8)
            outbox._segment_bytes = 5000
    assert outbox.waiting == n - len(delivered)
    delivered += drained(outbox)
    assert delivered == list(range(n))
    outbox.close()
