"""Small judges for tests, real files in the layouts that the program reads: YuNet, ArcFace, CLIP."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from crossinit_batch.demo.training.vocabulary import CONTEXT_LENGTH, demo_tokenizer
from crossinit_batch.evaluation.alignment import TEMPLATE

SIDE = 64
STRIDE = 8


class BrightSpots(nn.Module):
    """A detector that takes bright red for a face: it looks at the last channel of BGR pixels, 8 x 8 at a time."""

    points: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The template, made as wide as the face, around the anchor's middle.
        self.register_buffer("points", torch.tensor(((TEMPLATE - 56) / 112 * 3 + 0.5).flatten().tolist()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        red = nn.functional.avg_pool2d(pixels[:, 2:], STRIDE).flatten(2).transpose(1, 2)
        sure = torch.sigmoid((red - 150) / 10)
        ones = torch.ones_like(red)
        box = torch.cat([ones * 0.5, ones * 0.5, ones * 1.2, ones * 1.2], dim=2)
        return sure, torch.sigmoid((red - 130) / 10), box, ones * self.points


class MeanColors(nn.Module):
    """A recogniser that tells apart colours: means of a 4 x 4 grid, and a fixed mixture of them, not normalised."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        mixture = torch.linspace(-1, 1, 48 * width).reshape(48, width).sin() + torch.eye(48, width)
        self.register_buffer("mixture", mixture)

    def forward(self, faces: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(faces, 4).flatten(1) @ self.mixture


def export(module: nn.Module, path: Path, side: int | None, outputs: list[str]) -> Path:
    """Write a network as an ONNX file, of fixed size where `side` is given."""
    axes = {"input": {0: "batch"}} if side else {"input": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(
        module.eval(),
        (torch.zeros(1, 3, side or SIDE, side or SIDE),),
        path,
        input_names=["input"],
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    return path


def make_detector(path: Path, side: int | None = SIDE) -> Path:
    """A detector in YuNet's layout with one stride."""
    return export(BrightSpots(), path, side, [f"{part}_{STRIDE}" for part in ("cls", "obj", "bbox", "kps")])


def make_recogniser(path: Path) -> Path:
    """A recogniser in ArcFace's layout."""
    return export(MeanColors(), path, 112, ["embedding"])


def make_clip(folder: Path, seed: int = 0) -> Path:
    """A small CLIP model with random weights, with tokenizer and image processor."""
    import transformers

    processor = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    tokenizer = demo_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT_LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
        )
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    processor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def make_judges(folder: Path) -> dict[str, object]:
    """All three in a folder, and `evaluate:` of a manifest that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    detector, recogniser = make_detector(folder / "detector.onnx"), make_recogniser(folder / "recogniser.onnx")
    return {
        "identity": {"weights": str(recogniser), "detector": str(detector)},
        "prompt": {"model": str(make_clip(folder / "clip"))},
    }
