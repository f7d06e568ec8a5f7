"""Around records that a client can't unpack, with a client that is a list of logs."""

from collections.abc import Iterable

import pytest

from ecgstream.detour import MAX_FRUITLESS, PATIENCE, Detour


class Client:
    """Logs of records, of which the bad ones make a read raise; what it had taken before them is lost, as aiokafka loses it."""

    def __init__(self, logs: dict[str, int], bad: Iterable[tuple[str, int]]) -> None:
        self.logs, self.bad = logs, set(bad)
        self.at = dict.fromkeys(logs, 0)

    def read(self, names: Iterable[str], n_records: int) -> dict[str, list[int]]:
        taken: dict[str, list[int]] = {}
        for name in names:
            end = min(self.logs[name], self.at[name] + n_records)
            if any((name, k) in self.bad for k in range(self.at[name], end)):
                raise ValueError(name)
            taken[name] = list(range(self.at[name], end))
            n_records -= len(taken[name])
            self.at[name] = end
        return taken


def read_all(client: Client, n_records: int) -> tuple[dict[str, list[int]], list[tuple[str, int]], int]:
    """What was read, what was left out, and in how many reads."""
    detour: Detour[str] = Detour(n_records)
    read: dict[str, list[int]] = {name: [] for name in client.logs}
    worked, left_out, reads = dict(client.at), [], 0
    while worked != client.logs:
        reads += 1
        turn = detour.turn
        try:
            taken = client.read([turn] if turn else client.logs, detour.n_records)
        except ValueError:
            if turn is None:
                client.at = dict(worked)
                assert detour.begin(name for name in client.logs if worked[name] < client.logs[name])
            elif detour.failed():
                left_out.append((turn, client.at[turn]))
                client.at[turn] += 1
                worked[turn] = client.at[turn]
            continue
        detour.passed(sum(map(len, taken.values())))
        for name, records in taken.items():
            read[name] += records
            worked[name] = client.at[name]
    return read, left_out, reads


@pytest.mark.parametrize("n_records", [1, 2, 3, 100, 4000])
@pytest.mark.parametrize(
    "bad",
    [
        [],
        [("b", 0)],
        [("a", 999), ("b", 500)],
        [("b", k) for k in (3, 4, 5, 800)],
        [("a", 0), ("b", 0), ("c", 0)],
    ],
)
def test_all_but_the_bad_records_are_read_once(n_records: int, bad: list[tuple[str, int]]) -> None:
    logs = {"a": 1000, "b": 900, "c": 1}
    read, left_out, _ = read_all(Client(logs, bad), n_records)
    assert sorted(left_out) == sorted(bad)
    assert read == {name: [k for k in range(n) if (name, k) not in bad] for name, n in logs.items()}


def test_the_place_is_found_by_halving() -> None:
    _, left_out, reads = read_all(Client({"a": 100_000}, [("a", 2_345)]), 4000)
    assert left_out == [("a", 2_345)]
    assert reads < 60


def test_what_raises_though_every_partition_reads_well_is_no_records_fault() -> None:
    detour: Detour[str] = Detour(10)
    for _ in range(MAX_FRUITLESS):
        assert detour.begin(["a"])
        detour.passed(3)
    assert not detour.begin(["a"])


def test_a_read_that_raised_by_chance_is_forgotten_once_records_come() -> None:
    detour: Detour[str] = Detour(10)
    for _ in range(5 * MAX_FRUITLESS):
        assert detour.begin(["a"])
        assert not detour.failed()
        for n_records in (5, 5):
            detour.passed(n_records)
        assert detour.turn is None
        detour.passed(1)


def test_a_partition_that_gives_nothing_is_not_waited_for_for_ever() -> None:
    detour: Detour[str] = Detour(10)
    detour.begin(["a", "b"])
    for _ in range(PATIENCE):
        assert detour.turn == "a"
        detour.passed(0)
    assert detour.turn == "b"


def test_after_a_rebalance_all_are_asked_together() -> None:
    detour: Detour[str] = Detour(10)
    detour.begin(["a", "b"])
    detour.failed()
    detour.end()
    assert (detour.turn, detour.n_records) == (None, 10)
    detour.passed(0)
