"""The training loop: resumed, averaged and shared trainings come out as they would alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from crossinit_batch.demo.training.loop import Schedule, train_network
from crossinit_batch.demo.training.pool import ALONE, Team

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
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    expected = _train(whole)
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


def test_shares_of_a_team_are_the_whole_batch() -> None:
    batch = torch.arange(10)
    shares = [Team(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert torch.equal(ALONE.share(batch), batch)


def _rank(rank: int, meeting: Path, folder: Path) -> None:
    team = Team.join(rank, 2, meeting)
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.full((3,), float(rank))
    team.average([parameter, nn.Parameter(torch.zeros(2))])
    torch.save(parameter.grad, folder / f"{rank}.pt")
    team.leave()


def test_a_team_averages_its_gradients(tmp_path: Path) -> None:
    given = (tmp_path / "meeting", tmp_path)
    torch.multiprocessing.start_processes(_rank, given, nprocs=2, start_method="spawn")
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), torch.full((3,), 0.5))
