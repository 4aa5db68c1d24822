"""Embeddings x prompts x seeds → pictures: one denoising loop over a mixed batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor

from crossinit_batch.methods.embedding.conditioning import Captions
from crossinit_batch.methods.embedding.draws import initial_latents
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.prompts import SLOT
from crossinit_batch.settings import RenderSettings

SCHEDULERS: dict[str, Any] = {
    "dpmsolver++": DPMSolverMultistepScheduler,
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
}


def encode_prompt(model: BaseModel, text: str, v: Tensor | None, stand_in: Tensor | None = None) -> Tensor:
    """Hidden states (1, length, width) of a prompt with v (tokens, width) in its slot.

    With a `stand_in` v lives in the text encoder's output. Encoded alone, so that they do not depend on what else is
    encoded.
    """
    with torch.no_grad():
        if v is None or SLOT not in text:
            return model.encode_text(model.caption(text, tokens=0).ids)
        captions = Captions(model, [text], v.shape[0], stand_in)
        return captions.states(torch.tensor([0]), v[None].to(model.device))


def denoise(
    model: BaseModel,
    states: Tensor,
    empty: Tensor,
    seeds: Sequence[int],
    settings: RenderSettings,
    on_step: Callable[[int], bool] = lambda _step: True,
) -> Tensor | None:
    """Latents (B, channels, side, side) for states (B, length, width), with classifier-free guidance.

    `empty` (1, length, width) are the states of the negative prompt. `on_step(step)` after each step may
    return False to give up; then the result is None.
    """
    scheduler = SCHEDULERS[settings.scheduler].from_config(model.scheduler_config)
    scheduler.set_timesteps(settings.steps, device=model.device)
    side = (settings.size or model.native_size) // model.latent_scale
    shape = (int(model.unet.config.in_channels), side, side)
    drawn = [initial_latents(seed, shape) for seed in seeds]
    latents: Tensor = torch.cat(drawn).to(model.device) * scheduler.init_noise_sigma
    both = torch.cat([empty.expand_as(states), states])
    with torch.no_grad():
        for step, timestep in enumerate(scheduler.timesteps, start=1):
            guided = step <= settings.guided_steps
            sample = scheduler.scale_model_input(torch.cat([latents, latents]) if guided else latents, timestep)
            noise = _predicted(model, sample, timestep, both if guided else states)
            if guided:
                without, towards = noise.chunk(2)
                noise = without + settings.guidance * (towards - without)
            latents = scheduler.step(noise, timestep, latents).prev_sample
            if not on_step(step):
                return None
    return latents


def _predicted(model: BaseModel, sample: Tensor, timestep: Tensor, states: Tensor) -> Tensor:
    """The noise in all samples, asked for together, or in parts of one shape where memory is short."""

    def predicted(part: slice, size: int) -> Tensor:
        filled = model.padded(sample[part], size), timestep, model.padded(states[part], size)
        return model.predict_noise(*filled)[: part.stop - part.start]

    return torch.cat(model.drawing.run(len(sample), predicted))
