"""Every random draw, from generators keyed by what they are for and drawn on the CPU.

So a result does not depend on the number of workers, on batch mates, or on where a run was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossinit_batch.digest import seed_of

TIMESTEPS = 1000


@dataclass(frozen=True)
class StepDraws:
    """The draws of one identity's step, B samples: which photograph, mirrored or not, caption and noise.

    `photograph`, `mirrored`, `template`, `timestep` (B,); `posterior`, `noise` (B, channels, side, side).
    """

    photograph: Tensor
    mirrored: Tensor
    template: Tensor
    timestep: Tensor
    posterior: Tensor
    noise: Tensor


def draw_step(
    seed: int,
    identity: str,
    step: int,
    *,
    batch_size: int,
    photographs: int,
    templates: int,
    flip: bool,
    latent_shape: tuple[int, int, int],
    timesteps: int = TIMESTEPS,
) -> StepDraws:
    """What an identity draws in a step, counted from 0; the same wherever and whenever it is asked."""
    generator = torch.Generator().manual_seed(seed_of("optimize", seed, identity, step))
    shape = (batch_size, *latent_shape)
    photograph = torch.randint(photographs, (batch_size,), generator=generator)
    mirrored = torch.rand((batch_size,), generator=generator) < (0.5 if flip else 0.0)
    template = torch.randint(templates, (batch_size,), generator=generator)
    timestep = torch.randint(timesteps, (batch_size,), generator=generator)
    posterior = torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    return StepDraws(photograph, mirrored.long(), template, timestep, posterior, noise)
