"""The autoencoder: 64-pixel pictures as 16 x 16 latents, eyes and mouths weighing more than walls."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from crossinit_batch.demo.training.dataset import SIDE, Dataset
from crossinit_batch.demo.training.first_weights import start_with_colours
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.train_text_encoder import to_samples

CHANNELS = 4
SCHEDULE = Schedule(steps=1600, batch_size=12, learning_rate=2e-3, weight_decay=1e-4)
"""Encoder and decoder, on pieces of pictures: a quarter of the work, and colours and edges are alike everywhere."""
WHOLE = Schedule(steps=2400, batch_size=12, learning_rate=1.2e-3, weight_decay=1e-4, average=0.98)
"""Both on complete pictures, since the norms see a complete picture at once when it is used."""
DECODER = Schedule(steps=500, batch_size=8, learning_rate=1.5e-3, weight_decay=1e-4, average=0.98)
"""The decoder alone, on complete pictures; the U-Net, which needs latents only, can be trained at the same time."""

_KL_WEIGHT = 5e-6
_SMALL_WEIGHT = 0.5
"""Of pictures and latents both halved: keeps latents smooth, so that the U-Net has no noise in them to guess."""
_EDGE_WEIGHT = 0.6
_FACE_WEIGHT = 4.0
PIECE = SIDE // 2
_FIRST_LOG_VARIANCE = -6.0
"""Latents are nearly certain at first: at a deviation of 1 nothing would come through for hundreds of steps."""


def build_autoencoder(pictures: Tensor | None = None) -> AutoencoderKL:
    """An untrained autoencoder of factor 4, narrow where pictures are large; `pictures` set its first weights."""
    autoencoder = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=1,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )
    if pictures is not None:
        start_with_colours(autoencoder, pictures, _FIRST_LOG_VARIANCE)
    return autoencoder


def train_autoencoder(
    autoencoder: AutoencoderKL,
    data: Dataset,
    checkpoint: Path,
    *,
    side: int = SIDE,
    schedule: Schedule = WHOLE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> Trained:
    """Train on pieces of pictures, `side` pixels each; the scaling factor then gives latents a deviation of 1."""
    weight = face_weight().to(device)

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(data.pictures), (schedule.batch_size,), generator=generator)
        top, left = torch.randint(SIDE - side + 1, (2,), generator=generator).tolist()
        window = (..., slice(top, top + side), slice(left, left + side))
        pictures = to_samples(data.pictures[rows.numpy()])[window].to(device)
        posterior = autoencoder.encode(pictures).latent_dist
        z = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator).to(device)
        off = _difference(autoencoder.decode(z).sample, pictures, weight[window])
        small = autoencoder.decode(functional.avg_pool2d(z, 2)).sample
        off_small = _difference(small, functional.avg_pool2d(pictures, 2), functional.avg_pool2d(weight[window], 2))
        loss: Tensor = off + _SMALL_WEIGHT * off_small + _KL_WEIGHT * posterior.kl().mean()
        return loss

    trained = train_network(autoencoder, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)
    mean, std = moments(autoencoder, Dataset(data.pictures[:2000], data.examples[:2000]))
    deviation = float((mean.var() + std.square().mean()).sqrt())
    autoencoder.register_to_config(scaling_factor=round(1 / deviation, 5))
    return trained


def train_decoder(
    autoencoder: AutoencoderKL,
    data: Dataset,
    latents: tuple[Tensor, Tensor],
    checkpoint: Path,
    *,
    schedule: Schedule = DECODER,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> Trained:
    """Train the decoder further on complete pictures from the moments of their latents; the encoder stays."""
    autoencoder.requires_grad_(False)
    autoencoder.decoder.requires_grad_(True)
    weight = face_weight().to(device)
    mean, std = latents

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(mean), (schedule.batch_size,), generator=generator)
        z = mean[rows] + std[rows] * torch.randn((len(rows), *mean.shape[1:]), generator=generator)
        drawn = autoencoder.decode(z.to(device)).sample
        return _difference(drawn, to_samples(data.pictures[rows.numpy()]).to(device), weight)

    return train_network(autoencoder, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)


@torch.no_grad()
def moments(autoencoder: AutoencoderKL, data: Dataset, batch: int = 100) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, channels, 16, 16) of every picture's latents."""
    parts = []
    for first in range(0, len(data.pictures), batch):
        posterior = autoencoder.eval().encode(to_samples(data.pictures[first : first + batch])).latent_dist
        parts.append((posterior.mean, posterior.std))
    return torch.cat([mean for mean, _ in parts]).contiguous(), torch.cat([std for _, std in parts]).contiguous()


@torch.no_grad()
def reconstruction_error(autoencoder: AutoencoderKL, data: Dataset) -> float:
    """The mean absolute difference of pictures and their reconstructions, in fractions of the full range."""
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


def face_weight() -> Tensor:
    """Weights (1, 1, 64, 64) of mean 1 that are largest where eyes, nose and mouth of a lone person are."""
    axis = torch.linspace(-1, 1, SIDE)
    bump = torch.exp(-((axis[None] / 0.4) ** 4) - (((axis[:, None] - 0.1) / 0.45) ** 4))
    weight = 1 + _FACE_WEIGHT * bump
    return (weight / weight.mean())[None, None]
