"""The denoising loop: what a picture depends on, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning
from crossinit_batch.model.micro_batch import MicroBatch
from crossinit_batch.model.sampling import denoise
from crossinit_batch.model.source import locate_model
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


def _drawn(model: BaseModel, states: list[Conditioning], seeds: list[int], settings: RenderSettings) -> Tensor:
    empty = encode_prompt(model, settings.negative_prompt, None)
    latents = denoise(model, Conditioning.stack(states), empty, seeds, settings)
    assert latents is not None
    return latents


def test_a_batch_may_mix_people_prompts_and_seeds(model: BaseModel) -> None:
    states = [encode_prompt(model, text, _v(number)) for number, text in enumerate(("a {}", "{} on the beach", "{}"))]
    together = _drawn(model, states, [5, 6, 5], _settings())
    for number, (one, seed) in enumerate(zip(states, [5, 6, 5], strict=True)):
        alone = _drawn(model, [one], [seed], _settings())
        torch.testing.assert_close(together[number], alone[0], rtol=0, atol=1e-4)
    assert not torch.equal(together[0], together[2])


def test_a_batch_may_mix_both_sides_of_the_text_encoder(model: BaseModel) -> None:
    states = [encode_prompt(model, "a {}", _v()), encode_prompt(model, "a {}", _v(), _v(1))]
    together = _drawn(model, [*states, encode_prompt(model, "", None)], [5, 5, 0], _settings())
    assert not torch.equal(together[0], together[1])
    for number, one in enumerate(states):
        torch.testing.assert_close(together[number], _drawn(model, [one], [5], _settings())[0], rtol=0, atol=1e-4)


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
    assert model.decode(latents).shape == (1, 128, 128, 3)


def test_drawing_can_be_given_up_after_any_step(model: BaseModel) -> None:
    told: list[int] = []

    def stop_at_two(step: int) -> bool:
        told.append(step)
        return step < 2

    empty = encode_prompt(model, "", None)
    assert denoise(model, empty, empty, [5], _settings(steps=9), stop_at_two) is None
    assert told == [1, 2]


def test_a_prompt_is_encoded_with_and_without_a_person(model: BaseModel) -> None:
    nobody = encode_prompt(model, "a photo", None).states
    assert nobody.shape == (1, 77, 32)
    assert not nobody.requires_grad
    assert torch.equal(encode_prompt(model, "a photo", _v()).states, nobody)
    assert torch.equal(encode_prompt(model, "a {} photo", None).states, nobody)
    assert not torch.equal(encode_prompt(model, "a {} photo", _v()).states, nobody)


def test_guidance_in_the_first_steps_only_asks_the_unet_less_and_starts_the_same(model: BaseModel) -> None:
    states = [encode_prompt(model, "a {}", _v())]
    drawn = {}
    for until, forwards in ((1.0, 10), (0.6, 8), (0.5, 8), (0.0, 5)):
        before = model.counters.unet_forwards
        settings = _settings(steps=5, guidance_until=until)
        drawn[until] = _drawn(model, states, [5], settings)
        assert model.counters.unet_forwards - before == forwards == settings.evaluations
    assert torch.equal(drawn[0.6], drawn[0.5])
    assert not torch.equal(drawn[1.0], drawn[0.6])
    assert torch.equal(drawn[0.0], _drawn(model, states, [5], _settings(steps=5, guidance=1.0)))


@pytest.mark.parametrize("places", [2, 8])
def test_a_picture_does_not_depend_on_how_many_places_of_its_batch_are_filled_up(model: BaseModel, places: int) -> None:
    mine, empty = encode_prompt(model, "a {}", _v()), encode_prompt(model, "", None)
    alone = _drawn(model, [mine], [5], _settings(steps=10))
    padded = _drawn(model, [mine] + [empty] * (places - 1), [5] + [0] * (places - 1), _settings(steps=10))
    torch.testing.assert_close(padded[:1], alone, rtol=0, atol=1e-4)
    difference = np.abs(model.decode(padded)[0].astype(int) - model.decode(alone)[0].astype(int))
    assert difference.max() <= 1


def test_pictures_are_decoded_in_one_shape_and_as_each_would_be_alone(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = torch.randn(7, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    shapes = []
    decode = model.vae.decode
    monkeypatch.setattr(model.vae, "decode", lambda z: shapes.append(z.shape[0]) or decode(z))  # type: ignore[func-returns-value]
    before = replace(model.counters)
    together = model.decode(latents)
    assert shapes == [4, 4]
    assert model.counters.vae_decodes - before.vae_decodes == 7 and model.counters.padding - before.padding == 1
    alone = np.concatenate([model.decode(latent[None]) for latent in latents])
    assert np.abs(together.astype(int) - alone.astype(int)).max() <= 1


def test_decoding_goes_on_in_smaller_parts_where_memory_runs_out(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = model.decode(latents)
    small = replace(model, decoding=MicroBatch(4))
    decode = model.vae.decode

    def tight(z: Tensor) -> Any:
        if z.shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decode(z)

    monkeypatch.setattr(model.vae, "decode", tight)
    assert np.abs(small.decode(latents).astype(int) - whole.astype(int)).max() <= 1
    assert small.reduced("drawing", "decoding") == {"micro_batch": {"decoding": {"samples": 1, "wanted": 4}}}
