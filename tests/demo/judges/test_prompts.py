"""The judge of prompts, a CLIP as transformers keeps one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from crossinit_batch.demo.judges.prompts import ClipInTraining, build_clip, prompt_accuracy, save_clip, without
from crossinit_batch.demo.training.dataset import make_dataset
from crossinit_batch.demo.training.train_text_encoder import tokenize
from crossinit_batch.demo.training.vocabulary import demo_tokenizer


def test_a_name_is_left_out_as_prompts_are_judged() -> None:
    assert without("a photo of a Emma Stone person on the beach", "Emma Stone") == "a photo of a person on the beach"
    assert without("a person", None) == "a person"


def test_equal_texts_are_not_held_against_each_other() -> None:
    torch.manual_seed(0)
    tokenizer = demo_tokenizer()
    network = ClipInTraining(build_clip(tokenizer).eval())
    picture = torch.randn(1, 3, 64, 64).expand(2, -1, -1, -1)
    ids = tokenize(tokenizer, ["a person on the beach"] * 2, 20)
    # Two equal pairs: the best that can be said is one half each, and that is what is asked for.
    assert float(network.loss(ids, picture)) == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-4)
    different = tokenize(tokenizer, ["a person on the beach", "a person in the snow"], 20)
    torch.manual_seed(1)
    assert network.loss(different, torch.randn(2, 3, 64, 64)) > 0


def test_it_is_saved_as_transformers_saves_one(tmp_path: Path) -> None:
    tokenizer = demo_tokenizer()
    torch.manual_seed(0)
    clip = build_clip(tokenizer).eval()
    data = make_dataset(tmp_path / "data", 4, seed=1)
    figures = prompt_accuracy(clip, data, tokenizer)
    assert 0 <= figures["caption"] <= 1 and 1 <= figures["different"] <= 4
    save_clip(clip, tokenizer, tmp_path / "clip")
    loaded = CLIPModel.from_pretrained(tmp_path / "clip", dtype=torch.float32).eval()
    processor = CLIPProcessor.from_pretrained(tmp_path / "clip")
    inputs = processor(text=["a person"], images=[data.pictures[0]], return_tensors="pt", padding="max_length")
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    with torch.no_grad():
        found = loaded(**inputs)
        expected = clip.float()(**inputs)
    assert torch.allclose(found.text_embeds, expected.text_embeds, atol=1e-4)
    assert torch.allclose(found.image_embeds, expected.image_embeds, atol=1e-4)
