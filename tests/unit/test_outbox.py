"""What waits to be delivered, in memory and on disk: in order, once, and what is lost is told."""

import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstream.gateway.outbox import DiskOutbox, MemoryOutbox, OutboxError
from fakes import is_full


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
