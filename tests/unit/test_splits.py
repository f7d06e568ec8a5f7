"""No patient stands on two sides."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

from ecgstream.training import splits

ROOT = Path(__file__).parents[2]

MITDB = [str(r) for r in (*range(100, 125), *range(200, 235))]
SVDB = [str(r) for r in range(800, 895)]
CINC = [f"A{i:05d}" for i in range(1, 8529)]


def test_no_patient_stands_on_two_sides() -> None:
    for database, records in (("mitdb", MITDB), ("svdb", SVDB), ("cinc2017", CINC)):
        sides: dict[str, set[str]] = {}
        for record in records:
            side = splits.split_of(database, record)
            sides.setdefault(side, set()).add(splits.patient_of(database, record))
        assert {"train", "dev"} <= sides.keys()
        for one, other in itertools.combinations(sides.values(), 2):
            assert not one & other


def test_two_records_of_one_patient_stay_together() -> None:
    assert splits.patient_of("mitdb", "202") == splits.patient_of("mitdb", "201")
    assert splits.split_of("mitdb", "202") == splits.split_of("mitdb", "201")


def test_a_patient_under_noise_stands_where_the_patient_does() -> None:
    for patient in ("118", "119"):
        for record in (f"{patient}e24", f"{patient}e06", f"{patient}e_6"):
            assert splits.patient_of("nstdb", record) == patient
            assert splits.split_of("nstdb", record) == splits.split_of("mitdb", patient)
    assert splits.split_of("nstdb", "118e24") != splits.split_of("nstdb", "119e24")


def test_the_split_is_fixed() -> None:
    dev = [r for r in CINC if splits.split_of("cinc2017", r) == "dev"]
    tune = [r for r in CINC if splits.split_of("cinc2017", r) == "tune"]
    assert (len(dev), len(tune)) == (1613, 829)
    assert [r for r in SVDB[:13] if splits.split_of("svdb", r) == "dev"] == [
        "800",
        "803",
        "806",
        "807",
        "810",
        "812",
    ]


def test_some_patients_with_labelled_beats_are_learnt_late() -> None:
    late = {r for r in MITDB if splits.split_of("mitdb", r) == "tune"}
    assert {"108", "205", "223"} <= late
    assert not splits.MITDB_DEV & late
    late = {r for r in SVDB if splits.split_of("svdb", r) == "tune"}
    assert {"809", "822", "826", "828", "842", "859", "863", "872"} <= late


def test_folds_cover_all_patients_once() -> None:
    records = [str(r) for r in range(400, 620)]
    folds = [splits.fold_of("vfdb", r) for r in records]
    assert set(folds) == set(range(splits.VFDB_FOLDS))
    assert folds == [splits.fold_of("vfdb", r) for r in records]


def test_the_five_folds_of_cinc_2017_are_alike_in_size_and_each_record_is_in_one() -> None:
    sizes = Counter(splits.fold_of("cinc2017", record, 5) for record in CINC)
    assert sorted(sizes) == [0, 1, 2, 3, 4]
    assert sum(sizes.values()) == len(CINC)
    assert min(sizes.values()) > 0.9 * len(CINC) / 5


def test_the_page_names_mit_bih_s_records_that_nothing_was_learnt_from() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    (told,) = re.findall(r"Of MIT-BIH they are ([\d,\sand]+), of SVDB", page)
    (to_copy,) = re.findall(r"for r in ([\d ]+); do cp mitdb", page)
    unseen = re.findall(r"\d+", told)
    assert unseen == to_copy.split()
    training = json.loads((ROOT / "models" / "ecgstream-1" / "model.json").read_text())["training"]
    dev = training["dev_records"]["mitdb"]
    assert not set(unseen) & set(dev)
    assert len(set(unseen)) + len(dev) + training["records"]["mitdb"] == 48  # that MIT-BIH has
