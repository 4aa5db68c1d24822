"""The parts of a trained pipeline as a folder in diffusers' layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline

from crossinit_batch.model.libraries import quiet_libraries


def save_pipeline(folder: Path, tokenizer: Any, text_encoder: Any, vae: Any, unet: Any, scheduler: Any) -> Path:
    """Write the parts of a pipeline to a folder in diffusers' layout, safetensors only; the folder."""
    pipeline = StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with quiet_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
