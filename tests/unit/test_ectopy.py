"""Ectopic beats that are made in normal recordings: early, in their places, with the waves that they should have."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
from ecgstream.training import ectopy, examples, learn, losses
from ecgstream.training.corpus import Packed
from ecgstream.training.network import BEATS, FRAME, Network
from packed import record

pytestmark = pytest.mark.torch
SEEDS = range(60)
RR = 100  # samples


def waves(*bumps: tuple[float, float, float]) -> np.ndarray:
    """A beat of `RR` samples, R peak at 40: bumps of (centre, width, µV)."""
    at = np.arange(RR)
    beat: np.ndarray = sum(
        height * np.exp(-(((at - centre) / width) ** 2)) for centre, width, height in bumps
    )
    return beat


NORMAL = waves((18, 4, 120), (40, 2, 1000), (72, 8, 200))
WIDE = waves((40, 8, -1500), (70, 10, 500))


def regular(shapes: list[np.ndarray], **fields: object) -> Packed:
    """A recording of these beats, one after another."""
    peaks = np.arange(len(shapes)) * float(RR) + 40
    signal = np.concatenate(shapes).astype(np.int16)
    return record(signal=signal, peaks=peaks, beats=peaks, rhythms=[], **fields)


@pytest.fixture
def normal() -> Packed:
    return regular([NORMAL] * 36, database="cinc2017", label="N", kinds=np.empty(0, "U1"))


@pytest.fixture
def lent() -> list[np.ndarray]:
    kinds = np.array(list("NNNNV") * 4)
    return ectopy.lent_beats([regular([WIDE if k == "V" else NORMAL for k in kinds], kinds=kinds)])


def made(normal: Packed, lent: list[np.ndarray], kind: str) -> list[ectopy.Ectopic]:
    """What each seed makes of a recording, where it is of this kind."""
    all_made = [ectopy.with_ectopy(normal, lent, np.random.default_rng(seed)) for seed in SEEDS]
    found = [m for m in all_made if m is not None and kind in m.kinds]
    assert len(found) > 10
    return found


def around(signal: np.ndarray, peak: float, before: int, after: int) -> np.ndarray:
    return signal[int(peak) - before : int(peak) + after].astype(float)


@pytest.mark.parametrize("kind", ["S", "V"])
def test_an_ectopic_beat_is_early_and_no_beat_comes_at_once(
    kind: str, normal: Packed, lent: list[np.ndarray]
) -> None:
    for m in made(normal, lent, kind):
        before = np.diff(m.peaks)
        ectopic = m.kinds[1:] == kind
        assert len(m.kinds) == len(m.peaks)
        assert set(m.kinds) <= {"N", kind}
        assert before[ectopic].max() < RR
        assert before.min() >= ectopy.SOONEST
        assert m.kinds[0] == m.kinds[1] == "N"


def test_a_supraventricular_beat_keeps_its_qrs_and_most_have_another_p_wave(
    normal: Packed, lent: list[np.ndarray]
) -> None:
    own = around(normal.signal, normal.peaks[5], 6, 7)
    likeness, p_sizes = [], []
    for m in made(normal, lent, "S"):
        for peak in m.peaks[m.kinds == "S"]:
            likeness.append(np.corrcoef(around(m.signal, peak, 6, 7), own)[0, 1])
            p_sizes.append(np.ptp(around(m.signal, peak, 28, -14)))
    assert min(likeness) > 0.98
    assert np.std(p_sizes) > 20


def test_a_ventricular_beat_has_the_waves_that_were_lent_or_a_wide_qrs(
    normal: Packed, lent: list[np.ndarray]
) -> None:
    assert len(lent) == 1
    lent_shape = WIDE[40 - 12 : 40 + 13]
    likeness = [
        np.corrcoef(around(m.signal, peak, 12, 13), lent_shape)[0, 1]
        for m in made(normal, lent, "V")
        for peak in m.peaks[m.kinds == "V"]
    ]
    assert 0.4 < np.mean(np.array(likeness) > 0.95) < 1.0
    narrow = around(normal.signal, normal.peaks[5], 12, 13)
    for m in made(normal, [], "V"):
        for peak in m.peaks[m.kinds == "V"]:
            made_wide = around(m.signal, peak, 12, 13)
            assert np.abs(made_wide / np.abs(made_wide).max()).sum() > 1.3 * np.abs(narrow / 1000).sum()


def test_levels_meet_where_beats_are_joined(normal: Packed, lent: list[np.ndarray]) -> None:
    steepest = np.abs(np.diff(normal.signal.astype(int))).max()
    for kind in "SV":
        for m in made(normal, lent, kind):
            assert np.abs(np.diff(m.signal.astype(int))).max() < 3 * steepest


@pytest.mark.parametrize(("n", "rr"), [(7, RR), (36, 60), (36, 180)])
def test_a_recording_of_few_beats_or_of_a_fast_or_slow_heart_is_left_alone(n: int, rr: int) -> None:
    one = record(signal=np.zeros(rr * n, np.int16), peaks=np.arange(n) * float(rr) + 40, label="N")
    assert ectopy.with_ectopy(one, [], np.random.default_rng(0)) is None


def test_a_batch_tells_the_made_beats_and_no_rhythm_of_them(normal: Packed) -> None:
    annotated = examples.Annotated.of(regular([NORMAL] * 80, kinds=np.array(["N"] * 80)))
    still = examples.Augmentation(0, (0, 0), 0, 0, 0, 0, 0, ectopy=1.0)
    sampler = examples.Sampler([normal] * 4, [annotated], [], still, seed=1)
    [plan] = sampler.epoch(0, n_cinc=4, n_annotated=2)
    batch = sampler.batch(plan)
    assert not batch.rhythm[:4].any()
    of_made = batch.beats[batch.beats[:, 0] < batch.alone]
    assert set(of_made[:, 0]) == {0, 1, 2, 3}
    assert len(set(of_made[:, 2])) > 1
    normal_beats = of_made[of_made[:, 2] == BEATS.index("N")]
    for example, at, _ in normal_beats:
        line = batch.signal[example]
        assert line[max(0, at - 6) : at + 7].max() > 0.99 * line[max(0, at - 25) : at + 25].max()
    assert len(batch.measured) == len(batch.beats)
    none = examples.Sampler(
        [normal] * 4, [annotated], [], examples.Augmentation(0, (0, 0), 0, 0, 0, 0, 0), seed=1
    )
    batch = none.batch(plan)
    assert batch.rhythm[:4].any(axis=1).all()
    assert batch.beats[:, 0].min() >= batch.alone


def test_made_beats_have_a_loss_of_their_own(normal: Packed) -> None:
    import torch

    torch.manual_seed(0)
    annotated = examples.Annotated.of(regular([NORMAL] * 80, kinds=np.array(["N"] * 80)))
    network, config = Network(), learn.Config()
    parts = {}
    for share in (0.0, 1.0):
        how = examples.Augmentation(ectopy=share)
        sampler = examples.Sampler([normal] * 2, [annotated], [], how, seed=1)
        [plan] = sampler.epoch(0, n_cinc=2, n_annotated=1)
        _, parts[share] = losses.loss_of(network, sampler.batch(plan), config, torch.device("cpu"))
    assert parts[0.0]["made_beat"] == 0.0 < parts[1.0]["made_beat"]
    assert parts[1.0]["beat"] > 0.0


def test_a_made_beat_is_read_at_the_frame_around_its_r_peak(normal: Packed) -> None:
    import torch

    torch.manual_seed(0)
    still = examples.Augmentation(0, (0, 0), 0, 0, 0, 0, 0, ectopy=1.0)
    sampler = examples.Sampler([normal], [], [], still, seed=1)
    [plan] = sampler.epoch(0, n_cinc=1, n_annotated=0)
    batch = sampler.batch(plan)
    one = len(batch.beats) // 2
    batch.beats, batch.measured = batch.beats[one : one + 1], batch.measured[one : one + 1]
    network = Network()
    seen: list[torch.Tensor] = []

    def look(_: object, inputs: tuple[torch.Tensor], outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        outputs[1].retain_grad()
        seen.extend((inputs[0], outputs[1]))

    network.encoder.register_forward_hook(look)
    loss, _ = losses.loss_of(network, batch, learn.Config(), torch.device("cpu"))
    torch.autograd.backward(loss)
    line, context = seen
    assert context.grad is not None
    [frame] = torch.nonzero(context.grad[0, :, 0].abs().sum(0)).flatten().tolist()
    _, field = network.receptive_fields()
    centre = frame * FRAME + field // 2
    begins_in_line, begins = (int(np.flatnonzero(x)[0]) for x in (line[0, 0, 0].numpy(), batch.signal[0]))
    assert abs(centre - begins_in_line - (batch.beats[0, 1] - begins)) <= FRAME // 2
