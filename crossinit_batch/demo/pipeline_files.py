"""The trained small world as files: a pipeline in diffusers' layout, in half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import PNDMScheduler, StableDiffusionPipeline

from crossinit_batch.demo.train_unet import NOISE
from crossinit_batch.libraries import quiet_libraries


def save_pipeline(folder: Path, tokenizer: Any, text_encoder: Any, vae: Any, unet: Any) -> None:
    """Write a pipeline in diffusers' layout, weights in float16."""
    pipeline = StableDiffusionPipeline(
        vae=vae.half().eval(),
        text_encoder=text_encoder.half().eval(),
        tokenizer=tokenizer,
        unet=unet.half().eval(),
        scheduler=PNDMScheduler(**NOISE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with quiet_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)
