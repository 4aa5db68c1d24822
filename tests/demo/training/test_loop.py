"""The training loop: a cut training comes out as one that was not cut, with averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from crossinit_batch.demo.training.loop import Schedule, train_network

SCHEDULE = Schedule(steps=120, batch_size=8, learning_rate=0.1, average=0.9)


class _Cut(Exception):
    pass


def _train(folder: Path, *, cut_at: int | None = None, seed: int = 0) -> nn.Linear:
    """Learn to double numbers; with `cut_at` the training dies in that step."""
    torch.manual_seed(3)
    network = nn.Linear(2, 2)
    calls = 0

    def loss_of(generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == cut_at:
            raise _Cut
        x = torch.randn(SCHEDULE.batch_size, 2, generator=generator)
        loss: Tensor = (network(x) - 2 * x).square().mean()
        return loss

    train_network(network, loss_of, SCHEDULE, folder / "net.pt", seed=seed, report=lambda line: None)
    return network


def test_training_reaches_its_aim_and_says_what_it_cost(tmp_path: Path) -> None:
    network = _train(tmp_path)
    assert torch.allclose(network.weight, 2 * torch.eye(2), atol=0.2)


def test_a_cut_training_goes_on_as_if_it_had_not_been_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncut, cut = tmp_path / "uncut", tmp_path / "cut"
    uncut.mkdir()
    cut.mkdir()
    expected = _train(uncut)
    monkeypatch.setattr("crossinit_batch.demo.training.loop._CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(_Cut):
        _train(cut, cut_at=25)
    resumed = _train(cut)
    assert torch.equal(resumed.weight, expected.weight)


def test_another_seed_trains_another_network(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert not torch.equal(_train(tmp_path).weight, _train(other, seed=1).weight)


def test_the_learning_rate_warms_up_and_falls() -> None:
    schedule = Schedule(steps=1000, batch_size=1, learning_rate=1.0)
    rates = [schedule.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02) and max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == pytest.approx(50, abs=1)
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)
