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


def pushed(held: HeldSums, slot: int, seconds: Values) -> Values:
    for k, second in enumerate(seconds):
        told: Values = held.push(np.array([slot]), second[None], np.array([min(k + 1, SECONDS)]))[0]
    return told


def test_a_window_is_the_sum_of_its_known_seconds(values: Values) -> None:
    held = HeldSums(3, SECONDS, ATTENTIONS, WIDTH)
    for n in (1, 3, SECONDS, 9):
        told = pushed(held, 1, values[:n])
        expected = by_definition(values[max(0, n - SECONDS) : n].reshape(-1, ATTENTIONS + WIDTH))
        np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)


def test_any_number_of_frames_stand_alone(values: Values) -> None:
    frames = values.reshape(-1, ATTENTIONS + WIDTH)[:61]
    np.testing.assert_allclose(features(frames, ATTENTIONS), by_definition(frames), rtol=1e-4, atol=1e-5)


def test_where_a_stream_was_taken_up_leaves_no_trace(values: Values) -> None:
    early, late = HeldSums(1, SECONDS, ATTENTIONS, WIDTH), HeldSums(1, SECONDS, ATTENTIONS, WIDTH)
    np.testing.assert_array_equal(pushed(early, 0, values), pushed(late, 0, values[4:]))


def test_streams_do_not_touch_one_another(values: Values) -> None:
    held, n_known = HeldSums(4, SECONDS, ATTENTIONS, WIDTH), np.array([3, 0, 3])
    for second in range(3):
        told = held.push(np.array([2, 0, 3]), values[[second, second + 3, second + 6]], n_known)
    np.testing.assert_array_equal(told[0], pushed(HeldSums(1, SECONDS, ATTENTIONS, WIDTH), 0, values[:3]))
    np.testing.assert_array_equal(told[1], 0.0)
    np.testing.assert_array_equal(told[2], pushed(HeldSums(1, SECONDS, ATTENTIONS, WIDTH), 0, values[6:9]))
