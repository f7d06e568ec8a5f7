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
the rhythm of the last {rhythm_s} s. Written by `ecgstream train`; `model.json` beside this holds everything below in full.

## Intended use

Research and development of streaming rhythm monitoring on adult single-lead ECG. **Not a medical device and not for critical care**: it
has no regulatory clearance, and nobody's treatment may rest on it alone. Alerts are made from its output together with beats, rate and
duration (`ecgstream.events`), never from a probability alone.

## Classes

| head | horizon | classes |
|---|---|---|
| beat | the frame of each R peak ({field_s:.1f} s of signal), {n_beat_measured} figures of the beat among those around it | {beats} |
| acute | {acute_s} s | {acute} |
| rhythm | {rhythm_s} s | {rhythms} |

## Learnt from

{data}. Records: {records}. Split {split}. Never trained or tuned on: MIT-BIH {mitdb_dev}; SVDB {svdb_dev}; a fifth of CinC 2017.
The encoder has not seen VFDB; the acute head that serves has, and `acute-fold-K.onnx` are its twins that have not seen fold K.

Rhythms learnt from few patients are leads, not findings: junctional from 1, block from 0, idioventricular from 2, bigeminy
from 4, SVT from 2, paced from 4 patients of MIT-BIH. CinC 2017's "other" teaches that something else is there, not what.
Bigeminy, trigeminy, SVT and VT are named by the order of the beats, not by this head.

The class of a beat is an opinion of two, three parts of ten that of gradient-boosted trees on its figures alone, weighed by
logarithms. Both learnt beats that were made in normal recordings, too.

## Calibration and operating points

The rhythm is an opinion of two: the network, and gradient-boosted trees on {n_measured} figures measured in the same window (RR
intervals, the shapes of QRS, P and T, noise). What their log-probabilities weigh: {rhythm_weights}; offsets of the labels' logits:
{offsets}. Temperatures: {temperatures}. Operating points: the probability below which a rhythm isn't named in a stream,
{thresholds}; what each label's probability weighs where a whole recording gets one, {weights}. Chosen on a tenth of
CinC 2017, by weights and trees as they were before that tenth was learnt (epoch {join_epoch}), and on VFDB out of fold. A few patients of
SVDB and MIT-BIH are learnt no earlier either (`tune` in ecgstream.training.splits): by them the beat head's form was chosen.

## Measured while training

{metrics}

## Measured by each field's protocol

{measured}

## Known to fail

- Ectopy with an irregular ventricular response can read as AF, and flutter with fixed conduction as sinus or SVT.
- Supraventricular ectopic beats with little prematurity are missed; aberrant ones are called ventricular.
- Figures of supraventricular beats flatter: two rules (`ecgstream.patterns`) were suggested by errors on the very patients that they are
  measured on. By folds of all others they are lower; docs/evaluation.md has both.
- In a long run of VT, once its beats are the usual ones, they are called supraventricular; alerts count them to the run. In a long
  SVT they are called normal after some twenty seconds; a rule goes on with the run for half a minute.
- VT and VF pass into one another; coarse VF can be called VT and polymorphic VT can be called VF. Either is an alarm.
- Strong electrode motion looks like VF to any single lead; signal quality gates it, which costs readable time.
- Children, pacemakers with spikes filtered away and leads unlike I or II are hardly in the data.

## Files

{files}

Trained in {seconds} s on {machine}; seed {seed}.
"""


UNMEASURED = "Not yet: `ecgstream evaluate card --data DIR --model DIR` writes all figures, with their intervals, here."


def write_card(
    folder: Path, evaluations: Sequence["Evaluation"] = (), windows_a_second: float | None = None
) -> None:
    """Write `README.md` of a model folder from its `model.json` and what was measured of it."""
    spec = msgspec.json.decode((folder / "model.json").read_bytes(), type=ModelSpec)
    training = spec.training
    dev = training["dev_records"]
    text = TEXT.format(
        name=spec.name,
        acute_s=spec.acute.window_s,
        rhythm_s=spec.rhythm.window_s,
        field_s=spec.beat_field_samples / spec.fs_hz,
        beats=", ".join(spec.beat_classes),
        n_beat_measured=len(spec.beat_measurements),
        acute=", ".join(spec.acute_classes),
        rhythms=", ".join(spec.rhythm_classes),
        data=training["data"],
        records=_listed(training["records"]),
        split=training["split"],
        mitdb_dev=", ".join(dev["mitdb"]),
        svdb_dev=", ".join(dev["svdb"]),
        temperatures=_listed({k: round(v, 3) for k, v in spec.temperatures.items()}),
        n_measured=len(spec.measurements),
        rhythm_weights=_listed(spec.rhythm_weights),
        offsets=_listed(spec.rhythm_offsets),
        thresholds=_listed(spec.thresholds),
        weights=_listed(spec.record_weights),
        join_epoch=training["config"]["join_epoch"],
        metrics="\n".join(f"- {name}: {_listed(values)}" for name, values in spec.metrics.items()),
        measured=_measured(evaluations, windows_a_second) if evaluations else UNMEASURED,
        files="\n".join(f"- `{name}` sha256 `{digest[:16]}…`" for name, digest in spec.sha256.items()),
        seconds=training["seconds"],
        machine=training["machine"],
        seed=training["config"]["seed"],
    )
    (folder / "README.md").write_text(text)


def _measured(evaluations: Sequence["Evaluation"], windows_a_second: float | None) -> str:
    from ecgstream.evaluation.results import markdown

    lines = [
        "Per cent, with 95 % intervals, on records and patients that nothing was trained or tuned on.",
        "",
    ]
    for evaluation in evaluations:
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
