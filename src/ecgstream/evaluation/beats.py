"""Where the beats are: sensitivity and +P of the serving front end, as ANSI/AAMI EC57 counts them.

Each recording goes through `ecgstream.frontend` in pieces of one second, lead 0, causally. Beats are matched one to one within
150 ms, from 5:00 on, outside ventricular fibrillation and flutter (``[`` to ``]``). *Shutdown* is what the quality gate
calls unreadable: the second table leaves it out and says how much of the time and of the beats it is, the first leaves nothing out.

Nothing in the detector is learnt, so every record is judged, whatever the split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstream import beats, resampling
from ecgstream.evaluation.annotated import read_references
from ecgstream.evaluation.beat_classes import is_scored, match
from ecgstream.evaluation.chosen import named, unannotated
from ecgstream.evaluation.progress import expect
from ecgstream.evaluation.references import LEARNING_S, Reference, records_of
from ecgstream.evaluation.results import Cell, Evaluation, Shown, Table, fixed
from ecgstream.evaluation.sources import Source, SourcePiece, read_source
from ecgstream.frontend import FrontEnd
from ecgstream.messages import Quality
from ecgstream.training.splits import MITDB_PACED

DATABASES = ("mitdb", "svdb")
FS_HZ = resampling.MODEL_FS_HZ
DETECTOR = "the front end (no model)"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detected:
    """What the front end says of a recording: R peaks [s], float64 (m,), sorted; the seconds that it shuts down, bool (n_s,)."""

    source: Source
    beats_s: Floats
    shut: NDArray[np.bool_]

    def is_shut(self, times_s: Floats) -> NDArray[np.bool_]:
        """Whether each time lies in a shut second: bool, shape of `times_s`."""
        seconds = np.minimum(times_s.astype(np.int64), len(self.shut) - 1)
        return self.shut[seconds] if len(self.shut) else np.zeros(len(times_s), bool)


@dataclass
class Count:
    """Beats found, missed and found where there is none; the same within shutdown; errors of the R peaks [s]."""

    found: int
    missed: int
    false: int
    shut_found: int
    shut_missed: int
    shut_false: int
    shut_s: float
    judged_s: float
    errors_s: Floats


def detect(source: Source) -> Detected:
    """Run the serving front end over a recording in pieces of one second."""
    front_end = FrontEnd(1)
    front_end.start(0, source.fs_hz, 0)
    size = round(source.fs_hz)
    blocks = []
    for at in range(0, len(source.samples), size):
        piece = SourcePiece(at, source.uv_per_lsb, False, source.samples[at : at + size])
        blocks += front_end.feed([(0, piece)])
    blocks += front_end.finish(0)
    found = np.concatenate([b.beats for b in blocks]) if blocks else np.empty(0)
    return Detected(
        source, np.sort(found) / FS_HZ, np.array([b.quality is Quality.UNREADABLE for b in blocks], bool)
    )


def count(reference: Reference, detected: Detected) -> Count:
    """Count one record by EC57's rules."""
    pairs = match(reference.beats_s, detected.beats_s)
    extra = np.ones(len(detected.beats_s), bool)
    extra[pairs[pairs >= 0]] = False
    judged = np.array([is_scored(reference, t) for t in reference.beats_s], bool)
    judged_extra = np.array([is_scored(reference, t) for t in detected.beats_s], bool) & extra
    shut, shut_extra = detected.is_shut(reference.beats_s), detected.is_shut(detected.beats_s)
    found, missed = judged & (pairs >= 0), judged & (pairs < 0)
    return Count(
        int((found & ~shut).sum()),
        int((missed & ~shut).sum()),
        int((judged_extra & ~shut_extra).sum()),
        int((found & shut).sum()),
        int((missed & shut).sum()),
        int((judged_extra & shut_extra).sum()),
        float(detected.shut[int(LEARNING_S) :].sum()),
        float(max(0, len(detected.shut) - LEARNING_S)),
        detected.beats_s[pairs[found]] - reference.beats_s[found],
    )


def share(part: float, whole: float) -> float:
    """`part / whole`, NaN where there is nothing to count."""
    return part / whole if whole else float("nan")


def figures(counts: Sequence[Count], gated: bool) -> tuple[int, float, float, int, int]:
    """Beats, Se, +P, missed and false of pooled counts, with the shut seconds left out (`gated`) or not."""
    found = sum(c.found + (0 if gated else c.shut_found) for c in counts)
    missed = sum(c.missed + (0 if gated else c.shut_missed) for c in counts)
    false = sum(c.false + (0 if gated else c.shut_false) for c in counts)
    return found + missed, share(found, found + missed), share(found, found + false), missed, false


def rms_ms(errors_s: Floats) -> float:
    """Root mean square [ms]; NaN of nothing."""
    return float(np.sqrt(np.mean(errors_s**2)) * 1000) if len(errors_s) else float("nan")


def delays_s(source: Source) -> Floats:
    """How long after its R peak each beat is decided, float64 (m,), with the resampler's delay, as if samples came one by one."""
    step = 4
    resampled = resampling.whole(source.samples * np.float32(source.uv_per_lsb), source.fs_hz)
    detector = np.zeros(1, beats.STATE)
    beats.start(detector[0], 0)
    found, delays = np.empty(16), []
    for at in range(0, len(resampled) - step, step):
        m = beats.step(detector[0], beats.wavelet(), resampled[at : at + step], False, found)
        delays += [(at + step - position) / FS_HZ + resampling.DELAY_S for position in found[:m]]
    return np.array(delays)


COLUMNS = ("records", "beats", "Se", "+P", "missed", "false", "mean Se", "mean +P")
GATED = (*COLUMNS[:6], "shut time", "shut beats")
RECORD = ("record", "beats", "Se", "+P", "missed", "false", "R peak rms ms", "shut time")


def _gross(title: str, counts: Sequence[Count]) -> tuple[Cell, ...]:
    each = [figures([c], False)[1:3] for c in counts]
    return (title, *figures(counts, False), *(float(np.nanmean([e[k] for e in each])) for k in (0, 1)))


def _gated(title: str, counts: Sequence[Count]) -> tuple[Cell, ...]:
    time = share(sum(c.shut_s for c in counts), sum(c.judged_s for c in counts))
    shut = sum(c.shut_found + c.shut_missed for c in counts)
    return (title, *figures(counts, True), time, share(shut, figures(counts, False)[0]))


def evaluate(counts: dict[tuple[str, str], Count], delays: Floats) -> Evaluation:
    """Tables from the counts of (database, record) and the delays of decisions [s]."""
    result = Evaluation("beats", DETECTOR, "all")
    databases = list(dict.fromkeys(database for database, _ in counts))
    groups = {db: [c for (d, _), c in counts.items() if d == db] for db in databases}
    rest = [c for (d, r), c in counts.items() if d == "mitdb" and r not in MITDB_PACED]
    groups = {k: v for k, v in {**groups, "mitdb without paced": rest}.items() if v}
    note = "EC57: 150 ms, from 5:00; mean: average of the records. Nothing is left out but VF and flutter."
    result.tables.append(Table("beats", COLUMNS, [_gross(k, v) for k, v in groups.items()], note))
    note = "The same without the seconds called unreadable (shutdown), which are tallied at the right."
    result.tables.append(
        Table("beats outside shutdown", GATED, [_gated(k, v) for k, v in groups.items()], note)
    )
    rows: list[tuple[Cell, ...]] = []
    for key, c in counts.items():
        time = share(c.shut_s, c.judged_s)
        rows.append(("/".join(key), *figures([c], False), fixed(rms_ms(c.errors_s), 1), time))
    result.tables.append(Table("records", RECORD, rows, "Nothing left out; shut time for information."))
    if len(delays):
        median, p99 = np.percentile(delays, [50, 99])
        errors = [(k, np.concatenate([c.errors_s for c in v])) for k, v in groups.items()]
        times: list[tuple[Cell, ...]] = [
            ("decision after the R peak, median", fixed(float(median), 2), "s"),
            ("decision after the R peak, 99 %", fixed(float(p99), 2), "s"),
        ]
        for name, e in errors:
            middle = float(np.median(e)) * 1000
            times.append((f"R peak error, {name}, rms", fixed(rms_ms(e), 1), "ms"))
            times.append((f"R peak error, {name}, median", Shown(middle, f"{middle:+.1f}"), "ms"))
        result.tables.append(
            Table("times", ("what", "value", "unit"), times, "Delay of the detector and resampler; mitdb.")
        )
    return result


def run(
    data: Path,
    done: Callable[[Detected], None] = lambda _detected: None,
    databases: Sequence[str] = DATABASES,
) -> Evaluation:
    """Judge every annotated record of databases in `data` (of `DATABASES` those that are there); `done` is told of each record."""
    counts: dict[tuple[str, str], Count] = {}
    delays = [np.empty(0)]
    is_usual = tuple(databases) == DATABASES
    wanted = {d: records_of(data, d, "all") for d in named(databases) if not is_usual or (data / d).is_dir()}
    if not wanted:
        raise FileNotFoundError(f"{data}: none of {', '.join(DATABASES)} there")
    references = read_references(data, wanted, None)
    for database in wanted:
        if not any((r.beats_s >= LEARNING_S).any() for r in references if r.database == database):
            raise unannotated("beat", database, data)
    expect(done, len(references))
    for reference in references:
        key = reference.database, reference.record
        detected = detect(read_source(data, *key, reference.patient, lead=0))
        counts[key] = count(reference, detected)
        if reference.database == "mitdb":
            delays.append(delays_s(detected.source))
        done(detected)
    return evaluate(counts, np.concatenate(delays))
