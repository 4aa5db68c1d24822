"""A small pipeline with random weights and the structure of Stable Diffusion 2.1, made in seconds.

It draws nothing one would recognise; it is there so that every path of the program can be tested in little time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from crossinit_batch.demo.training.pipeline import save_pipeline
from crossinit_batch.demo.training.vocabulary import CONTEXT_LENGTH, demo_tokenizer


def make_pipeline(
    folder: Path,
    *,
    width: int = 32,
    latent_side: int = 8,
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon",
    seed: int = 0,
) -> Path:
    """Write a random-weight pipeline to a folder in diffusers' layout, safetensors only; the folder.

    `width` is the text encoder's embedding width, `latent_side` the side of the latents (pictures are 8 times
    that).
    """
    tokenizer = demo_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=CONTEXT_LENGTH,
                hidden_act="gelu",
                projection_dim=width,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=8,
            sample_size=8 * latent_side,
        )
        unet = UNet2DConditionModel(
            sample_size=latent_side,
            block_out_channels=(16, 32),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            attention_head_dim=(2, 4),
            cross_attention_dim=width,
            norm_num_groups=8,
            use_linear_projection=True,
        )
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    return save_pipeline(folder, tokenizer, text_encoder, vae, unet, scheduler)
