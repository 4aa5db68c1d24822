"""Scale and orientation of an embedding before, while and after it is learned (paper, Figs. 2, 6 and 8).

Scale is a vector's norm, orientation its cosine with another; of v, v_init, and what the text encoder E makes of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossinit_batch.model.base_model import BaseModel

TRAJECTORY = ("norm_v", "cosine_v_init", "norm_E_v", "cosine_E_v")
"""What is logged while v is learned: ||v||, cos(v, v_init), ||E(v)||, cos(v, E(v)); means over the tokens."""

_LOOKS_THROUGH_ENCODER = 32


def scale(v: Tensor) -> Tensor:
    """The norm of each vector, (..., tokens) of v (..., tokens, width)."""
    norms: Tensor = torch.linalg.vector_norm(v, dim=-1)
    return norms


def orientation(v: Tensor, other: Tensor) -> Tensor:
    """The cosine between vectors at the same position, (..., tokens); 0 where one of them is zero."""
    return torch.cosine_similarity(v, other, dim=-1)


def looks_through_encoder(step: int, steps: int) -> bool:
    """Whether E(v) is computed before step `step` (from 0): about 32 times a run, each a fraction of a step."""
    return step % max(1, steps // _LOOKS_THROUGH_ENCODER) == 0


def trajectory_point(model: BaseModel, v: Tensor, v_init: Tensor, *, through_encoder: bool) -> Tensor:
    """The four numbers of TRAJECTORY for each v (N, tokens, width), (N, 4); the last two NaN unless asked for."""
    with torch.no_grad():
        columns = [scale(v), orientation(v, v_init.expand_as(v))]
        if through_encoder:
            encoded = model.encode_alone(v)
            columns += [scale(encoded), orientation(v, encoded)]
        else:
            columns += [torch.full_like(columns[0], torch.nan)] * 2
    return torch.stack([column.mean(dim=-1) for column in columns], dim=-1)
