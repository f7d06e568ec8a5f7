"""Wearables' faults: what they change, and what they leave alone."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from ecgstream.codec import InvalidRecord, decode
from ecgstream.messages import Chunk
from ecgstream.recordings import Recording
from ecgstream.simulator.devices import Delivery, Device, chunks_of, deliveries_of, fleet, merged
from ecgstream.simulator.faults import SIGNAL_FAULTS, STREAM_FAULTS, Fault, check, disturb, spoil
from ecgstream.simulator.noise import noise
from ecgstream.simulator.scenarios import Scenario

FS_HZ = 250.0
START_US = 1_700_000_000_000_000


def wave(seconds: int = 60) -> Recording:
    t = np.arange(round(seconds * FS_HZ)) / FS_HZ
    spikes = 1000.0 * np.exp(-(((t % 1.0) - 0.5) ** 2) / 2e-4)
    return Recording("wave", FS_HZ, "I", 1.0, np.round(spikes).astype(np.int16))


def device(recording: Recording | None = None, **more: object) -> Device:
    given: dict[str, object] = {
        "device_id": "d",
        "recording": recording or wave(),
        "session": "s",
        "start_us": START_US,
    }
    return Device(**(given | more))  # type: ignore[arg-type]


def disturbed(*faults: Fault, seed: int = 0) -> list[Delivery]:
    return list(disturb(chunks_of(device()), faults, seed=seed))


def firsts(deliveries: list[Delivery]) -> list[int]:
    return [round(d.chunk.first_sample / FS_HZ) for d in deliveries if d.chunk is not None]


def test_without_faults_deliveries_are_the_recording() -> None:
    deliveries = disturbed()
    assert deliveries == list(deliveries_of(device()))
    assert [d.at_s for d in deliveries] == [float(i + 1) for i in range(60)]
    together = np.concatenate([decode(Chunk, d.value).array() for d in deliveries])
    assert np.array_equal(together, wave().samples)


def test_missing_samples_are_not_sent() -> None:
    recording = wave(10)
    gapped = Recording("g", FS_HZ, "I", 1.0, recording.samples, missing=((600, 900),))
    chunks = list(chunks_of(device(gapped)))
    spans = [(c.first_sample, c.end_sample) for c in chunks]
    assert spans[:5] == [(0, 250), (250, 500), (500, 600), (900, 1000), (1000, 1250)]
    assert sum(c.n_samples for c in chunks) == 2200


def test_a_looped_recording_goes_on_in_its_session() -> None:
    chunks = chunks_of(device(wave(3), loop=True, from_sample=500))
    seen = [next(chunks) for _ in range(7)]
    assert [c.first_sample for c in seen] == [250 * i for i in range(7)]
    assert np.array_equal(seen[0].array(), seen[3].array())
    assert seen[6].start_us == START_US + 6_000_000


def test_a_fleet_comes_in_order_of_time_spread_over_the_chunk() -> None:
    members = fleet(wave(5), 10, prefix="p", session="s", start_us=START_US, phase_spread_s=1.0)
    found = list(merged([deliveries_of(member) for member in members]))
    assert len(found) == 50
    assert [d.at_s for d in found] == sorted(d.at_s for d in found)
    assert len({round(d.at_s, 6) % 1.0 for d in found[:10]}) == 10
    assert found[3].chunk is not None
    assert found[3].chunk.start_us == START_US + 300_000


def test_dropout_is_a_gap() -> None:
    assert firsts(disturbed(Fault(kind="dropout", at_s=10, for_s=5))) == [*range(10), *range(15, 60)]


def test_duplicates_are_equal() -> None:
    found = disturbed(Fault(kind="duplicate", at_s=10, for_s=2))
    assert len(found) == 62
    assert found[10].value == found[11].value
    assert firsts(found)[9:15] == [9, 10, 10, 11, 11, 12]


def test_late_chunks_come_later_and_none_is_lost() -> None:
    found = disturbed(Fault(kind="late", at_s=10, for_s=1, size=3.5))
    assert firsts(found)[9:15] == [9, 11, 12, 13, 10, 14]
    assert sorted(firsts(found)) == list(range(60))


def test_reordered_chunks_change_places() -> None:
    assert firsts(disturbed(Fault(kind="reorder", at_s=10, for_s=1)))[9:13] == [9, 11, 10, 12]


def test_clocks_drift_and_jump() -> None:
    jumped = [d.chunk.start_us for d in disturbed(Fault(kind="clock-jump", at_s=10, size=-60)) if d.chunk]
    assert jumped[9] == START_US + 9_000_000
    assert jumped[10] == START_US - 50_000_000
    drifted = [d.chunk.start_us for d in disturbed(Fault(kind="clock-drift", size=500)) if d.chunk]
    assert drifted[40] == START_US + 40_000_000 + 20_000


def test_a_restart_counts_from_0_in_another_session() -> None:
    found = [
        d.chunk for d in disturbed(Fault(kind="restart", at_s=10), Fault(kind="restart", at_s=20)) if d.chunk
    ]
    assert [(c.session, c.first_sample) for c in found[9:12]] == [("s", 2250), ("s-r1", 0), ("s-r1", 250)]
    assert (found[20].session, found[20].first_sample) == ("s-r2", 0)
    assert found[20].start_us == START_US + 20_000_000


def test_lead_off_is_said() -> None:
    found = [d.chunk for d in disturbed(Fault(kind="lead-off", at_s=10, for_s=3)) if d.chunk]
    assert [i for i, c in enumerate(found) if c.lead_off] == [10, 11, 12]


def test_malformed_records_are_none() -> None:
    found = [d for d in disturbed(Fault(kind="malformed", at_s=10, for_s=20)) if d.chunk is None]
    assert len(found) == 20
    for delivery in found:
        try:
            chunk = decode(Chunk, delivery.value)
        except InvalidRecord:
            continue
        assert chunk.device_id.encode() != delivery.key


def test_random_faults_have_their_rate_and_repeat_with_their_seed() -> None:
    some = Fault(kind="dropout", rate=0.3)
    runs = [firsts(disturbed(some, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 28 <= len(runs[0]) <= 54


@pytest.mark.parametrize("kind", SIGNAL_FAULTS)
def test_signal_faults_change_their_stretch_alone(kind: str) -> None:
    before = wave()
    after = spoil(before, [Fault(kind=kind, at_s=20, for_s=10)])
    inside = slice(5000, 7500)
    assert not np.array_equal(before.samples[inside], after.samples[inside])
    assert np.array_equal(np.delete(before.samples, np.r_[inside]), np.delete(after.samples, np.r_[inside]))


def test_faults_look_as_they_are_called() -> None:
    stretch = {"at_s": 20.0, "for_s": 10.0}
    inside = slice(5000, 7500)

    def spoilt(kind: str, size: float | None = None) -> np.ndarray:
        return spoil(wave(), [Fault(kind=kind, size=size, **stretch)]).samples[inside].astype(float)

    assert np.abs(spoilt("clipping", 0.3)).max() == 300
    assert spoilt("gain", 0.5).max() == pytest.approx(wave().samples.max() / 2, abs=1)
    assert np.ptp(spoilt("flat")) == 0
    assert set(spoilt("saturation")) == {32767.0}
    hum = spoilt("mains", 0.2) - wave().samples[inside]
    spectrum = np.abs(np.fft.rfft(hum))
    assert np.fft.rfftfreq(len(hum), 1 / FS_HZ)[int(spectrum.argmax())] == pytest.approx(50.0)


@pytest.mark.parametrize("kind", ["motion", "muscle", "wander"])
@pytest.mark.parametrize("snr_db", [12.0, 0.0, -6.0])
def test_noise_has_the_ratio_asked_for(kind: str, snr_db: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECGSTREAM_DATA", raising=False)
    added = spoil(wave(), [Fault(kind=kind, size=snr_db)]).samples.astype(float) - wave().samples
    amplitude = float(wave().samples.max())
    assert 10 * np.log10(amplitude**2 / 8 / np.mean(added**2)) == pytest.approx(snr_db, abs=0.3)


def test_real_noise_is_used_where_it_is(data_folder: object) -> None:
    rng = np.random.default_rng(3)
    for kind in ("wander", "muscle", "motion"):
        real = noise(kind, 2500, 250.0, rng, real=True)
        assert real.shape == (2500,)
        assert np.isfinite(real).all()
        assert np.ptp(real) > 0


def test_noise_repeats_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECGSTREAM_DATA", raising=False)
    one, two = (noise("motion", 1000, 250.0, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(kind="gremlins"), "kind: expected one of"),
        (Fault(kind="dropout", rate=2.0), "rate: expected a share"),
        (Fault(kind="mains", rate=0.5), "has a stretch"),
        (Fault(kind="dropout", at_s=-1), "at_s, for_s: expected a stretch"),
        (Fault(kind="dropout", for_s=0.0), "at_s, for_s: expected a stretch"),
        (Fault(kind="dropout", at_s=float("nan")), "at_s, for_s: expected a stretch"),
        (Fault(kind="dropout", for_s=float("inf")), "at_s, for_s: expected a stretch"),
        (Fault(kind="gain", size=float("nan")), r"size: expected at most 1e\+06, got nan"),
        (Fault(kind="motion", size=-5000), "size: expected at most 100, got -5000"),
        (Fault(kind="late", size=-3.0), "size: expected 0 or more of late, got -3"),
    ],
)
def test_faults_that_cannot_be_are_refused(fault: Fault, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(fault)


def test_every_kind_is_one_or_the_other() -> None:
    assert not set(SIGNAL_FAULTS) & set(STREAM_FAULTS)


def looped(
    *faults: Fault, from_sample: int, n: int, missing: tuple[tuple[int, int], ...] = ()
) -> list[Chunk]:
    """The first `n` chunks of a device that streams a minute again and again, beginning at `from_sample`."""
    recording = replace(wave(), missing=missing)
    scenario = Scenario(title="t", about="a", expect=[], recording="toy", faults=list(faults))
    deliveries = scenario.deliveries_of(device(recording, from_sample=from_sample, loop=True))
    return [d.chunk for d in islice(deliveries, n) if d.chunk is not None]


def test_in_a_loop_faults_of_the_stream_stay_with_those_of_the_signal() -> None:
    """They are told by places of the recording, of which a fleet's devices begin at different ones."""
    off = Fault(kind="lead-off", at_s=10, for_s=5)
    found = looped(off, from_sample=7500, n=150)
    assert [i for i, c in enumerate(found) if c.lead_off] == [*range(40, 45), *range(100, 105)]


def test_a_stretch_without_an_end_ends_with_the_recording() -> None:
    found = looped(Fault(kind="lead-off", at_s=50), from_sample=0, n=120)
    assert [i for i, c in enumerate(found) if c.lead_off] == [*range(50, 60), *range(110, 120)]


def test_in_a_loop_a_device_restarts_and_its_clock_jumps_each_time_again() -> None:
    found = looped(
        Fault(kind="restart", at_s=10), Fault(kind="clock-jump", at_s=10, size=60), from_sample=7500, n=150
    )
    off_s = [(c.start_us - START_US) / 1e6 - i for i, c in enumerate(found)]
    assert off_s == [0.0] * 40 + [60.0] * 60 + [120.0] * 50
    assert [(c.session, c.first_sample) for c in (found[39], found[40], found[100])] == [
        ("s", 39 * 250), ("s-r1", 0), ("s-r2", 0),
    ]  # fmt: skip


def test_in_a_loop_a_clock_drifts_in_its_stretch_alone() -> None:
    found = looped(Fault(kind="clock-drift", at_s=10, for_s=20, size=1000), from_sample=0, n=150)
    off_us = [c.start_us - START_US - 1_000_000 * i for i, c in enumerate(found)]
    assert [off_us[i] for i in (10, 20, 30, 60, 75, 149)] == [0, 10_000, 20_000, 20_000, 25_000, 59_000]


def test_what_is_missing_at_the_start_moves_no_fault() -> None:
    """A device begins at the first sample that isn't missing; the place of a fault is the recording's."""
    found = looped(Fault(kind="lead-off", at_s=10, for_s=5), from_sample=0, n=20, missing=((0, 2000),))
    assert [i for i, c in enumerate(found) if c.lead_off] == list(range(2, 7))


def test_a_stretch_between_the_beginnings_of_two_chunks_strikes_the_chunk_that_it_is_in() -> None:
    assert firsts(disturbed(Fault(kind="dropout", at_s=10.2, for_s=0.5))) == [*range(10), *range(11, 60)]
    assert firsts(disturbed(Fault(kind="dropout", at_s=9.9, for_s=0.2))) == [*range(9), *range(11, 60)]
