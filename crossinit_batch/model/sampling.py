"""Conditioning x seeds → latents: one denoising loop with classifier-free guidance over a mixed batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor

from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning
from crossinit_batch.settings import RenderSettings

SCHEDULERS: dict[str, Any] = {
    "dpmsolver++": DPMSolverMultistepScheduler,
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
}


def initial_latents(seed: int, shape: tuple[int, int, int]) -> Tensor:
    """Standard normal latents (1, channels, side, side), as diffusers draws them on the CPU by this seed."""
    return torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed))


def denoise(
    model: BaseModel,
    conditioning: Conditioning,
    empty: Conditioning,
    seeds: Sequence[int],
    settings: RenderSettings,
    on_step: Callable[[int], bool] = lambda _step: True,
) -> Tensor | None:
    """Latents (B, channels, side, side) for the rows of a conditioning, with classifier-free guidance.

    `empty` is the one row of the negative prompt. `on_step(step)` after each step may return False to give up; then
    the result is None.
    """
    scheduler = SCHEDULERS[settings.scheduler].from_config(model.scheduler_config)
    scheduler.set_timesteps(settings.steps, device=model.device)
    side = (settings.size or model.native_size) // model.latent_scale
    shape = (int(model.unet.config.in_channels), side, side)
    drawn = [initial_latents(seed, shape) for seed in seeds]
    latents: Tensor = torch.cat(drawn).to(model.device) * scheduler.init_noise_sigma
    both = Conditioning.stack([empty.repeated(len(conditioning)), conditioning])
    with torch.no_grad():
        for step, timestep in enumerate(scheduler.timesteps, start=1):
            guided = step <= settings.guided_steps
            sample = scheduler.scale_model_input(torch.cat([latents, latents]) if guided else latents, timestep)
            noise = _predicted(model, sample, timestep, both if guided else conditioning)
            if guided:
                without, towards = noise.chunk(2)
                noise = without + settings.guidance * (towards - without)
            latents = scheduler.step(noise, timestep, latents).prev_sample
            if not on_step(step):
                return None
    return latents


def _predicted(model: BaseModel, sample: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
    """The noise in all samples, predicted together, or in micro-batches of one shape where memory is short."""
    states = conditioning.at(timestep)

    def predicted(part: slice, size: int) -> Tensor:
        filled = model.padded(sample[part], size), timestep, model.padded(states[part], size)
        return model.predict_noise(*filled)[: part.stop - part.start]

    return torch.cat(model.drawing.run(len(sample), predicted))
