"""The gateway without a broker: chunks from samples, the outbox on disk, what is refused."""

import asyncio
import errno
import resource
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstream.codec import JSON, MAX_RECORD_BYTES, MSGPACK, InvalidRecord, decode
from ecgstream.gateway import DeliveryError, Gateway, PlainGateway
from ecgstream.gateway.chunks import Stream
from ecgstream.gateway.outbox import DiskOutbox, MemoryOutbox, OutboxError
from ecgstream.kafka import load_settings
from ecgstream.messages import MAX_SAMPLE, Chunk

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


def is_full(*_: object, **__: object) -> None:
    """What a full disk does in place of anything."""
    raise OSError(errno.ENOSPC, "full")


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


@pytest.mark.parametrize("lag", [0, 1, 30])
def test_an_outbox_that_is_emptied_as_it_fills_goes_on_from_file_to_file(tmp_path: Path, lag: int) -> None:
    outbox, got = DiskOutbox(tmp_path, 10**6), list[int]()
    for i in range(500):  # 1 kB each, over several files
        fill(outbox, 1, start=i, size=1000)
        if i >= lag:
            (entry, *_) = outbox.peek(1)
            got.append(int(entry.value[:8]))
            outbox.done(entry.number)
    assert got + drained(outbox) == list(range(500))
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


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: writes come up short, then fail, as on a disk that fills."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("n_bytes", [2500, 2224])  # within an entry, and between two
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_disk_that_fills_costs_only_what_was_refused(
    tmp_path: Path, n_bytes: int, is_restarted: bool
) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    with room_for(n_bytes):
        fill(outbox, 2, size=1100)
        for i in (2, 3):
            with pytest.raises(OSError, match="File too large"):
                fill(outbox, 1, start=i, size=1100)
    fill(outbox, 3, start=4, size=1100)
    if is_restarted:
        outbox.close()
        outbox = DiskOutbox(tmp_path, 10**7)
    assert (outbox.waiting, outbox.dropped) == (5, 0)
    assert drained(outbox) == [0, 1, 4, 5, 6]
    assert (outbox.waiting, outbox.dropped) == (0, 0)
    outbox.close()


def test_a_segment_that_cannot_be_begun_costs_only_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    outbox._segment_bytes = 1000
    fill(outbox, 9)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", is_full)
        with pytest.raises(OSError, match="full"):
            fill(outbox, 1, start=9)
    fill(outbox, 5, start=10)
    assert drained(outbox) == [*range(9), *range(10, 15)]
    assert outbox.dropped == 0
    outbox.close()


def spoil(segment: Path, position: int) -> None:
    with segment.open("r+b") as file:
        file.seek(position)
        file.write(b"\xff")


IN_A_VALUE, IN_A_LENGTH = 400, 340


@pytest.mark.parametrize(
    ("which", "position", "lost"),
    [(0, IN_A_VALUE, 6), (1, IN_A_VALUE, 6), (1, IN_A_LENGTH, 6), (-1, IN_A_VALUE, 5)],
)
def test_what_a_damaged_segment_lost_is_told_at_the_start(
    tmp_path: Path, which: int, position: int, lost: int
) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    outbox._segment_bytes = 1000
    fill(outbox, 35)
    outbox.done(1)
    outbox.close()
    segments = sorted(tmp_path.glob("*.segment"))
    assert len(segments) == 4
    spoil(segments[which], position)
    again = DiskOutbox(tmp_path, 10**7)
    waiting, dropped = again.waiting, again.dropped
    left = drained(again)
    assert dropped == lost
    assert len(left) == waiting == 33 - lost
    assert again.dropped == dropped
    again.close()


def test_damage_while_it_runs_is_skipped_and_counted(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, 10**7)
    outbox._segment_bytes = 1000
    fill(outbox, 25)
    for segment in sorted(tmp_path.glob("*.segment"))[1:]:  # the last one is still written to
        spoil(segment, IN_A_VALUE)
    assert drained(outbox) == [*range(12), *range(18, 21)]
    assert outbox.dropped == 10
    fill(outbox, 5, start=25)
    assert drained(outbox) == list(range(25, 30))
    outbox.close()


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


def nowhere(**more: object) -> Gateway:
    """A gateway whose broker is away."""
    settings = load_settings({}, bootstrap_servers="127.0.0.1:1")
    return Gateway(settings, close_timeout_s=0.1, **more)  # type: ignore[arg-type]


def is_closed(folder: Path) -> bool:
    """Whether the gateway has let go of its buffer."""
    DiskOutbox(folder, 10**6).close()
    return True


async def test_an_error_that_no_try_would_mend_is_told_to_whoever_adds_samples(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = nowhere(buffer=tmp_path)
    gateway._options["bootstrap_servers"] = "localhost:abc"
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)

    async def use() -> None:
        async with gateway:
            stream.add([0] * 1000)
            assert gateway._task is not None
            await asyncio.wait({gateway._task}, timeout=10)
            with pytest.raises(DeliveryError, match="ValueError") as told:
                stream.add([0] * 1000)
            assert isinstance(told.value.__cause__, ValueError)
            with pytest.raises(DeliveryError, match="ValueError"):
                gateway.publish(b"w", b"x")

    with pytest.raises(DeliveryError, match="nothing is delivered any more: ValueError"):
        await use()
    state = gateway.state
    assert (state.taken, state.waiting, state.failures) == (4, 4, 1)
    assert "ValueError" in str(state.last_error)
    assert "nothing is delivered any more" in caplog.text
    assert is_closed(tmp_path)


async def test_a_buffer_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskOutbox, "peek", is_full)

    async def use() -> None:
        async with nowhere(buffer=tmp_path) as gateway:
            gateway.publish(b"w", b"x")

    with pytest.raises(DeliveryError, match=r"OSError: .* full"):
        await use()
    assert is_closed(tmp_path)


async def test_the_buffer_is_let_go_where_the_last_samples_do_not_fit_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use() -> None:
        async with nowhere(buffer=tmp_path) as gateway:
            gateway.stream("w", fs_hz=250, uv_per_lsb=1).add([0] * 100)
            monkeypatch.setattr(DiskOutbox, "append", is_full)

    with pytest.raises(OSError, match="full"):
        await use()
    assert is_closed(tmp_path)


async def test_a_record_that_no_monitor_would_take_is_refused() -> None:
    async with nowhere() as gateway:
        gateway.publish(b"w", bytes(MAX_RECORD_BYTES))
        with pytest.raises(ValueError, match=f"value: {MAX_RECORD_BYTES + 1} bytes"):
            gateway.publish(b"w", bytes(MAX_RECORD_BYTES + 1))
        with pytest.raises(ValueError, match="key: 2000 bytes"):
            gateway.publish(bytes(2000), b"x")
        assert (gateway.state.taken, gateway.state.waiting) == (1, 1)


def test_a_gateway_with_a_name_takes_devices_of_its_own_only() -> None:
    gateway = Gateway(load_settings({}, gateway="acme"))
    assert gateway.stream("acme.watch-17", fs_hz=250, uv_per_lsb=1).device_id == "acme.watch-17"
    for other in ("watch-17", "acme", "acmes.watch-17", "other.watch-17"):
        with pytest.raises(ValueError, match=f"device_id: '{other}' at gateway acme"):
            gateway.stream(other, fs_hz=250, uv_per_lsb=1)


async def test_outside_its_block_a_gateway_takes_nothing() -> None:
    gateway = nowhere()
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        stream.add([0] * 250)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        await gateway.drain()
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        _ = gateway.state
    async with gateway:
        stream.add([0] * 250)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        stream.add([0] * 250)
    assert gateway.state.taken == 2


@pytest.mark.timeout(20)
def test_outside_its_block_a_plain_gateway_takes_nothing() -> None:
    gateway = PlainGateway(load_settings({}, bootstrap_servers="127.0.0.1:1"), close_timeout_s=0.1)
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="use it in `with`"):
            stream.add([0] * 250)
        with pytest.raises(RuntimeError, match="use it in `with`"):
            gateway.drain()
        with pytest.raises(RuntimeError, match="use it in `with`"):
            _ = gateway.state
        with gateway:
            stream.add([0] * 250)
            assert gateway.state.taken >= 2


@pytest.mark.timeout(20)
def test_a_thread_that_goes_on_after_a_plain_gateway_is_told() -> None:
    gateway = PlainGateway(load_settings({}, bootstrap_servers="127.0.0.1:1"), close_timeout_s=0.1)
    told: list[str] = []

    def go_on() -> None:
        try:
            while True:
                gateway.publish(b"w", b"x")
        except RuntimeError as error:
            told.append(str(error))

    thread = threading.Thread(target=go_on, daemon=True)
    with gateway:
        thread.start()
        while not gateway.state.taken:
            pass
    thread.join(10)
    assert len(told) == 1
    assert "use it in" in told[0]
