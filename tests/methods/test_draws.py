"""Draws: the same wherever they are asked for, different for everything that they are for, and of the right laws."""

from __future__ import annotations

import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from crossinit_batch.methods.draws import StepDraws, draw_step
from crossinit_batch.model.sampling import initial_latents


def _draw(seed: int = 0, identity: str = "ada", step: int = 0, **changes: object) -> StepDraws:
    asked = {"batch_size": 8, "photographs": 3, "templates": 81, "flip": True, "latent_shape": (4, 8, 8)}
    return draw_step(seed, identity, step, **{**asked, **changes})  # type: ignore[arg-type]


def _same(one: StepDraws, other: StepDraws) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in vars(one))


def test_draws_are_the_same_whatever_was_drawn_before() -> None:
    first = _draw(step=5)
    torch.manual_seed(1)
    torch.randn(17)
    _draw(step=4)
    assert _same(first, _draw(step=5))


def test_draws_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    _draw()
    initial_latents(3, (4, 8, 8))
    assert torch.equal(torch.randn(3), expected)


@pytest.mark.parametrize("change", [{"seed": 1}, {"identity": "bob"}, {"step": 1}])
def test_draws_differ_by_seed_identity_and_step(change: dict[str, object]) -> None:
    one, other = _draw(), _draw(**change)  # type: ignore[arg-type]
    for part in ("timestep", "noise", "posterior"):
        assert not torch.equal(getattr(one, part), getattr(other, part))


def test_shapes_and_ranges() -> None:
    draw = _draw(batch_size=4000, latent_shape=(4, 2, 3), timesteps=10)
    assert draw.noise.shape == draw.posterior.shape == (4000, 4, 2, 3)
    for part, count in (("photograph", 3), ("mirrored", 2), ("template", 81), ("timestep", 10)):
        values = getattr(draw, part)
        assert values.dtype == torch.int64
        assert sorted(set(values.tolist())) == list(range(count))
    assert abs(float(draw.mirrored.float().mean()) - 0.5) < 0.05
    assert abs(float(draw.noise.mean())) < 0.02
    assert abs(float(draw.noise.std()) - 1) < 0.02
    assert abs(float((draw.noise * draw.posterior).mean())) < 0.02


def test_without_flip_no_sample_is_mirrored_and_the_rest_stays() -> None:
    one, other = _draw(flip=True), _draw(flip=False)
    assert one.mirrored.sum() > 0
    assert other.mirrored.tolist() == [0] * 8
    assert torch.equal(one.noise, other.noise)
    assert torch.equal(one.timestep, other.timestep)


def test_initial_latents_are_those_of_diffusers() -> None:
    expected = randn_tensor((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(12))
    assert torch.equal(initial_latents(12, (4, 8, 8)), expected)
