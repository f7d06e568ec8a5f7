"""What the rhythm head is told: the sums of seconds are those of the window, whenever a stream was taken up."""

import numpy as np
import pytest

from ecgstream.pooling import HeldSums, features

SECONDS, FRAMES, ATTENTIONS, WIDTH = 5, 8, 2, 7
Values = np.ndarray


@pytest.fixture
def values() -> Values:
    """Attention logits, then values of which none is negative: float32 (seconds, frames, attentions + width)."""
    rng = np.random.default_rng(2)
    made = rng.normal(0, 4, (12, FRAMES, ATTENTIONS + WIDTH))
    made[..., ATTENTIONS:] = np.maximum(made[..., ATTENTIONS:], 0.0)
    return made.astype(np.float32)


def by_definition(frames: Values) -> Values:
    """Attended values, mean, spread and maximum of frames (n, attentions + width), in double precision."""
    x = frames.astype(np.float64)
    weight, value = np.exp(x[:, :ATTENTIONS]), x[:, ATTENTIONS:]
    attended = (weight / weight.sum(0)).T @ value
    return np.concatenate([attended.ravel(), value.mean(0), np.sqrt(value.var(0) + 1e-6), value.max(0)])


def pushed(held: HeldSums, slot: int, seconds: Values, first: int = 0) -> Values:
    """What is told after `seconds`, the session's from its second `first` on, the earliest of them unknown."""
    held.reset(slot)
    for k, second in enumerate([seconds[0] + 9.0, *seconds], first - 1):
        n_known = np.array([min(k - first + 1, SECONDS)])
        told: Values = held.push(np.array([slot]), second[None], np.array([k]), n_known)[0]
    return told


def test_a_window_is_the_sum_of_its_known_seconds(values: Values) -> None:
    held = HeldSums(3, SECONDS, ATTENTIONS, WIDTH)
    for n in (1, 3, SECONDS, SECONDS + 1, 2 * SECONDS - 1, 2 * SECONDS, 12):
        told = pushed(held, 1, values[:n])
        expected = by_definition(values[max(0, n - SECONDS) : n].reshape(-1, ATTENTIONS + WIDTH))
        np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)


def test_any_number_of_frames_stand_alone(values: Values) -> None:
    frames = values.reshape(-1, ATTENTIONS + WIDTH)[:61]
    np.testing.assert_allclose(features(frames, ATTENTIONS), by_definition(frames), rtol=1e-4, atol=1e-5)


def test_where_a_stream_was_taken_up_leaves_no_trace(values: Values) -> None:
    early, late = HeldSums(1, SECONDS, ATTENTIONS, WIDTH), HeldSums(1, SECONDS, ATTENTIONS, WIDTH)
    whole = [pushed(early, 0, values[:n]) for n in (9, 10, 11, 12)]
    for first in (1, 2, 3, 4):
        for n, told in zip((9, 10, 11, 12), whole, strict=True):
            np.testing.assert_array_equal(pushed(late, 0, values[first:n], first), told)


def test_streams_do_not_touch_one_another(values: Values) -> None:
    held = HeldSums(4, SECONDS, ATTENTIONS, WIDTH)
    for k in range(3):
        n_known, seconds = np.array([k + 1, 0, k + 1]), np.array([k, k, k + 7])
        told = held.push(np.array([2, 0, 3]), values[[k, k + 3, k + 6]], seconds, n_known)
    np.testing.assert_array_equal(told[0], pushed(HeldSums(1, SECONDS, ATTENTIONS, WIDTH), 0, values[:3]))
    np.testing.assert_array_equal(told[1], 0.0)
    np.testing.assert_array_equal(told[2], pushed(HeldSums(1, SECONDS, ATTENTIONS, WIDTH), 0, values[6:9], 7))
