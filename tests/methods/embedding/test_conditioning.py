"""What the U-Net sees of a caption with v in it, on both sides of the text encoder, against the encoder itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossinit_batch.errors import JobError
from crossinit_batch.methods.embedding.conditioning import Captions, anchor_of
from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel
from tests.helpers.models import located

TEXTS = ("a photo of a {} person", "{}", "a happy {} person on the beach")
WHICH = torch.tensor([2, 0, 2, 1])


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return BaseModel.load(located(pipeline_folder), torch.device("cpu"), "float32")


def _vectors(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, 32, generator=torch.Generator().manual_seed(seed))


ANCHOR = _vectors(0, 2)


def test_in_the_input_v_passes_the_encoder_with_its_caption(model: BaseModel) -> None:
    captions, v = Captions(model, TEXTS, 2), _vectors(1, 4, 2)
    assert torch.equal(captions.states(WHICH, v), model.encode_text(captions.ids[WHICH], captions.slots[WHICH], v))


def test_in_the_output_v_replaces_what_the_encoder_makes_of_the_stand_in_and_nothing_else(model: BaseModel) -> None:
    captions, v = Captions(model, TEXTS, 2, ANCHOR), _vectors(1, 4, 2)
    states = captions.states(WHICH, v)
    for number, which in enumerate(WHICH.tolist()):
        caption = model.caption(TEXTS[which], 2)
        assert caption.slot is not None
        read = model.encode_text(caption.ids, torch.tensor([caption.slot]), ANCHOR[None])[0]
        expected = torch.cat([read[: caption.slot], v[number], read[caption.slot + 2 :]])
        assert torch.equal(states[number], expected)


def test_an_output_that_is_the_encoders_own_changes_nothing(model: BaseModel) -> None:
    """Where v is E(stand-in) within the caption, both sides show the U-Net the same."""
    outside, inside = Captions(model, TEXTS, 2, ANCHOR), Captions(model, TEXTS, 2)
    for which, slot in enumerate(outside.slots.tolist()):
        through = inside.states(torch.tensor([which]), ANCHOR[None])
        assert torch.equal(outside.states(torch.tensor([which]), through[:, slot : slot + 2]), through)


def test_in_the_output_gradients_reach_v_and_the_encoder_reads_each_caption_once(model: BaseModel) -> None:
    before = model.counters.text_encodes
    captions = Captions(model, TEXTS, 2, ANCHOR)
    v = _vectors(1, 4, 2).requires_grad_()
    weights = _vectors(2, 4, captions.ids.shape[1])
    for _ in range(3):
        (gradient,) = torch.autograd.grad((captions.states(WHICH, v) * weights).sum(), v)
    assert model.counters.text_encodes - before == len(TEXTS)
    for number, slot in enumerate(captions.slots[WHICH].tolist()):
        assert torch.equal(gradient[number], weights[number, slot : slot + 2])


def test_in_the_output_company_changes_no_bit(model: BaseModel) -> None:
    captions, v = Captions(model, TEXTS, 2, ANCHOR), _vectors(1, 4, 2)
    together = captions.states(WHICH, v)
    for number, which in enumerate(WHICH.tolist()):
        alone = Captions(model, [TEXTS[which]], 2, ANCHOR).states(torch.tensor([0]), v[number : number + 1])
        assert torch.equal(together[number : number + 1], alone)


def test_a_slot_that_does_not_fit_is_refused_on_both_sides(model: BaseModel) -> None:
    for anchor in (None, ANCHOR):
        with pytest.raises(JobError, match="stand before the person"):
            Captions(model, ["person " * 75 + "{}"], 2, anchor)


def test_the_mean_stands_in_for_what_lives_in_the_output() -> None:
    start = InitialVector(_vectors(1, 2), _vectors(2, 2), "d" * 64)
    assert anchor_of(EmbeddingSettings(), start) is None
    assert anchor_of(EmbeddingSettings(place="output"), start) is start.v_bar
