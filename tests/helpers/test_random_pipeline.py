"""The small pipeline with random weights: a whole one, the same whenever it is made."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import locate_model
from crossinit_batch.settings import ModelSettings
from tests.helpers.random_pipeline import make_pipeline


def _fingerprint(folder: Path) -> str:
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    return source.fingerprint


def test_the_stock_pipeline_loads_and_draws(pipeline_folder: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(pipeline_folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a photo of a person", num_inference_steps=1).images[0]
    assert image.size == (64, 64)


def test_every_file_is_safetensors_or_json(pipeline_folder: Path) -> None:
    endings = {path.suffix for path in pipeline_folder.rglob("*") if path.is_file()}
    assert endings == {".json", ".safetensors"}


def test_it_is_the_same_whenever_it_is_made(pipeline_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.randn(2)
    torch.manual_seed(1)
    again = make_pipeline(tmp_path / "again")
    assert torch.equal(torch.randn(2), expected)
    assert _fingerprint(again) == _fingerprint(pipeline_folder)
    assert _fingerprint(make_pipeline(tmp_path / "other", seed=1)) != _fingerprint(pipeline_folder)


def test_it_is_of_the_kind_asked_for(velocity_folder: Path) -> None:
    source = locate_model(ModelSettings(id=str(velocity_folder)))
    assert source is not None
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    assert (model.width, model.prediction_type, model.native_size) == (48, "v_prediction", 64)
    assert json.loads((velocity_folder / "unet/config.json").read_bytes())["cross_attention_dim"] == 48


def test_its_size_can_be_chosen(tmp_path: Path) -> None:
    source = locate_model(ModelSettings(id=str(make_pipeline(tmp_path / "large", width=16, latent_side=16))))
    assert source is not None
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    assert (model.width, model.native_size, model.latent_scale) == (16, 128, 8)
