"""Our pictures beside those of diffusers' own StableDiffusionPipeline, which loads our embedding file."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossinit_batch.digest import image_seed
from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.methods.embedding.formats import dump_learned_embeds, token_of
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.sampling import denoise
from crossinit_batch.model.source import locate_model
from crossinit_batch.settings import ModelSettings, RenderSettings

STOCK = {"dpmsolver++": DPMSolverMultistepScheduler, "ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}
IDENTITY = "Ada-1"
LONG = "a photo of {} person, " + "a birthday cake on the beach in the mountains, " * 12


@pytest.fixture(scope="module")
def vivid(pipeline_folder: Path, velocity_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small pipelines listening to their texts: with random weights as they are, pictures hardly do."""
    folders = {"epsilon": pipeline_folder, "velocity": velocity_folder}
    return {name: _vivid(folder, tmp_path_factory.mktemp(name) / "model") for name, folder in folders.items()}


def _vivid(folder: Path, copy: Path) -> Path:
    """A copy whose U-Net's cross-attention is six times as strong."""
    shutil.copytree(folder, copy)
    path = copy / "unet/diffusion_pytorch_model.safetensors"
    weights = {name: tensor * 6 if ".attn2." in name else tensor for name, tensor in load_file(path).items()}
    save_file(weights, path)
    return copy


@lru_cache(maxsize=4)
def _model(folder: Path) -> BaseModel:
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    return BaseModel.load(source, torch.device("cpu"), "float32")


@lru_cache(maxsize=4)
def _pipe(folder: Path, tokens: int) -> tuple[StableDiffusionPipeline, Any]:
    """The stock pipeline with the embedding loaded as a user loads it, and its scheduler's configuration."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    file = folder / "learned_embeds.safetensors"
    width = pipe.text_encoder.config.hidden_size
    file.write_bytes(dump_learned_embeds(_embedding(width, tokens), IDENTITY, {"identity": IDENTITY}))
    pipe.load_textual_inversion(str(file))
    return pipe, pipe.scheduler.config


def _embedding(width: int, tokens: int) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(5))


def _ours(folder: Path, prompt: str, settings: RenderSettings, seeds: list[int], tokens: int = 2) -> list[np.ndarray]:
    model = _model(folder)
    states = encode_prompt(model, prompt, _embedding(model.width, tokens))
    empty = encode_prompt(model, settings.negative_prompt, None)
    latents = denoise(model, states.repeated(len(seeds)), empty, seeds, settings)
    assert latents is not None
    return list(model.decode(latents))


def _stock(folder: Path, prompt: str, settings: RenderSettings, seed: int, tokens: int = 2) -> np.ndarray:
    """As a user of diffusers draws it."""
    pipe, config = _pipe(folder, tokens)
    pipe.scheduler = STOCK[settings.scheduler].from_config(config)
    size = {"height": settings.size, "width": settings.size} if settings.size else {}
    image = pipe(
        prompt.replace("{}", token_of(IDENTITY)),
        negative_prompt=settings.negative_prompt or None,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        generator=torch.Generator("cpu").manual_seed(seed),
        **size,
    ).images[0]
    return np.asarray(image)


def _difference(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        pytest.param("a photo of a {} person", {}, id="plain"),
        pytest.param("a {} person on the beach", {"scheduler": "ddim"}, id="ddim"),
        pytest.param("a {} person on the beach", {"scheduler": "euler"}, id="euler"),
        pytest.param("a photo of a {} person", {"guidance": 1.0}, id="no-guidance"),
        pytest.param("a photo of a {} person", {"guidance": 0.0, "scheduler": "ddim"}, id="guidance-zero"),
        pytest.param("a photo of {}", {"negative_prompt": "sad, LEGO toys"}, id="negative-prompt"),
        pytest.param("{} wearing a red hat", {}, id="slot-first"),
        pytest.param("cubism painting of {}", {}, id="slot-last"),
        pytest.param("{}", {}, id="slot-alone"),
        pytest.param("Cake,{}'s cake (¡Café!)", {}, id="slot-between-signs"),
        pytest.param(LONG, {}, id="too-long"),
        pytest.param("a {} person", {"size": 96}, id="other-size"),
        pytest.param("a {} person", {"steps": 1}, id="one-step"),
    ],
)
def test_a_picture_equals_the_stock_pipelines(vivid: dict[str, Path], prompt: str, options: dict[str, Any]) -> None:
    settings, seed = RenderSettings(**{"steps": 6, **options}), image_seed(0, prompt, 3)
    (ours,) = _ours(vivid["epsilon"], prompt, settings, [seed])
    assert _difference(ours, _stock(vivid["epsilon"], prompt, settings, seed)) <= 1


@pytest.mark.parametrize("scheduler", sorted(STOCK))
def test_a_picture_of_a_v_prediction_model_equals_the_stock_pipelines(vivid: dict[str, Path], scheduler: str) -> None:
    settings = RenderSettings(steps=6, scheduler=scheduler)  # type: ignore[arg-type]
    (ours,) = _ours(vivid["velocity"], "a {} person", settings, [11], tokens=3)
    assert _difference(ours, _stock(vivid["velocity"], "a {} person", settings, 11, tokens=3)) <= 1


def test_pictures_show_what_the_comparison_is_about(vivid: dict[str, Path]) -> None:
    """Who is worn, in which order, where, and what is not wanted: each changes pixels by far more."""
    model, settings = _model(vivid["epsilon"]), RenderSettings(steps=6)
    v, empty = _embedding(model.width, 2), encode_prompt(model, "", None)

    def drawn(prompt: str, v: Tensor, empty: Tensor) -> np.ndarray:
        latents = denoise(model, encode_prompt(model, prompt, v), empty, [3], settings)
        assert latents is not None
        (pixels,) = model.decode(latents)
        return pixels

    plain = drawn("a {} person", v, empty)
    assert _difference(plain, drawn("a {} person", v.flip(0), empty)) > 20
    assert _difference(plain, drawn("a person {}", v, empty)) > 20
    assert _difference(plain, drawn("a {} person", v, encode_prompt(model, "sad", None))) > 20


@pytest.mark.parametrize("scheduler", sorted(STOCK))
@pytest.mark.parametrize(
    ("changes", "dropped"),
    [
        pytest.param({"steps_offset": 0, "clip_sample": True}, (), id="old"),
        pytest.param({"clip_sample": False}, ("timestep_spacing", "steps_offset"), id="short"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_schedulers_configuration_is_read_as_the_stock_pipeline_reads_it(
    vivid: dict[str, Path], tmp_path: Path, scheduler: str, changes: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    """Repositories of several ages differ in what their scheduler_config.json says and leaves out."""
    folder = tmp_path / "model"
    shutil.copytree(vivid["epsilon"], folder)
    path = folder / "scheduler/scheduler_config.json"
    config = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in dropped}
    path.write_text(json.dumps({**config, **changes}))
    settings = RenderSettings(steps=4, scheduler=scheduler)  # type: ignore[arg-type]
    (ours,) = _ours(folder, "a {} person", settings, [12])
    assert _difference(ours, _stock(folder, "a {} person", settings, 12)) <= 1


def test_pictures_of_a_batch_equal_the_stock_pipelines(vivid: dict[str, Path]) -> None:
    """Each picture of a batch has noise of its own."""
    settings = RenderSettings(steps=4)
    seeds = [image_seed(0, "a {} person", index) for index in range(3)]
    ours = _ours(vivid["epsilon"], "a {} person", settings, seeds)
    for seed, picture in zip(seeds, ours, strict=True):
        assert _difference(picture, _stock(vivid["epsilon"], "a {} person", settings, seed)) <= 1
    assert _difference(ours[0], ours[1]) > 20
