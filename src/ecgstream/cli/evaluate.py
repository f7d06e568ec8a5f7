"""`ecgstream evaluate`: each claim measured by its field's protocol."""

import importlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgstream.cli.evaluation_output import Done, progress, tell, told_plainly

if TYPE_CHECKING:
    from ecgstream.evaluation.results import Evaluation
    from ecgstream.model_folder import Model

evaluate = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Measure a model on annotated recordings, by its field's protocol.\n\n"
    "`--data` is a folder with PhysioNet's databases as they are published (`cinc2017`, `mitdb`, `vfdb`, "
    "`svdb`, `nstdb`). Figures come from the `dev` split, which nothing was trained or tuned on, "
    "unless you ask otherwise. "
    "Intervals are 95 % by bootstrap over patients.",
)


class Split(StrEnum):
    """Which records are judged."""

    dev = "dev"
    tune = "tune"
    train = "train"
    all = "all"


# command, module of `ecgstream.evaluation`, whether it takes a model, help
ELSEWHERE = (
    ("beats", "beats", False, "**Where the beats are**: sensitivity and +P of the detector (AAMI EC57)."),
    ("noise", "noise_stress", False, "**Beats in noise**: the noise stress test from 24 to -6 dB."),
    (
        "alarms",
        "alarms",
        True,
        "**The whole chain to the alert**: which events raise an alarm, how late, how often falsely; with `cinc2017` below `--data` also"
        " in short wearable recordings.",
    ),
)
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
        " learnt from is judged whole, each of its records as a patient.",
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    for command, module, needs_model, text in ELSEWHERE:
        evaluate.command(command, help=text)(_command_of(module, needs_model))
    app.add_typer(evaluate)


@evaluate.command()
def cinc2017(
    *,
    data: Data,
    model: ModelFolder = None,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
    baseline: Baseline = True,
) -> None:
    """**Short wearable recordings**: F1 of normal, AF and other rhythm, and their mean; noise apart.

    PhysioNet/CinC Challenge 2017, REFERENCE-v3. The winners of the challenge reached 0.83 on its hidden
    test set, a vote of 45 algorithms 0.87.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import protocols

        return protocols.cinc2017(data, _model(model), split.value, done, baseline=baseline)

    tell(judge, data, as_json, report, predictions)


@evaluate.command()
def rhythms(
    *,
    data: Data,
    model: ModelFolder = None,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
    baseline: Baseline = True,
    databases: Databases = ["mitdb", "vfdb"],  # noqa: B006
) -> None:
    """**Rhythms in long recordings**: sensitivity and +P by duration and by episode, as EC57 and `epicmp`
    count.

    On mitdb, and on vfdb, whose rhythms the long horizon is not trained on.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import protocols

        return protocols.rhythms(
            data, _model(model), split.value, done, baseline=baseline, databases=databases
        )

    tell(judge, data, as_json, report, predictions)


@evaluate.command("beats-classes")
def beats_classes(
    *,
    data: Data,
    model: ModelFolder = None,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
    databases: Databases = ["mitdb", "svdb"],  # noqa: B006
) -> None:
    """**Beat types between patients**: sensitivity and +P of ventricular and supraventricular ectopic beats
    (AAMI EC57).

    On mitdb and svdb, from 5:00, matched within 150 ms, records with paced beats left out.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import protocols

        return protocols.beats_classes(data, _model(model), split.value, done, databases=databases)

    tell(judge, data, as_json, report, predictions)


@evaluate.command()
def acute(
    *,
    data: Data,
    model: ModelFolder = None,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    predictions: SegmentPredictions = None,
) -> None:
    """**Shockable rhythm**: VF and rapid VT against the AHA's goals, with one-sided 90 % lower bounds.

    In segments of 10 s on vfdb and mitdb.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import acute as protocol

        return protocol.run(data, _model(model), split.value, done)

    tell(judge, data, as_json, report, predictions)


@evaluate.command()
def cardiologists(
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of the test set.", show_default=False)],
    model: ModelFolder = None,
    as_json: AsJson = False,
    report: Report = None,
    predictions: Predictions = None,
) -> None:
    """**The public cardiologist test set** (Hannun 2019): sequence and set F1, beside six cardiologists' own.

    `--data` holds `<id>.ecg` (int16, 200 Hz), `<id>_grpN.episodes.json` (committee) and
    `<id>_revN.episodes.json`.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import cardiologists as protocol

        done.expect(sum(1 for _ in data.rglob("*.ecg")))
        return protocol.run(data, _model(model), done)

    tell(judge, data, as_json, report, predictions)


@evaluate.command()
def card(
    *,
    data: Data,
    model: Annotated[Path, typer.Option("--model", help="Model folder whose README.md is written anew.")],
) -> None:
    """**A model's card**: all figures of the network, with their intervals, and its speed, into the model folder's README.md."""
    with told_plainly(), progress() as done:
        from ecgstream.evaluation import protocols, speed
        from ecgstream.training.card import write_card

        loaded = _model(model)
        rate = speed.windows_a_second(loaded)
        write_card(model, protocols.of_the_network(data, loaded, done), rate)
    typer.echo(f"wrote {model / 'README.md'}")


def _model(folder: Path | None) -> "Model":
    from ecgstream import model_folder
    from ecgstream.shipped import shipped_model

    return model_folder.load_model(folder or shipped_model())


def _command_of(module: str, needs_model: bool) -> Callable[..., None]:
    """A command around `ecgstream.evaluation.<module>.run(data, model, split, done)`, or `run(data, done)` where no model is needed and
    all records are judged; neither makes predictions.
    """

    def judged(data: Path, judge: Callable[..., "Evaluation"], as_json: bool, report: Path | None) -> None:
        def judge_told(done: Done) -> "Evaluation":
            return judge(importlib.import_module(f"ecgstream.evaluation.{module}").run, done)

        tell(judge_told, data, as_json, report, None)

    def with_model(
        *,
        data: Data,
        model: ModelFolder = None,
        split: Which = Split.dev,
        as_json: AsJson = False,
        report: Report = None,
    ) -> None:
        judged(data, lambda run, done: run(data, _model(model), split.value, done), as_json, report)

    def without_model(*, data: Data, as_json: AsJson = False, report: Report = None) -> None:
        judged(data, lambda run, done: run(data, done), as_json, report)

    return with_model if needs_model else without_model
