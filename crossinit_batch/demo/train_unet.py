"""The U-Net, trained as Stable Diffusion's was: latents of captioned pictures, the text encoder frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from crossinit_batch.demo.dataset import Dataset
from crossinit_batch.demo.train_autoencoder import CHANNELS
from crossinit_batch.demo.train_text_encoder import WIDTH, tokenize
from crossinit_batch.demo.training_loop import Report, Schedule, Trained, train_network

SCHEDULE = Schedule(steps=3000, batch_size=32, learning_rate=2e-3, weight_decay=1e-3, average=0.998)

_EMPTY = 0.1
"""The share of captions that are left empty, so that guidance has something to lead away from."""

NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
"""Stable Diffusion's noise; v is predicted, as its 768-pixel model does, since that learns in fewer steps."""


def build_unet() -> UNet2DConditionModel:
    """An untrained U-Net for latents of 8 x 8 that looks at the text on both of its levels."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        attention_head_dim=(2, 4),
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
        use_linear_projection=True,
    )


def train_unet(
    data: Dataset,
    moments: tuple[Tensor, Tensor],
    scale: float,
    text_encoder: Any,
    tokenizer: Any,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
) -> tuple[UNet2DConditionModel, Trained]:
    """The trained U-Net; `moments` are each picture's latents (N, channels, 8, 8) before `scale`."""
    torch.manual_seed(seed)
    unet = build_unet()
    noise_scheduler = DDPMScheduler(**NOISE)
    mean, std = moments
    ids = torch.stack([tokenize(tokenizer, entry.captions).short() for entry in data.examples])
    empty = tokenize(tokenizer, [""])[0].short()
    text_encoder.eval().requires_grad_(False)
    shape = (schedule.batch_size, *mean.shape[1:])

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(ids), shape[:1], generator=generator)
        which = torch.randint(ids.shape[1], shape[:1], generator=generator)
        chosen = ids[rows, which]
        chosen[torch.rand(shape[:1], generator=generator) < _EMPTY] = empty
        z = scale * (mean[rows] + std[rows] * torch.randn(shape, generator=generator))
        noise = torch.randn(shape, generator=generator)
        timesteps = torch.randint(noise_scheduler.config.num_train_timesteps, shape[:1], generator=generator)
        with torch.no_grad():
            states = text_encoder(input_ids=chosen.long()).last_hidden_state
        predicted = unet(noise_scheduler.add_noise(z, noise, timesteps), timesteps, states).sample
        return functional.mse_loss(predicted, noise_scheduler.get_velocity(z, noise, timesteps))

    return unet, train_network(unet, loss_of, schedule, checkpoint, seed=seed, report=report)
