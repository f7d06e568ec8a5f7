from aiokafka import ConsumerRecord, TopicPartition

from ecgstream.parking import MAX_PARKED, Note, Parking, read_note

TP, OTHER = TopicPartition("ecg.samples", 0), TopicPartition("ecg.samples", 1)


def record(offset: int, tp: TopicPartition = TP) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, b"d", b"x", 0, 1, 1, ())


def offsets(portions: list[list[ConsumerRecord[bytes, bytes]]]) -> list[list[tuple[int, int]]]:
    return [[(r.partition, r.offset) for r in portion] for portion in portions]


def parking() -> Parking:
    return Parking({}, "g", 4000)


def test_after_a_batch_that_raised_its_records_come_one_by_one_and_the_others_together() -> None:
    before = parking()
    before.portions({TP: [record(5)], OTHER: [record(9, OTHER)]})
    assert before.blame([record(6), record(7)], ValueError("x")) is None
    saved = before.at_crash()
    assert {tp: offset for tp, (offset, _) in saved.items()} == {TP: 5, OTHER: 9}
    after = parking()
    after._notes = {tp: read_note(text) for tp, (_, text) in saved.items()}
    fetched = {TP: [record(k) for k in (5, 6, 7, 8)], OTHER: [record(9, OTHER)]}
    assert offsets(after.portions(fetched)) == [[(0, 5), (1, 9)], [(0, 6)], [(0, 7)], [(0, 8)]]


def test_only_a_record_that_was_suspected_and_raises_alone_is_parked() -> None:
    p = parking()
    p.portions({TP: [record(5)]})
    assert p.blame([record(5)], ValueError("x")) is None  # alone, but for the first time
    letter = p.blame([record(5)], ValueError("x"))
    assert letter is not None
    assert (letter.parked, letter.offset) == (True, 5)
    assert offsets(p.portions({TP: [record(5), record(6)]})) == [[(0, 6)]]


def test_memory_that_ran_out_is_no_records_fault() -> None:
    p = parking()
    p.portions({TP: [record(5)]})
    assert p.blame([record(5)], MemoryError()) is None
    assert p.at_crash() == {TP: (5, "")}


def test_notes_go_along_with_commits_until_they_are_of_no_use() -> None:
    p = parking()
    p.portions({TP: [record(5)]})
    p._notes[TP] = Note((10, 12), (7, 9))
    assert read_note(p.with_notes({TP: 8}, {TP: 11})[TP][1]) == Note((10, 12), (9,))
    p.committed({TP: 8}, {TP: 13})
    assert p.at_crash() == {TP: (8, Note(None, (9,)).text())}
    p.committed({TP: 20}, {TP: 30})
    assert p.at_crash() == {TP: (20, "")}


def test_a_note_fits_into_kafkas_metadata_and_others_metadata_is_none() -> None:
    p = parking()
    for offset in range(10**15, 10**15 + 3 * MAX_PARKED):
        p.blame([record(offset)], ValueError())
        assert p.blame([record(offset)], ValueError()) is not None
        p._committed[TP] = 0
    text = p.at_crash()[TP][1]
    assert len(text) < 4096
    assert len(read_note(text).parked) == MAX_PARKED
    for theirs in (None, "", "aiokafka", "{", '{"suspects": "x"}'):
        assert read_note(theirs) == Note()
