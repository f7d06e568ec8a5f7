"""The rewind rule by hand-counted cases: 100 Hz, a mark every five seconds."""

from ecgstream.commits import MAX_MARKS, Marks, committable

FS = 100.0


def marks(n_seconds: int) -> Marks:
    """One record a second; the record at offset 10 k begins at second k."""
    made = Marks()
    for k in range(n_seconds):
        made.add(10 * k, 100 * k, FS)
    return made


def test_a_young_session_is_read_from_its_first_record() -> None:
    assert marks(30).rewind(28, FS) == 0
    assert marks(30).rewind(None, FS) == 0


def test_an_old_one_from_the_last_mark_that_is_long_enough_before() -> None:
    assert marks(300).rewind(259, FS) == 1400
    assert marks(300).rewind(260, FS) == 1450


def test_missing_samples_do_not_count_as_read() -> None:
    gappy = marks(300)
    gappy.gap(210 * 100, 20 * 100)
    assert gappy.rewind(260, FS) == 1250


def test_but_ten_minutes_are_enough_in_any_case() -> None:
    sparse = Marks()
    sparse.add(0, 0, FS)
    sparse.add(1, 1000, FS)
    sparse.gap(1100, 70_000)
    sparse.add(2, 71_100, FS)
    assert sparse.rewind(609, FS) == 0
    assert sparse.rewind(610, FS) == 1


def test_marks_beyond_the_head_go_when_their_record_was_refused() -> None:
    made = marks(10)
    made.add(500, 10**9, FS)
    made.forget_beyond(1000)
    made.add(600, 1500, FS)
    assert made.rewind(130, FS) == 600


def test_marks_are_bounded_and_a_longer_rewind_is_the_price() -> None:
    made = marks(100 * MAX_MARKS)
    assert len(made._marks) <= MAX_MARKS
    rewind = made.rewind(100 * MAX_MARKS - 1, FS)
    assert rewind is not None
    assert rewind <= 10 * (100 * MAX_MARKS - 116)


def test_a_partition_commits_the_least_that_any_session_needs() -> None:
    assert committable(90, [70, None, 40]) == 40
    assert committable(90, [None]) == 90
    assert committable(90, []) == 90
