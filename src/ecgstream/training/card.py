"""The model card: what the model is for, what it learnt from, how it was measured, where it fails. Written from `model.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ecgstream.model_folder import ModelSpec

if TYPE_CHECKING:
    from ecgstream.evaluation.results import Evaluation

TEXT = """# {name}

A deep 1D CNN that reads single-lead wearable ECG at 128 Hz: the type of each beat, the acute rhythm of the last {acute_s} s and
the rhythm of the last {rhythm_s} s. Written by ecgstream's training; `model.json` beside this holds everything below in full.

## Intended use

Research and development of streaming rhythm monitoring on adult single-lead ECG. **Not a medical device and not for critical care**: it
has no regulatory clearance, and nobody's treatment may rest on it alone. Alerts are made from its output together with beats, rate and
duration (`ecgstream.events`), never from a probability alone.{silent}

## Classes

| head | horizon | classes |
|---|---|---|
| beat | the frame of each R peak ({field_s:.1f} s of signal), {n_beat_measured} figures of the beat among those around it | {beats} |
| acute | {acute_s} s | {acute} |
| rhythm | {rhythm_s} s | {rhythms} |

## Learnt from

{learnt}

## Calibration and operating points

The rhythm is an opinion of two: the network, and gradient-boosted trees on {n_measured} figures measured in the same window (RR
intervals, the shapes of QRS, P and T, noise). What their log-probabilities weigh: {rhythm_weights}; offsets of the labels' logits:
{offsets}. Temperatures: {temperatures}. Operating points: the probability below which a rhythm isn't named in a stream,
{thresholds}; what each label's probability weighs where a whole recording gets one, {weights}.
{chosen}

## Measured while training

{metrics}

## Measured by each field's protocol

{measured}

## Known to fail

Of the networks that ecgstream was made with; docs/evaluation.md has their figures.

- Ectopy with an irregular ventricular response can read as AF, and flutter with fixed conduction as sinus or SVT. In some recordings
  whose experts marked supraventricular beats among even normal ones, long stretches are called AF; no rule takes that back.
- AF stands on few patients of long recordings (one of MIT-BIH held back), and to another source it carries over in part: of VFDB's AF
  little more than half was told, and more than half of what was called AF there wasn't.
- Junctional and idioventricular rhythm, block and VT are hardly ever rightly named by the long horizon on VFDB, and most of what it
  called paced there wasn't. VT is the acute head's to tell.
- Supraventricular ectopic beats with little prematurity are missed; aberrant ones are called ventricular.
- Figures of supraventricular beats flatter: two rules (`ecgstream.patterns`) were suggested by errors on the very patients that they are
  measured on. By folds of all others they are lower.
- In a long run of VT, once its beats are the usual ones, they are called supraventricular; alerts count them to the run. In a long
  SVT they are called normal after some twenty seconds; a rule goes on with the run for half a minute.
- Figures of shockable rhythm flatter: three rules (`ecgstream.evaluation.shocks`) were suggested by errors on the very patients that they
  are measured on. Over patients, of whom there are few, the bounds of coarse VF and asystole were under the goals'.
- Without these rules sinus rhythm with a wide QRS and giant T waves is called VT at 90 to 120 a minute, and a line that still moves after
  fibrillation, which VFDB calls asystole, is called VF.
- VT and VF pass into one another; coarse VF can be called VT and polymorphic VT can be called VF. Either is an alarm. VT often
  speaks as VF or as extreme tachycardia; which of them names it hangs on the run of training.
- About a third of the VT and VF alerts in VFDB stood away from any that is annotated.
- Strong electrode motion looks like VF to any single lead; signal quality gates it, which costs readable time.
- Children, pacemakers with spikes filtered away and leads unlike I or II are hardly in the data.

## Files

{files}

{trained}
"""


UNMEASURED = "Not yet: `ecgstream evaluate card --data DIR --model DIR` writes all figures, with their intervals, here."
INTRODUCTION = (
    "Per cent, on records and patients from which no weights were learnt; intervals are of 95 %, but for the lower bounds of shockable "
    "rhythm. Errors on some of these patients suggested rules, see below: such figures flatter."
)
ACUTE_NOTE = (
    "Lower bounds are one-sided at 90 %. Each patient of VFDB is judged by a head that never met them, where the folder has such heads. "
    "But VFDB set the temperature (out of fold), and errors on these very patients suggested the three rules by which a shock is called "
    "(`ecgstream.evaluation.shocks`), so its figures flatter."
)
FEW = 4  # patients
OF_CINC = ("sinus", "af", "other", "noise")  # which CinC 2017 teaches, too
NAMES = {"mitdb": "MIT-BIH", "svdb": "SVDB"}
SILENT = "\n\nIn this folder rhythms alone were learnt: the beat head says N and the acute head organised, whatever they see."


def write_card(
    folder: Path, evaluations: Sequence["Evaluation"] = (), windows_a_second: float | None = None
) -> None:
    """Write `README.md` of a model folder from its `model.json` and what was measured of it."""
    spec = msgspec.json.decode((folder / "model.json").read_bytes(), type=ModelSpec)
    training = spec.training
    config = training.get("config", {})
    text = TEXT.format(
        name=spec.name,
        acute_s=spec.acute.window_s,
        rhythm_s=spec.rhythm.window_s,
        field_s=spec.beat_field_samples / spec.fs_hz,
        beats=", ".join(spec.beat_classes),
        n_beat_measured=len(spec.beat_measurements),
        acute=", ".join(spec.acute_classes),
        rhythms=", ".join(spec.rhythm_classes),
        silent="" if _serves_all(spec) else SILENT,
        learnt=_learnt(spec),
        chosen=_chosen(spec),
        temperatures=_listed({k: round(v, 3) for k, v in spec.temperatures.items()}),
        n_measured=len(spec.measurements),
        rhythm_weights=_listed(spec.rhythm_weights),
        offsets=_listed(spec.rhythm_offsets),
        thresholds=_listed(spec.thresholds),
        weights=_listed(spec.record_weights),
        metrics="\n".join(f"- {name}: {_listed(values)}" for name, values in spec.metrics.items()),
        measured=_measured(evaluations, windows_a_second) if evaluations else UNMEASURED,
        files="\n".join(f"- `{name}` sha256 `{digest[:16]}…`" for name, digest in spec.sha256.items()),
        trained=_trained(training, config.get("seed")),
    )
    (folder / "README.md").write_text(text)


def _serves_all(spec: ModelSpec) -> bool:
    """Whether beats and acute rhythm were learnt, too; then there are acute heads by fold."""
    return any(name.startswith("acute-fold-") for name in spec.sha256)


def _learnt(spec: ModelSpec) -> str:
    """From what, as far as `model.json` tells."""
    training, told = spec.training, []
    if "data" in training:
        told.append(f"{training['data']}.")
    if "records" in training:
        told.append(f"Records: {_listed(training['records'])}.")
    if "split" in training:
        told.append(f"Split {training['split']}.")
    if "dev_records" in training:
        dev = training["dev_records"]
        held = "; ".join(f"{NAMES.get(d, d)} {', '.join(names)}" for d, names in dev.items() if names)
        told.append(f"Never trained or tuned on: {held}; a fifth of CinC 2017.")
    lines = [" ".join(told)]
    if not _serves_all(spec):
        return "\n".join(lines)
    lines += [
        "The encoder has not seen VFDB; the acute head that serves has, and `acute-fold-K.onnx` are its twins that have not seen fold K.",
        "",
        f'Rhythms learnt from few patients are leads, not findings{_few(training)}. CinC 2017\'s "other" teaches that something else is',
        "there, not what. Bigeminy, trigeminy, SVT and VT are named by the order of the beats, not by this head.",
        "",
        "The class of a beat is an opinion of two, three parts of ten that of gradient-boosted trees on its figures alone, weighed by",
        f"logarithms. {_made(training)} learnt beats that were made in normal recordings, too.",
    ]
    return "\n".join(lines)


def _few(training: dict[str, Any]) -> str:
    """Which rhythms those are, where that is known."""
    few = {
        name: n for name, n in training.get("rhythm_patients", {}).items() if n <= FEW and name not in OF_CINC
    }
    return (
        ": " + ", ".join(f"{name} from {n}" for name, n in few.items()) + " patients of MIT-BIH"
        if few
        else ""
    )


def _made(training: dict[str, Any]) -> str:
    return "Both" if training.get("config", {}).get("ectopy", 1) else "The trees"


def _chosen(spec: ModelSpec) -> str:
    """On what calibration and operating points were chosen, and by which weights."""
    config, whole = spec.training.get("config", {}), _serves_all(spec)
    epochs, join = config.get("epochs"), config.get("join_epoch")
    part = "a tenth of CinC 2017" if whole else "records of CinC 2017 kept for it"
    if epochs is None or join is None:
        by = "by weights and trees as they were before these were learnt"
    elif join < epochs:
        by = f"by weights and trees as they were before these were learnt (the weights after epoch {join} of {epochs})"
    else:
        by = (
            f"which the network never learnt (its {epochs} epochs ended before epoch {join}, after which it would have), "
            "and by trees as they were before they learnt it"
        )
    if not whole:
        return f"Chosen on {part}, {by}."
    late = (
        "are learnt no earlier either"
        if epochs is None or join is None or join < epochs
        else "weren't learnt by encoder, rhythm and beat heads either"
    )
    return (
        f"Chosen on {part}, {by}; the acute temperature on VFDB, out of fold. A few patients of\n"
        f"SVDB and MIT-BIH {late} (`tune` in ecgstream.training.splits): by them the beat head's form was chosen."
    )


def _trained(training: dict[str, Any], seed: int | None) -> str:
    time = f" in {training['seconds']} s on {training['machine']}" if "seconds" in training else ""
    return f"Trained{time}; seed {'unknown' if seed is None else seed}."


def _measured(evaluations: Sequence["Evaluation"], windows_a_second: float | None) -> str:
    from ecgstream.evaluation.results import markdown

    lines = [INTRODUCTION, ""]
    for evaluation in evaluations:
        lines += [ACUTE_NOTE, ""] if evaluation.kind == "acute" else []
        for table in evaluation.tables:
            if not table.title.startswith("by record"):
                lines += markdown(table, f"### {evaluation.kind}:")
    if windows_a_second is not None:
        lines += ["### Speed", ""]
        lines += [
            f"{windows_a_second:,.0f} windows a second on one core: 64 streams, one finding a second each.",
            "",
        ]
    return "\n".join(lines[:-1])


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
