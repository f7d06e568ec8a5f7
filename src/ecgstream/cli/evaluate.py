"""`ecgstream evaluate`: each claim measured by its field's protocol."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgstream.cli.evaluation_options import (
    AsJson,
    Baseline,
    Data,
    Databases,
    ModelFolder,
    Predictions,
    Report,
    SegmentPredictions,
    Split,
    Unjudged,
    Which,
)
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(evaluate)


@evaluate.command()
def beats(
    *,
    data: Data,
    as_json: AsJson = False,
    report: Report = None,
    databases: Databases = ["mitdb", "svdb"],  # noqa: B006
) -> None:
    """**Where the beats are**: sensitivity and +P of the detector (AAMI EC57)."""

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import beats as protocol

        return protocol.run(data, done, databases)

    tell(judge, data, as_json, report, None)


@evaluate.command()
def noise(*, data: Data, as_json: AsJson = False, report: Report = None) -> None:
    """**Beats in noise**: the noise stress test from 24 to -6 dB."""

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import noise_stress as protocol

        return protocol.run(data, done)

    tell(judge, data, as_json, report, None)


@evaluate.command()
def alarms(
    *,
    data: Data,
    model: ModelFolder = None,
    split: Which = Split.dev,
    as_json: AsJson = False,
    report: Report = None,
    databases: Databases = ["vfdb", "mitdb", "svdb"],  # noqa: B006
) -> None:
    """**The whole chain to the alert**: which events raise an alarm, how late, how often falsely.

    With `cinc2017` below `--data` also in short wearable recordings, unless databases are named.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import alarms as protocol

        return protocol.run(data, _model(model), split.value, done, databases)

    tell(judge, data, as_json, report, None)


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
    unjudged: Unjudged = [],  # noqa: B006
) -> None:
    """**Rhythms in long recordings**: sensitivity and +P by duration and by episode, as EC57 and `epicmp`
    count.

    On mitdb, and on vfdb, whose rhythms the long horizon is not trained on.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import protocols

        names = [name.removeprefix("(") for name in unjudged]
        return protocols.rhythms(
            data, _model(model), split.value, done, baseline=baseline, databases=databases, unjudged=names
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
    databases: Databases = ["vfdb", "mitdb"],  # noqa: B006
) -> None:
    """**Shockable rhythm**: VF and rapid VT against the AHA's goals, with one-sided 90 % lower bounds.

    In segments of 10 s on vfdb and mitdb.
    """

    def judge(done: Done) -> "Evaluation":
        from ecgstream.evaluation import acute as protocol

        return protocol.run(data, _model(model), split.value, done, databases)

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
