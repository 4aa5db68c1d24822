"""The autoencoder: 64-pixel pictures as 16 x 16 latents, eyes and mouths weighing more than walls."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from crossinit_batch.demo.dataset import SIDE, Dataset
from crossinit_batch.demo.train_text_encoder import to_samples
from crossinit_batch.demo.training_loop import Report, Schedule, Trained, train_network

CHANNELS = 4
CROPS = Schedule(steps=1500, batch_size=8, learning_rate=2e-3, weight_decay=1e-4)
"""First on pieces of pictures, a quarter of the work: colours and edges are much the same everywhere."""
WHOLE = Schedule(steps=500, batch_size=8, learning_rate=1.2e-3, weight_decay=1e-4, average=0.98)

_KL_WEIGHT = 2e-6
_EDGE_WEIGHT = 0.6
_FACE_WEIGHT = 2.0
_CROP = SIDE // 2
_FIRST_LOG_VARIANCE = -6.0
"""Latents are nearly certain at first: at a deviation of 1 nothing would come through for hundreds of steps."""


def build_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder of factor 4, narrow where pictures are large."""
    autoencoder = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        autoencoder.quant_conv.bias[CHANNELS:] = _FIRST_LOG_VARIANCE
        autoencoder.quant_conv.weight[CHANNELS:] *= 0.1
    return autoencoder


def train_autoencoder(
    data: Dataset,
    checkpoints: Path,
    *,
    crops: Schedule = CROPS,
    whole: Schedule = WHOLE,
    seed: int,
    report: Report,
) -> tuple[AutoencoderKL, Trained]:
    """The trained autoencoder, its scaling factor set so that latents have a deviation of 1."""
    torch.manual_seed(seed)
    autoencoder = build_autoencoder()
    weight = _face_weight()

    def loss_of(generator: torch.Generator, schedule: Schedule, side: int) -> Tensor:
        rows = torch.randint(len(data.pictures), (schedule.batch_size,), generator=generator)
        top, left = torch.randint(SIDE - side + 1, (2,), generator=generator).tolist()
        window = (..., slice(top, top + side), slice(left, left + side))
        pictures = to_samples(data.pictures[rows.numpy()])[window]
        posterior = autoencoder.encode(pictures).latent_dist
        z = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator)
        off = _difference(autoencoder.decode(z).sample, pictures, weight[window])
        return off + _KL_WEIGHT * posterior.kl().mean()

    first, second = (
        train_network(
            autoencoder,
            functools.partial(loss_of, schedule=schedule, side=side),
            schedule,
            checkpoints / f"{name}.pt",
            seed=seed,
            report=report,
        )
        for name, schedule, side in (("autoencoder-crops", crops, _CROP), ("autoencoder", whole, SIDE))
    )
    mean, std = moments(autoencoder, data)
    deviation = float((mean.var() + std.square().mean()).sqrt())
    autoencoder.register_to_config(scaling_factor=round(1 / deviation, 5))
    return autoencoder, Trained(first.seconds + second.seconds, first.steps + second.steps, second.loss)


@torch.no_grad()
def moments(autoencoder: AutoencoderKL, data: Dataset, batch: int = 100) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, channels, 16, 16) of every picture's latents."""
    parts = []
    for first in range(0, len(data.pictures), batch):
        posterior = autoencoder.eval().encode(to_samples(data.pictures[first : first + batch])).latent_dist
        parts.append((posterior.mean, posterior.std))
    return torch.cat([mean for mean, _ in parts]), torch.cat([std for _, std in parts])


@torch.no_grad()
def reconstruction_error(autoencoder: AutoencoderKL, data: Dataset) -> float:
    """The mean absolute difference of pictures and their reconstructions, in shares of the whole range."""
    pictures = to_samples(data.pictures)
    drawn = autoencoder.eval().decode(autoencoder.encode(pictures).latent_dist.mean).sample
    return float((drawn.clamp(-1, 1) - pictures).abs().mean()) / 2


def _difference(drawn: Tensor, pictures: Tensor, weight: Tensor) -> Tensor:
    """Weighted absolute difference of colours and of the edges between neighbours."""
    off = drawn - pictures
    loss = (off.abs() * weight).mean()
    across = (off[..., :, 1:] - off[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (off[..., 1:, :] - off[..., :-1, :]).abs() * weight[..., 1:, :]
    return loss + _EDGE_WEIGHT * (across.mean() + down.mean())


def _face_weight() -> Tensor:
    """Weights (1, 1, 64, 64) of mean 1 that are largest where eyes, nose and mouth of a lone person are."""
    axis = torch.linspace(-1, 1, SIDE)
    bump = torch.exp(-((axis[None] / 0.4) ** 4) - (((axis[:, None] - 0.1) / 0.45) ** 4))
    weight = 1 + _FACE_WEIGHT * bump
    return (weight / weight.mean())[None, None]
