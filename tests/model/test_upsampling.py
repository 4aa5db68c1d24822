"""Doubling by views: the numbers of diffusers, forward and back."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from diffusers.models.upsampling import Upsample2D

from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import fetched_model
from crossinit_batch.model.upsampling import Doubling, double_by_views
from crossinit_batch.settings import ModelSettings

CPU = torch.device("cpu")


@pytest.fixture
def plain() -> Upsample2D:
    torch.manual_seed(0)
    return Upsample2D(8, use_conv=True, out_channels=4)


def test_it_is_diffusers_upsampling_forward_and_back(plain: Upsample2D) -> None:
    doubling = copy.deepcopy(plain)
    double_by_views(torch.nn.Sequential(doubling))
    assert type(doubling) is Doubling and type(plain) is Upsample2D
    x = torch.randn(3, 8, 5, 7, requires_grad=True)
    expected, found = plain(x), doubling(x)
    assert torch.equal(expected, found) and found.shape == (3, 4, 10, 14)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((output * weights).sum(), x)[0] for output in (expected, found)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_a_size_that_is_not_twice_is_left_to_diffusers(plain: Upsample2D) -> None:
    doubling = copy.deepcopy(plain)
    double_by_views(torch.nn.Sequential(doubling))
    x = torch.randn(1, 8, 5, 7)
    assert torch.equal(plain(x, (11, 13)), doubling(x, (11, 13)))


@pytest.mark.parametrize(
    "kind", [{"use_conv_transpose": True}, {"use_conv": False}, {"use_conv": True, "name": "Conv2d_0"}]
)
def test_other_kinds_of_upsampling_stay(kind: dict[str, bool | str]) -> None:
    other = Upsample2D(8, **kind)
    double_by_views(torch.nn.Sequential(other))
    assert type(other) is Upsample2D


def test_a_loaded_model_doubles_so(pipeline_folder: Path) -> None:
    model = BaseModel.load(fetched_model(ModelSettings(id=str(pipeline_folder))), CPU, "float32")
    kinds = {type(module) for module in model.unet.modules() if isinstance(module, Upsample2D)}
    assert kinds == {Doubling}
