"""Which events the annotations of a record hold that should raise an alarm.

| kind | annotated event |
|---|---|
| asystole | VFDB's ``(ASYS`` of 4 s or more; 4 s from beat to beat without fibrillation (MIT-BIH, SVDB) |
| vf | ``(VF``, ``(VFIB``, ``(VFL``, or ``[`` to ``]``, of 4 s or more |
| vt | 5 or more V beats over 100/min (MIT-BIH, SVDB: by beats); ``(VT`` of 4 s or more (VFDB) |
| extreme-tachycardia | 17 beats over 140/min, from the first of them (MIT-BIH, SVDB) |
| extreme-bradycardia | 5 beats under 40/min, from the first of them (MIT-BIH, SVDB) |
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from ecgstream.evaluation.references import Reference
from ecgstream.evaluation.spans import Span, union

FIBRILLATION = ("VF", "VFIB", "VFL")
LEAST_S = 4.0


def annotated(reference: Reference) -> dict[str, list[Span]]:
    """The events of each kind that the annotations hold."""
    rhythms = reference.rhythms
    vf = union(
        [(i.start_s, i.end_s) for i in (*rhythms, *reference.fibrillation) if i.label in (*FIBRILLATION, "[")]
    )
    asystole = union([(i.start_s, i.end_s) for i in rhythms if i.label == "ASYS"] + _silences(reference))
    vt = union([(i.start_s, i.end_s) for i in rhythms if i.label == "VT"])
    events = {"asystole": asystole, "vf": vf, "vt": vt}
    events = {kind: [s for s in spans if s[1] - s[0] >= LEAST_S] for kind, spans in events.items()}
    if len(reference.beats_s):
        events["vt"] = ventricular_runs(reference, 5)
    events["extreme-tachycardia"] = _at_rate(reference, 17, lambda bpm: bpm > 140)
    events["extreme-bradycardia"] = _at_rate(reference, 5, lambda bpm: bpm < 40)
    return events


def ventricular_runs(reference: Reference, n_beats: int) -> list[Span]:
    """Runs of at least `n_beats` V beats over 100/min."""
    runs, run = [], []
    for at_s, kind in [*zip(reference.beats_s, reference.kinds, strict=True), (np.inf, "N")]:
        if kind == "V":
            run.append(float(at_s))
            continue
        if len(run) >= n_beats and 60 * (len(run) - 1) > 100 * (run[-1] - run[0]):
            runs.append((run[0], run[-1]))
        run = []
    return runs


def _silences(reference: Reference) -> list[Span]:
    """From beat to beat where none is annotated for 4 s, and no fibrillation either."""
    silent = [(float(a), float(b)) for a, b in pairwise(reference.beats_s) if b - a >= LEAST_S]
    return [s for s in silent if not any(f.start_s < s[1] and f.end_s > s[0] for f in reference.fibrillation)]


def _at_rate(reference: Reference, n_beats: int, holds: Callable[[float], bool]) -> list[Span]:
    """Stretches in which `n_beats` in a row have such a rate; none across fibrillation, whose beats aren't marked."""
    beats = reference.beats_s
    spans = []
    for i in range(len(beats) - n_beats + 1):
        first, last = float(beats[i]), float(beats[i + n_beats - 1])
        fibrillates = any(f.start_s < last and f.end_s > first for f in reference.fibrillation)
        if not fibrillates and holds(60 * (n_beats - 1) / (last - first)):
            spans.append((first, last))
    return union(spans)
