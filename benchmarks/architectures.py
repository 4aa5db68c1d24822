"""Pipelines of a given architecture with random weights: they draw nothing, but cost what trained ones do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SD21: dict[str, dict[str, Any]] = {
    "text_encoder": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23},
    "unet": {"sample_size": 64, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20)},
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 768},
}
"""Stable Diffusion 2.1-base: 866 M numbers in the U-Net, 340 M in the text encoder, 84 M in the autoencoder."""

WIDE: dict[str, dict[str, Any]] = {
    "text_encoder": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 2},
    "unet": {
        "sample_size": 8,
        "cross_attention_dim": 1024,
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": (2, 4),
        "norm_num_groups": 8,
    },
    "vae": {"block_out_channels": (8, 16, 16, 16), "layers_per_block": 1, "norm_num_groups": 8, "sample_size": 64},
}
"""The width of Stable Diffusion 2 and its whole table of 49,408 tokens, with next to nothing behind it."""

TOKENS = 49408


def whole_tokenizer() -> Any:
    """The small world's tokenizer with as many tokens as CLIP's, for a script fits the embedding table to it."""
    from transformers import CLIPTokenizer

    from crossinit_batch.demo.training.vocabulary import demo_tokenizer

    small = demo_tokenizer()
    model = json.loads(small.backend_tokenizer.to_str())["model"]
    vocabulary = {**model["vocab"], **{f"unused-{number}": number for number in range(len(small), TOKENS)}}
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=small.model_max_length)


def make_architecture(folder: Path, sizes: dict[str, dict[str, Any]], device: str = "cpu") -> dict[str, int]:
    """Write a pipeline of these sizes with random weights in float16, drawn on a device; parameters of each part."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from crossinit_batch.demo.training.pipeline import save_pipeline

    tokenizer = whole_tokenizer()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    text: dict[str, Any] = {
        "vocab_size": TOKENS,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
        "projection_dim": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    levels = len(sizes["vae"]["block_out_channels"])
    vae: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "latent_channels": 4,
    }
    with torch.device(device):
        parts = {
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text, **sizes["text_encoder"])),
            "unet": UNet2DConditionModel(use_linear_projection=True, **sizes["unet"]),
            "vae": AutoencoderKL(**vae, **sizes["vae"]),
        }
    torch.set_default_dtype(torch.float32)
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False
    )
    save_pipeline(folder, tokenizer, scheduler=scheduler, **parts)
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
