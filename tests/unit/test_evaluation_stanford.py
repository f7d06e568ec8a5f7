"""Stanford's network has the papers' shape, and trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ecgstream.training import stanford  # noqa: E402
from ecgstream.training_settings import ConfigError  # noqa: E402

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


def stopped_after(n: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, which a person interrupts the time after `n`."""
    left = iter(range(n))

    def counted(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return call(*arguments)

    return counted


def test_training_repeats_from_its_seed_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    signals = [rng.standard_normal(stanford.STEP + 40 * i).astype(np.float32) for i in range(4)]
    data = stanford.Recordings(signals, np.array([0, 1, 0, 1])).normalised(0.0, 1.0)
    device = torch.device("cpu")

    def fit(name: str, **changed: Any) -> stanford.StanfordNetwork:
        how = {"epochs": 2, "seed": 1, "batch": 2} | changed
        return stanford.fit(data, data, 2, device=device, run=tmp_path / name, **how)

    network = fit("whole")
    with monkeypatch.context() as stopping:
        stopping.setattr(stanford, "_batches", stopped_after(1, stanford._batches))
        with pytest.raises(KeyboardInterrupt):
            fit("stopped")
    resumed = fit("stopped")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), resumed.parameters(), strict=True))
    for changed in ({"seed": 2}, {"epochs": 1}):
        with pytest.raises(ConfigError, match="another configuration"):
            fit("whole", **changed)
    (tmp_path / "whole" / "checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: can't be read"):
        fit("whole")
    found = stanford.predict(network, data, np.array([0.5, 0.5]), device)
    assert found.sum(axis=1).tolist() == [1.0] * 4


def test_steps_past_a_recordings_end_are_not_counted() -> None:
    x, real = stanford.batch_of([np.ones(600, np.float32), np.ones(300, np.float32)])
    assert x.shape == (2, 512)
    assert real.tolist() == [[True, True], [True, False]]
    assert x[1, 256:].sum() == 0
