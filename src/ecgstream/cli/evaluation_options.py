"""The options of `ecgstream evaluate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Split(StrEnum):
    """Which records are judged."""

    dev = "dev"
    tune = "tune"
    train = "train"
    all = "all"


Data = Annotated[
    Path,
    typer.Option("--data", envvar="ECGSTREAM_DATA", help="Folder with the databases.", show_default=False),
]
ModelFolder = Annotated[
    Path | None, typer.Option("--model", help="Model folder; by default the model that comes with ecgstream.")
]
Which = Annotated[
    Split,
    typer.Option(
        "--split",
        help="Patients to judge; `train` and `tune`, which are learnt, are only for seeing how far a model overfits.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Folder for a page with confusion matrices, reliability and worst records."
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(
        "--predictions",
        help="CSV of every prediction, to score with your own tools: record, start_s, end_s, label, then each class's probability. The"
        " label needn't be the likeliest class: the order of beats names some, and a class may have an operating point.",
    ),
]
SegmentPredictions = Annotated[
    Path | None,
    typer.Option(
        "--predictions",
        help="CSV of every segment of 10 s, from which the tables can be counted: record, start_s, end_s, label (the AHA's group, from"
        " the annotations), patient, told (the acute rhythm that was told, or unreadable), shock (yes or no: whether one was called;"
        " no where unreadable), then each class's mean probability over the seconds decided by.",
    ),
]
Databases = Annotated[
    list[str],
    typer.Option(
        "--database",
        help="Folder below `--data` to judge instead, in PhysioNet's layout, such as `afdb`; again for more. One that nothing was"
        " learnt from is judged whole, each of its records, or of its folders, as a patient.",
    ),
]
Unjudged = Annotated[
    list[str],
    typer.Option(
        "--unjudged",
        help="A rhythm of the annotations, such as `AT` for `(AT`, whose time isn't judged; again for more. Any that has no class here"
        " has to be named so.",
    ),
]
Baseline = Annotated[
    bool,
    typer.Option(
        "--baseline/--no-baseline",
        help="Judge RR-interval AF detection, too. Its threshold is chosen on the training split of mitdb (`rhythms`) or of cinc2017;"
        " where that isn't below `--data`, it is left out.",
    ),
]
