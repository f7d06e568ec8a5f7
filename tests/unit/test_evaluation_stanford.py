"""Stanford's network has the papers' shape, and trains."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ecgstream.training import stanford  # noqa: E402

pytestmark = pytest.mark.torch


def test_it_has_34_layers_and_23_outputs() -> None:
    network = stanford.StanfordNetwork(12).eval()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv1d)]
    assert len(convolutions) == 33
    assert [c.out_channels for c in convolutions[1::8]] == [32, 64, 128, 256]
    assert {c.kernel_size for c in convolutions} == {(16,)}
    assert sum(c.stride == (2,) for c in convolutions) == 8
    with torch.no_grad():
        assert network(torch.zeros(2, stanford.WINDOW)).shape == (2, 23, 12)
        with pytest.raises(ValueError, match="multiple of 256"):
            network(torch.zeros(1, 300))


def test_training_repeats_from_its_seed_and_goes_on_where_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signals = [rng.standard_normal(stanford.STEP + 40 * i).astype(np.float32) for i in range(4)]
    data = stanford.Recordings(signals, np.array([0, 1, 0, 1])).normalised(0.0, 1.0)
    device = torch.device("cpu")

    def fit(name: str, epochs: int) -> stanford.StanfordNetwork:
        run = tmp_path / name
        run.mkdir(exist_ok=True)
        return stanford.fit(data, data, 2, epochs=epochs, seed=1, device=device, run=run, batch=2)

    network = fit("whole", 2)
    fit("stopped", 1)
    resumed = fit("stopped", 2)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), resumed.parameters(), strict=True))
    found = stanford.predict(network, data, np.array([0.5, 0.5]), device)
    assert found.sum(axis=1).tolist() == [1.0] * 4


def test_steps_past_a_recordings_end_are_not_counted() -> None:
    x, real = stanford.batch_of([np.ones(600, np.float32), np.ones(300, np.float32)])
    assert x.shape == (2, 512)
    assert real.tolist() == [[True, True], [True, False]]
    assert x[1, 256:].sum() == 0
