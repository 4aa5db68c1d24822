"""Processes that train one network together, each with its shard of every batch; alone, nothing is exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Pool:
    """This process's number among `size` processes."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, rank: int, size: int, file: Path) -> Pool:
        """Join the others through a file that does not exist yet; they must come within ten minutes."""
        distributed.init_process_group(
            "gloo", init_method=file.absolute().as_uri(), rank=rank, world_size=size, timeout=timedelta(minutes=10)
        )
        return cls(rank, size)

    def shard(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that all processes have drawn alike."""
        return batch[self.rank :: self.size]

    def average(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace the gradients by their mean over all processes."""
        if self.size == 1:
            return
        gradients = torch.cat([_gradient(parameter).flatten() for parameter in parameters])
        distributed.all_reduce(gradients)
        parts = torch.split(gradients.div_(self.size), [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def leave(self) -> None:
        """End the connection."""
        if self.size > 1:
            distributed.destroy_process_group()


ALONE = Pool()


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
