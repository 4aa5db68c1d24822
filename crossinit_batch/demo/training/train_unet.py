"""The U-Net, trained as Stable Diffusion's was: latents of captioned pictures, the text encoder frozen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.pool import ALONE, Pool
from crossinit_batch.demo.training.train_autoencoder import CHANNELS, face_weight
from crossinit_batch.demo.training.train_text_encoder import WIDTH, tokenize
from crossinit_batch.demo.training.vocabulary import CONTEXT_LENGTH

SCHEDULE = Schedule(steps=17_000, batch_size=32, learning_rate=1.5e-3, weight_decay=1e-3, average=0.9993, steady=0.6)

_EMPTY = 0.1
"""The fraction of captions that are left empty, so that guidance has something to lead away from."""

NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
"""Stable Diffusion's noise; v is predicted, as its 768-pixel model does, since that learns in fewer steps."""


def build_unet() -> UNet2DConditionModel:
    """An untrained U-Net for latents of 16 x 16.

    It attends to the text on all of its three levels, and gets the pooled text beside the timestep.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(32, 64, 128),
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        layers_per_block=1,
        attention_head_dim=(1, 2, 4),
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def train_unet(
    moments: tuple[Tensor, Tensor],
    scale: float,
    states: NDArray[np.float16],
    empty: Tensor,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    pool: Pool = ALONE,
    device: torch.device = CPU,
    compiled: bool = False,
) -> tuple[UNet2DConditionModel, Trained]:
    """The trained U-Net.

    `moments` are each picture's latents (N, channels, 16, 16) before `scale`, `states` what the text encoder makes of
    each of its captions (N, captions, 77, width), and `empty` (77, width) what it makes of an empty one.
    """
    torch.manual_seed(seed)
    unet = build_unet()
    forward = torch.compile(unet) if compiled else unet
    noise_scheduler = DDPMScheduler(**NOISE)
    mean, std = moments
    shape = (schedule.batch_size, *mean.shape[1:])
    # The weight of a position leaves the best prediction as it is; it decides what a small network learns first.
    weight = functional.adaptive_avg_pool2d(face_weight(), mean.shape[-1]).to(device)

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(mean), shape[:1], generator=generator)
        wording = torch.randint(states.shape[1], shape[:1], generator=generator)
        left_out = torch.rand(shape[:1], generator=generator) < _EMPTY
        posterior, noise = (torch.randn(shape, generator=generator) for _ in range(2))
        timesteps = torch.randint(1000, shape[:1], generator=generator)
        rows, wording, left_out = map(pool.shard, (rows, wording, left_out))
        posterior, noise, timesteps = map(pool.shard, (posterior, noise, timesteps))
        text = torch.from_numpy(states[rows.numpy(), wording.numpy()]).float()
        text[left_out] = empty
        z = scale * (mean[rows] + std[rows] * posterior)
        z, noise, timesteps, text = (tensor.to(device) for tensor in (z, noise, timesteps, text))
        predicted = forward(noise_scheduler.add_noise(z, noise, timesteps), timesteps, text).sample
        off = predicted - noise_scheduler.get_velocity(z, noise, timesteps)
        loss: Tensor = (weight * off.square()).mean()
        return loss

    return unet, train_network(unet, loss_of, schedule, checkpoint, seed=seed, report=report, pool=pool, device=device)


@torch.no_grad()
def encode_captions(
    text_encoder: Any, tokenizer: Any, captions: Sequence[Sequence[str]], file: Path
) -> NDArray[np.float16]:
    """Hidden states (N, captions, 77, width), kept in a file since U-Net training reads them again and again."""
    if not file.is_file():
        partial = file.with_suffix(".partial.npy")
        shape = (len(captions), len(captions[0]), CONTEXT_LENGTH, WIDTH)
        kept = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
        for row, wordings in enumerate(captions):
            ids = tokenize(tokenizer, wordings)
            kept[row] = text_encoder(input_ids=ids).last_hidden_state.half().numpy()
        kept.flush()
        partial.replace(file)
    states: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return states
