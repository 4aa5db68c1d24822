"""Batch sizes: what a sample takes by the counts against what autograd keeps, and what fits into how much memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.flops import Architecture
from crossinit_batch.model.source import ModelSource, fetched_model
from crossinit_batch.plan import batch_sizes
from crossinit_batch.plan.batch_sizes import chosen_sizes, decoded_together, learning_bytes, weight_bytes
from crossinit_batch.settings import ComputeSettings, ModelSettings
from tests.helpers.results import a_plan
from tests.model.test_flops import SD21

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def source(pipeline_folder: Path) -> ModelSource:
    return fetched_model(ModelSettings(id=str(pipeline_folder)))


def test_the_memory_of_a_sample_is_what_autograd_keeps(source: ModelSource) -> None:
    model = BaseModel.load(source, CPU, "float32")
    weights = {p.untyped_storage().data_ptr() for part in (model.unet, model.text_encoder) for p in part.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            kept[place] = tensor
        return tensor

    samples = 4
    v = torch.zeros(samples, 2, model.width, requires_grad=True)
    caption = model.caption("a {}", 2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ids, slots = caption.ids.expand(samples, -1), torch.tensor([caption.slot] * samples)
        states = model.encode_text(ids, slots, v)
        model.predict_noise(torch.zeros(samples, 4, 8, 8), torch.zeros(samples, dtype=torch.int64), states)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / samples
    assert learning_bytes(Architecture.read(source.folder), 4) == pytest.approx(measured, rel=0.35)


def test_the_published_memory_of_stable_diffusion() -> None:
    """0.69 GB a sample in bfloat16 for the U-Net alone."""
    architecture = Architecture(**SD21)
    assert 0.69e9 < learning_bytes(architecture, 2) < 0.9e9
    assert decoded_together(architecture, 64) == 1 and decoded_together(architecture, 16) == 8


def test_the_weights_are_counted_from_the_files(source: ModelSource) -> None:
    model = BaseModel.load(source, CPU, "float32")
    counted = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in ("unet", "vae")}
    text = sum(p.numel() for p in model.text_encoder.parameters())
    assert weight_bytes(source, 2) == 2 * counted["unet"] + 4 * (counted["vae"] + text)


def sizes(
    monkeypatch: pytest.MonkeyPatch, gib: float, kind: str = "cuda", sharing: int = 1, **compute: Any
) -> tuple[int, int, int]:
    """Identities, samples a pass and pictures for SD 2.1 with so much free memory after 5 GiB of weights."""
    monkeypatch.setattr(batch_sizes, "free_memory", lambda _device: (gib + 5) * GIB)
    monkeypatch.setattr(batch_sizes, "weight_bytes", lambda _source, _element: 5 * GIB)
    monkeypatch.setattr(Architecture, "read", lambda _folder: Architecture(**SD21))
    plan = a_plan().model_copy(update={"compute": ComputeSettings(**compute)})
    plan = plan.model_copy(update={"model": plan.model.model_copy(update={"dtype": "bfloat16"})})
    found = chosen_sizes(plan, ModelSource("sd", Path(), None, None, {}), torch.device(kind), sharing)
    return found["identities_per_batch"], found["samples_per_pass"], found["images_per_batch"]


@pytest.mark.parametrize(
    ("gib", "expected"),
    [(140, (8, 64, 32)), (40, (5, 40, 32)), (16, (2, 16, 22)), (4, (1, 4, 5)), (0.1, (1, 1, 1)), (-2, (1, 1, 1))],
)
def test_a_card_takes_what_its_memory_holds(
    monkeypatch: pytest.MonkeyPatch, gib: float, expected: tuple[int, int, int]
) -> None:
    assert sizes(monkeypatch, gib) == expected


def test_more_memory_is_never_less_and_more_than_enough_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [sizes(monkeypatch, gib) for gib in (0, 1, 2, 5, 10, 20, 50, 100, 1000)]
    assert found == sorted(found) and found[-1] == found[-2] == (8, 64, 32)
    assert sizes(monkeypatch, 1000, "cpu") == (4, 32, 8)
    assert sizes(monkeypatch, 1000, "xpu") == (4, 32, 8)


def test_workers_on_one_device_divide_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them holds the weights too."""
    assert sizes(monkeypatch, 4 * 16 + 15, sharing=4) == sizes(monkeypatch, 16) == (2, 16, 22)
    assert sizes(monkeypatch, 4, "cpu", sharing=2) == (1, 1, 1)


def test_identities_that_are_asked_for_share_a_batch_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    identities, samples, _ = sizes(monkeypatch, 4, identities_per_batch=8)
    assert identities == 8 and samples <= 4


def test_free_memory_is_a_number_of_bytes() -> None:
    assert 2**26 < batch_sizes.free_memory(CPU) < 2**50
