"""What an evaluation says that the monitor said, against what the monitor says."""

import numpy as np
import pytest

from ecgstream.analysis import Analyzer
from ecgstream.evaluation.labels import told
from ecgstream.evaluation.sources import Source, pieces_of
from ecgstream.evaluation.streaming import stream_records
from ecgstream.model_folder import load_model
from ecgstream.pieces import Piece
from ecgstream.recordings import toy_recording
from ecgstream.shipped import shipped_model
from evaluation_streams import RHYTHMS, stream


@pytest.mark.parametrize("missing", [(), ((360 * 100, 360 * 107),)])
def test_evaluation_names_what_the_monitor_names(missing: tuple[tuple[int, int], ...]) -> None:
    toy, model = toy_recording(), load_model(shipped_model())
    samples = toy.samples.copy()
    samples[360 * 200 : 360 * 203] = np.random.default_rng(1).integers(-30000, 30000, 360 * 3)  # unreadable
    source = Source("mitdb", "208", "208", toy.fs_hz, toy.uv_per_lsb, samples, missing)
    analyzer, findings = Analyzer(model, 1), []
    for first, uv_per_lsb, lead_off, part in pieces_of(source):
        piece = Piece("a", "s", first, source.fs_hz, uv_per_lsb, 1_790_000_000_000_000, lead_off, part)
        findings += analyzer.feed([piece])
    (streamed,) = stream_records(model, [source])
    evaluated = list(told(streamed, model.rhythm_classes, model.thresholds))
    assert len(findings) > 60
    assert {f.rhythm for f in findings} >= {None, "sinus"}
    for finding in findings:
        rhythm, _, kinds = evaluated[finding.window]
        assert (finding.window, rhythm, kinds) == (
            finding.window,
            finding.rhythm,
            [beat.kind for beat in finding.beats],
        )


def test_a_beat_counts_from_the_second_it_is_found_and_its_class_from_the_second_it_comes() -> None:
    seen = list(told(stream(seconds=60, beats_s=[30.5], beats=["V"]), RHYTHMS))
    assert [seen[k].kinds for k in (30, 31, 33, 34, 59)] == [[], ["Q"], ["Q"], ["V"], ["V"]]


def test_a_rhythm_is_named_of_twenty_readable_seconds() -> None:
    named = [f.rhythm for f in told(stream(seconds=60, unreadable=[*range(5), 30]), RHYTHMS)]
    assert named == [None] * 24 + ["sinus"] * 36
