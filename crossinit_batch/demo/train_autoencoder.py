"""The autoencoder: 64-pixel pictures as 8 x 8 latents, eyes and mouths weighing more than walls."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from crossinit_batch.demo.dataset import SIDE, Dataset
from crossinit_batch.demo.train_text_encoder import to_samples
from crossinit_batch.demo.training_loop import Report, Schedule, Trained, train_network

CHANNELS = 12
SCHEDULE = Schedule(steps=2400, batch_size=8, learning_rate=2e-3, weight_decay=1e-4, average=0.99)

_KL_WEIGHT = 2e-6
_EDGE_WEIGHT = 0.6
_FACE_WEIGHT = 2.0


def build_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder of factor 8, narrow where pictures are large."""
    return AutoencoderKL(
        block_out_channels=(8, 24, 48, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def train_autoencoder(
    data: Dataset, checkpoint: Path, *, schedule: Schedule = SCHEDULE, seed: int, report: Report
) -> tuple[AutoencoderKL, Trained]:
    """The trained autoencoder, its scaling factor set so that latents have a deviation of 1."""
    torch.manual_seed(seed)
    autoencoder = build_autoencoder()
    weight = _face_weight()

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(data.pictures), (schedule.batch_size,), generator=generator)
        pictures = to_samples(data.pictures[rows.numpy()])
        posterior = autoencoder.encode(pictures).latent_dist
        z = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator)
        return _difference(autoencoder.decode(z).sample, pictures, weight) + _KL_WEIGHT * posterior.kl().mean()

    trained = train_network(autoencoder, loss_of, schedule, checkpoint, seed=seed, report=report)
    mean, std = moments(autoencoder, data)
    autoencoder.register_to_config(scaling_factor=round(1 / float((mean.var() + std.square().mean()).sqrt()), 5))
    return autoencoder, trained


@torch.no_grad()
def moments(autoencoder: AutoencoderKL, data: Dataset, batch: int = 100) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, channels, 8, 8) of every picture's latents."""
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
