"""The trainers of the small world: what they build, and a complete tiny training from nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossinit_batch.demo.judges.album import ATTRIBUTES
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training import train_text_encoder, train_unet
from crossinit_batch.demo.training.dataset import make_dataset
from crossinit_batch.demo.training.recipe import Recipe
from crossinit_batch.demo.training.train import STAGES, Training
from crossinit_batch.demo.training.train_autoencoder import build_autoencoder
from crossinit_batch.demo.training.train_text_encoder import build_text_encoder, to_samples, tokenize
from crossinit_batch.demo.training.vocabulary import demo_tokenizer
from crossinit_batch.errors import RequestError
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import locate_model
from crossinit_batch.settings import ModelSettings


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return make_dataset(tmp_path_factory.mktemp("data"), 24, seed=9).pictures


def test_an_untrained_autoencoder_shows_colours_already(pictures: np.ndarray) -> None:
    torch.manual_seed(0)
    samples = to_samples(pictures)
    autoencoder = build_autoencoder(samples[:12])
    with torch.no_grad():
        latents = autoencoder.encode(samples[12:]).latent_dist
        drawn = autoencoder.decode(latents.mean).sample
    flat = samples[12:].mean(dim=(2, 3), keepdim=True)
    assert (drawn - samples[12:]).abs().mean() < 0.6 * (flat - samples[12:]).abs().mean()
    assert latents.std.mean() < 0.1


def test_samples_are_pictures_from_minus_one_to_one() -> None:
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[0, 0, 1] = (255, 0, 127)
    samples = to_samples(picture)
    assert samples.shape == (1, 3, 2, 2)
    assert samples[0, :, 0, 1].tolist() == pytest.approx([1, -1, -0.004], abs=1e-2)


def test_captions_are_encoded_once_as_the_pipeline_encodes_them(tmp_path: Path) -> None:
    tokenizer = demo_tokenizer()
    text_encoder = build_text_encoder(tokenizer).eval().requires_grad_(False)
    captions = ["a photo of a person", "a photo of a Emma Stone person on the beach"]
    states = train_unet.encode_captions(text_encoder, tokenizer, [captions], tmp_path / "captions.npy")
    again = train_unet.encode_captions(text_encoder, tokenizer, [], tmp_path / "captions.npy")
    expected = text_encoder(input_ids=tokenize(tokenizer, captions)).last_hidden_state
    assert states.shape == (1, 2, 77, train_text_encoder.WIDTH)
    assert np.array_equal(states, again)
    assert np.allclose(states[0], expected.numpy(), atol=1e-2)


def test_a_tiny_world_is_trained_from_nothing_and_loads_as_any_model(tmp_path: Path) -> None:
    lines: list[str] = []
    scaled = Recipe().scaled(0.001)
    recipe = replace(scaled, unet=replace(scaled.unet, steps=4))  # its steps take longest
    training = Training(tmp_path / "world", seed=5, report=lines.append, recipe=recipe)
    for stage in STAGES:
        training.do(stage)
    assert set(training.notes.facts()) == {
        *("text-encoder", "autoencoder-pieces", "autoencoder-whole", "autoencoder", "decoder", "unet"),
        *("detector", "recogniser", "attributes", "clip"),
    }
    source = locate_model(ModelSettings(id=str(training.pipeline_folder)))
    assert source is not None
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    assert model.native_size == 64 and model.width == train_text_encoder.WIDTH
    assert model.prediction_type == "v_prediction"
    ids = model.caption("a photo of a person", tokens=0).ids
    noise = model.predict_noise(
        torch.zeros(1, *model.encode_image(torch.zeros(1, 3, 64, 64))[0].shape[1:]),
        torch.tensor([500]),
        model.encode_text(ids),
    )
    assert torch.isfinite(noise).all()
    panel = DemoJudges.open(training.judges_folder)
    pictures = training.data()[0].pictures[:2]
    assert panel.who(pictures).shape == (2, 128) and panel.what(pictures).shape == (2, len(ATTRIBUTES))
    longer = replace(recipe, unet=replace(recipe.unet, steps=recipe.unet.steps + 2))
    extended = Training(tmp_path / "world", seed=5, report=lines.append, recipe=longer)
    for stage in STAGES:
        extended.do(stage)
    assert training.notes.facts()["unet"]["steps"] == longer.unet.steps
    assert training.notes.facts()["autoencoder"]["steps"] == recipe.whole.steps


def test_a_folder_belongs_to_one_training(tmp_path: Path) -> None:
    Training(tmp_path, seed=1, report=print)
    with pytest.raises(RequestError, match="another seed"):
        Training(tmp_path, seed=2, report=print)
    assert json.loads((tmp_path / "training.json").read_text())["seed"] == 1


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no stage 'vae'"):
        Training(tmp_path, seed=1, report=print).do("vae")
