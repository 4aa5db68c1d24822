"""Processes that train together: each has its shard of a batch, and all have the same gradients."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from crossinit_batch.demo.training.pool import ALONE, Pool


def test_shards_of_a_pool_are_the_complete_batch() -> None:
    batch = torch.arange(10)
    shards = [Pool(rank, 3).shard(batch) for rank in range(3)]
    assert sorted(torch.cat(shards).tolist()) == batch.tolist()
    assert torch.equal(ALONE.shard(batch), batch)


def _rank(rank: int, file: Path, folder: Path) -> None:
    pool = Pool.join(rank, 2, file)
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.full((3,), float(rank))
    pool.average([parameter, nn.Parameter(torch.zeros(2))])
    torch.save(parameter.grad, folder / f"{rank}.pt")
    pool.leave()


def test_a_pool_averages_its_gradients(tmp_path: Path) -> None:
    arguments = (tmp_path / "file", tmp_path)
    torch.multiprocessing.start_processes(_rank, arguments, nprocs=2, start_method="spawn")
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), torch.full((3,), 0.5))
