"""What the U-Net is conditioned on: rows of text states that can be stacked, cut and padded without knowing shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from crossinit_batch.model.base_model import BaseModel


@dataclass(frozen=True, eq=False)
class Conditioning:
    """A row a sample: hidden `states` (B, length, width) of the text encoder, the same at every timestep.

    A method whose states depend on the timestep, or on more than text, subclasses it; sampling asks `at` each step.
    """

    states: Tensor

    def __len__(self) -> int:
        return self.states.shape[0]

    def __getitem__(self, part: slice) -> Self:
        return type(self)(self.states[part])

    def at(self, _timestep: Tensor) -> Tensor:
        """What the cross-attention reads at this timestep, (B, length, width)."""
        return self.states

    def repeated(self, rows: int) -> Self:
        """A single row, so many times."""
        return type(self)(self.states.expand(rows, -1, -1))

    @classmethod
    def stack(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """The rows of several one after the other."""
        return cls(torch.cat([part.states for part in parts]))


def encode_plain(model: BaseModel, text: str) -> Conditioning:
    """One row for a text without a person; a slot in it is left out. Encoded alone, so that it depends on no other."""
    with torch.no_grad():
        return Conditioning(model.encode_text(model.caption(text, tokens=0).ids))
