"""Compiling: when it pays, where its code is kept, and that it changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.methods.embedding.optimization import Optimization
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model import compilation
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import (
    Work,
    can_compile,
    compile_unet,
    compiled_folder,
    gradient_error,
    is_rounding,
    what_pays,
)
from crossinit_batch.model.conditioning import Conditioning
from crossinit_batch.model.sampling import denoise
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings, RenderSettings

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def work_of(learning: float, drawing: float, workers: int = 1) -> dict[Work, float]:
    return {"learning": learning / workers, "drawing": drawing / workers}


def test_long_work_is_compiled_and_short_work_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "can_compile", lambda device: device.type != "mps")
    nothing = tmp_path / "none"
    assert what_pays(work_of(0, 0), CUDA, nothing) is False and what_pays(work_of(300, 300), CUDA, nothing) is False
    assert what_pays(work_of(3600, 3600), CUDA, nothing) is True
    assert what_pays(work_of(400, 3600), CUDA, nothing) == "drawing"
    assert what_pays(work_of(3600, 300), CUDA, nothing) == "learning"
    assert what_pays(work_of(9000, 1500, workers=6), CUDA, nothing) == "learning", "each of them would compile"
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "drawing.done").touch()
    assert what_pays(work_of(100, 100), CUDA, kept) == "drawing" and what_pays(work_of(30, 30), CUDA, kept) is False
    assert (
        what_pays(work_of(1000, 500), CPU, nothing) is False and what_pays(work_of(36000, 36000), CPU, nothing) is True
    )
    assert what_pays(work_of(1000, 1000), CPU, nothing) == "drawing"
    assert what_pays(work_of(1e9, 1e9), torch.device("mps"), nothing) is False


def test_without_a_compiler_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "")
    assert not can_compile(CPU)
    assert not what_pays(work_of(1e9, 1e9), CPU, tmp_path / "none")
    (tmp_path / "g++").write_text("#!/bin/sh\n")
    (tmp_path / "g++").chmod(0o755)
    assert can_compile(CPU)


def test_compiled_code_is_kept_apart_by_model_device_and_precision(own_cache: Path) -> None:
    folders = {
        compiled_folder(unet, device, dtype)
        for unet in ("1" * 64, "2" * 64)
        for device in (CPU, torch.device("mps"))
        for dtype in ("float32", "bfloat16")
    }
    assert len(folders) == 8 and all(folder.parent == own_cache / "compiled" for folder in folders)


def _learned(model: BaseModel) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    subjects = [Subject(name, *torch.rand(2, 1, 2, 4, 8, 8, generator=generator)) for name in ("ada", "bob")]
    settings = EmbeddingSettings(steps=10, batch_size=2)
    optimization = Optimization(model, subjects, torch.linspace(-1, 1, 64).reshape(2, 32), settings, seed=3)
    assert optimization.run(lambda _step, _loss: True)
    return optimization.snapshot().v


def _drawn(model: BaseModel) -> Tensor:
    empty = encode_prompt(model, "", None)
    states = Conditioning.stack([encode_prompt(model, text, None) for text in ("a person", "a sad person", "a beach")])
    latents = denoise(model, states, empty, [1, 2, 3], RenderSettings(steps=10))
    assert latents is not None
    return latents


def test_a_gradient_that_is_wrong_is_found(pipeline_folder: Path) -> None:
    model = BaseModel.load(fetched_model(ModelSettings(id=str(pipeline_folder))), CPU, "float32")

    def forgetful(latents: Tensor, timesteps: Tensor, states: Tensor, **options: Any) -> Any:
        """The right prediction, three fifths of its gradient."""
        return model.unet(latents, timesteps, 0.6 * states + 0.4 * states.detach(), **options)

    def broken(latents: Tensor, timesteps: Tensor, states: Tensor, **options: Any) -> Any:
        return model.unet(latents, timesteps, states * float("nan"), **options)

    errors = []
    for unet in (model.unet, forgetful, broken):
        model.compiled_learning = unet
        errors.append(gradient_error(model, 3))
    assert errors[:2] == [0, pytest.approx(0.4, abs=1e-3)]
    for dtype in (torch.float32, torch.bfloat16):
        assert [is_rounding(error, dtype) for error in errors] == [True, False, False]


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not can_compile(CPU), reason="there is no C++ compiler")
def test_compiled_code_draws_and_learns_the_same(pipeline_folder: Path, own_cache: Path) -> None:
    source = fetched_model(ModelSettings(id=str(pipeline_folder)))
    eager, compiled = (BaseModel.load(source, CPU, "float32") for _ in range(2))
    compile_unet(compiled, "float32")
    torch.testing.assert_close(_drawn(compiled), _drawn(eager), rtol=0, atol=1e-3)
    assert is_rounding(gradient_error(compiled, 4), torch.float32)
    torch.testing.assert_close(_learned(compiled), _learned(eager), rtol=0, atol=1e-5)
    assert any(compiled_folder(source.components["unet"], CPU, "float32").rglob("*.so"))
