"""What the judges' networks are built from, and how a training picture is made a little worse before they see it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def tower(channels: Sequence[int]) -> nn.Sequential:
    """Convolutions that halve the side once for each entry: (B, 3, H, W) → (B, channels[-1], H / 2^n, W / 2^n)."""
    layers: list[nn.Module] = []
    before = 3
    for after in channels:
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.GELU()] if before > 3 else []
        before = after
    return nn.Sequential(*layers)


def worsen(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Some of the pictures (B, 3, H, W) in [-1, 1] blurred, all with a little noise: drawn by a model, not by a pen."""
    fraction = torch.rand((len(pictures), 1, 1, 1), generator=generator)
    half = functional.interpolate(functional.avg_pool2d(pictures, 2), pictures.shape[-2:], mode="bilinear")
    blurred = torch.where(fraction < 0.5, pictures + 2 * fraction * (half - pictures), pictures)
    return blurred + 0.06 * torch.rand((len(pictures), 1, 1, 1), generator=generator) * torch.randn(
        pictures.shape, generator=generator
    )
