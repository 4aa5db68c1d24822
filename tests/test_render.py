"""The denoising loop: what a picture depends on, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossinit_batch.base_model import BaseModel
from crossinit_batch.model_source import locate_model
from crossinit_batch.render import denoise, encode_prompt
from crossinit_batch.settings import ModelSettings, RenderSettings


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    source = locate_model(ModelSettings(id=str(pipeline_folder)))
    assert source is not None
    return BaseModel.load(source, torch.device("cpu"), "float32")


def _v(number: int = 0) -> Tensor:
    return torch.randn(2, 32, generator=torch.Generator().manual_seed(number))


def _settings(**changes: Any) -> RenderSettings:
    return RenderSettings(**{"steps": 3, **changes})


def _drawn(model: BaseModel, states: list[Tensor], seeds: list[int], settings: RenderSettings) -> Tensor:
    empty = encode_prompt(model, settings.negative_prompt, None)
    latents = denoise(model, torch.cat(states), empty, seeds, settings)
    assert latents is not None
    return latents


def test_a_batch_may_mix_people_prompts_and_seeds(model: BaseModel) -> None:
    states = [encode_prompt(model, text, _v(number)) for number, text in enumerate(("a {}", "{} on the beach", "{}"))]
    together = _drawn(model, states, [5, 6, 5], _settings())
    for number, (one, seed) in enumerate(zip(states, [5, 6, 5], strict=True)):
        alone = _drawn(model, [one], [seed], _settings())
        torch.testing.assert_close(together[number], alone[0], rtol=0, atol=1e-4)
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize("scheduler", ["dpmsolver++", "ddim", "euler"])
def test_the_same_seed_gives_the_same_latents_to_the_bit(model: BaseModel, scheduler: str) -> None:
    states = [encode_prompt(model, "a {}", _v())]
    settings = _settings(scheduler=scheduler)
    first = _drawn(model, states, [5], settings)
    torch.manual_seed(0)
    torch.randn(10)
    assert torch.equal(first, _drawn(model, states, [5], settings))
    assert not torch.equal(first, _drawn(model, states, [6], settings))


def test_pictures_of_a_batch_of_one_shape_do_not_depend_on_their_neighbours(model: BaseModel) -> None:
    """A resumed run fills the places of finished pictures with others, and must draw the same."""
    mine = encode_prompt(model, "a {}", _v())
    first = _drawn(model, [mine, encode_prompt(model, "{} sad", _v(1))], [5, 6], _settings())
    second = _drawn(model, [mine, encode_prompt(model, "", None)], [5, 0], _settings())
    assert torch.equal(first[0], second[0])


def test_guidance_of_one_asks_the_unet_once_a_step(model: BaseModel) -> None:
    states = [encode_prompt(model, "a {}", _v())]
    for guidance, forwards in ((7.5, 6), (1.0, 3), (0.0, 3)):
        before = model.counters.unet_forwards
        _drawn(model, states, [5], _settings(guidance=guidance))
        assert model.counters.unet_forwards - before == forwards


def test_the_negative_prompt_matters_with_guidance_only(model: BaseModel) -> None:
    states = [encode_prompt(model, "a {}", _v())]
    for guidance, same in ((7.5, False), (1.0, True)):
        plain = _drawn(model, states, [5], _settings(guidance=guidance))
        other = _drawn(model, states, [5], _settings(guidance=guidance, negative_prompt="snow"))
        assert torch.equal(plain, other) is same


def test_the_size_is_the_models_own_or_as_asked(model: BaseModel) -> None:
    states = [encode_prompt(model, "a {}", _v())]
    assert _drawn(model, states, [5], _settings()).shape == (1, 4, 8, 8)
    latents = _drawn(model, states, [5], _settings(size=128))
    assert latents.shape == (1, 4, 16, 16)
    assert model.decode(latents).shape == (128, 128, 3)


def test_drawing_can_be_given_up_after_any_step(model: BaseModel) -> None:
    told: list[int] = []

    def stop_at_two(step: int) -> bool:
        told.append(step)
        return step < 2

    empty = encode_prompt(model, "", None)
    assert denoise(model, empty, empty, [5], _settings(steps=9), stop_at_two) is None
    assert told == [1, 2]


def test_a_prompt_is_encoded_with_and_without_a_person(model: BaseModel) -> None:
    nobody = encode_prompt(model, "a photo", None)
    assert nobody.shape == (1, 77, 32)
    assert not nobody.requires_grad
    assert torch.equal(encode_prompt(model, "a photo", _v()), nobody)
    assert torch.equal(encode_prompt(model, "a {} photo", None), nobody)
    assert not torch.equal(encode_prompt(model, "a {} photo", _v()), nobody)
