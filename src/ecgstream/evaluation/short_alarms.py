"""Alerts in short wearable recordings, which have a label of their rhythm alone: CinC 2017's.

Nobody's heart stood still or fibrillated there: asystole and VF are false in any, and whatever is told of a normal recording is.
A fast or slow AF, or "other" rhythm, may be what it is called. Each recording begins as a stream does, with the electrodes just touched.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ecgstream.evaluation.alarm_chain import Told, streamed, told
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import read_cinc_labels
from ecgstream.evaluation.results import Cell, Table, Worst, fixed
from ecgstream.evaluation.sources import Source, read_source
from ecgstream.limits import Limits
from ecgstream.model_folder import CINC_CLASSES

if TYPE_CHECKING:
    from ecgstream import model_folder

DATABASE = "cinc2017"
FALSE_IN_ANY = ("asystole", "vf")
LESS_URGENT = ("pause", "v-run", "svt", "af")  # than those of high priority
AT_ONCE = 64


class Short(NamedTuple):
    """One recording, its label and its alerts."""

    source: Source
    label: str
    told: Sequence[Told]

    @property
    def false(self) -> list[Told]:
        """The alerts that its label rules out."""
        return [t for t in self.told if self.label == "N" or t.kind in FALSE_IN_ANY]


def judge(
    data: Path,
    model: "model_folder.Model",
    split: str,
    done: Callable[[Any], None],
    limits: Limits,
    kinds: Sequence[str],
) -> list[Short]:
    """The chain's alerts of some kinds in the recordings of a split; none where the database isn't in `data`."""
    if not (data / DATABASE).is_dir():
        return []
    labels = read_cinc_labels(data, split)
    expect(done, len(labels))
    records, judged = sorted(labels), []
    for i in range(0, len(records), AT_ONCE):
        sources = [read_source(data, DATABASE, r, r) for r in records[i : i + AT_ONCE]]
        for source, findings in zip(sources, streamed(model, sources), strict=True):
            short = Short(source, labels[source.record], told(findings, limits, kinds))
            judged.append(short)
            done(short)
    return judged


def table(judged: Sequence[Short], kinds: Sequence[str]) -> Table:
    """How many alerts of each kind there are by label, and how many of all are false."""
    found = Counter((t.kind, s.label) for s in judged for t in s.told)
    false = Counter(t.kind for s in judged for t in s.false)
    hours = sum(s.source.duration_s for s in judged) / 3600
    rows: list[tuple[Cell, ...]] = [
        (
            kind,
            *(found[kind, label] for label in CINC_CLASSES),
            false[kind],
            fixed(24 * false[kind] / hours, 1),
        )
        for kind in kinds
    ]
    recordings = Counter(s.label for s in judged)
    rows.append(("recordings", *(recordings[label] for label in CINC_CLASSES), None, None))
    columns = ("kind", *CINC_CLASSES, "false", "false per 24 h")
    note = (
        f"{len(judged)} recordings, {hours:.1f} h. False: asystole and VF in any, all others in normal ones."
    )
    return Table("Alerts in short wearable recordings", columns, rows, note)


def worst(judged: Sequence[Short]) -> list[Worst]:
    """Where an alert is false."""
    return [
        Worst(
            DATABASE,
            s.source.record,
            max(0, t.onset_s - 10),
            min(s.source.duration_s, t.onset_s + 20),
            f"{DATABASE}/{s.source.record} at {t.onset_s:.0f} s: {t.message} in a recording labelled {s.label}",
        )
        for s in judged
        for t in s.false
    ]
