"""Costs counted from configurations, against torch's own counter on the modules themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from crossinit_batch.model.flops import Architecture

SD21: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "cross_attention_dim": 1024,
        "block_out_channels": [320, 640, 1280, 1280], "attention_head_dim": [5, 10, 20, 20],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "mid_block_type": "UNetMidBlock2DCrossAttn", "use_linear_projection": True,
    },
    "text": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16},
    "vae": {
        "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4,
        "in_channels": 3, "out_channels": 3, "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4, "sample_size": 512,
    },
}  # fmt: skip


def counted(work: Any) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return float(counter.get_total_flops())


def torch_counts(architecture: Architecture) -> dict[str, float]:
    """By modules of these configurations that hold no numbers."""
    side = architecture.latent_side(None)
    text = {key: value for key, value in architecture.text.items() if not key.startswith("_") and key != "dtype"}
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(architecture.unet).eval()
        vae = AutoencoderKL.from_config(architecture.vae).eval()
        encoder = CLIPTextModel(CLIPTextConfig(**text)).eval()
        latents = torch.empty(1, unet.config.in_channels, side, side)
        states = torch.empty(1, 77, unet.config.cross_attention_dim)
        picture = torch.empty(1, 3, side * architecture.latent_scale, side * architecture.latent_scale)
        return {
            "unet": counted(lambda: unet(latents, torch.tensor(1), states)),
            "encode": counted(lambda: vae.encode(picture)),
            "decode": counted(lambda: vae.decode(latents)),
            "text": counted(lambda: encoder(input_ids=torch.zeros(1, 77, dtype=torch.int64))),
        }


def our_counts(architecture: Architecture) -> dict[str, float]:
    side = architecture.latent_side(None)
    return {
        "unet": architecture.noise_prediction(side).flops,
        "encode": architecture.picture_encoding(side).flops,
        "decode": architecture.picture_decoding(side).flops,
        "text": architecture.text_encoding.flops,
    }


@pytest.fixture(params=["small", "demo", "sd21"])
def architecture(request: pytest.FixtureRequest, pipeline_folder: Path) -> Architecture:
    if request.param == "sd21":
        return Architecture(**SD21)
    if request.param == "small":
        return Architecture.read(pipeline_folder)
    import crossinit_batch

    return Architecture.read(Path(crossinit_batch.__file__).with_name("world") / "pipeline")


def test_operations_are_as_many_as_torch_counts(architecture: Architecture) -> None:
    ours, theirs = our_counts(architecture), torch_counts(architecture)
    for part, flops in theirs.items():
        assert ours[part] == pytest.approx(flops, rel=0.02), part


def test_the_published_counts_of_stable_diffusion() -> None:
    """0.804, 1.117, 2.515 and 0.045 TFLOP."""
    ours = our_counts(Architecture(**SD21))
    published = {"unet": 0.8043e12, "encode": 1.1167e12, "decode": 2.5145e12, "text": 0.0451e12}
    assert ours == pytest.approx(published, rel=0.01)


def test_costs_grow_with_the_picture() -> None:
    architecture = Architecture(**SD21)
    small, large = architecture.noise_prediction(32), architecture.noise_prediction(64)
    assert 4 < large.flops / small.flops < 5  # attention grows with the square
    assert large.kernels == small.kernels
    assert architecture.latent_side(768) == 96 and architecture.latent_side(None) == 64
