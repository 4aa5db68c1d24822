"""The description of an initial vector, in numbers that are checked against the tensors themselves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from crossinit_batch.errors import ModelError, RequestError
from crossinit_batch.methods.embedding.describe_init import describe_initial_vector, print_description
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.settings import ModelSettings
from crossinit_batch.storage.tensor_file import load_tensors


def test_the_numbers_are_those_of_the_tensors(pipeline_folder: Path, tmp_path: Path) -> None:
    save = tmp_path / "new folder/start.safetensors"
    told = describe_initial_vector(ModelSettings(id=str(pipeline_folder)), InitSettings(), save)
    tensors, metadata = load_tensors(save.read_bytes(), "start")
    table = load_file(pipeline_folder / "text_encoder/model.safetensors")["embeddings.token_embedding.weight"]
    tokenizer = CLIPTokenizer.from_pretrained(pipeline_folder, subfolder="tokenizer")
    face = table[tokenizer("face", add_special_tokens=False).input_ids[0]]
    assert told["digest"] == metadata["digest"]
    assert (told["width"], told["texts"], told["from"], told["saved"]) == (32, 691, "computed", str(save))
    assert told["table_norm"] == pytest.approx(float(table.norm(dim=1).mean()))
    assert told["word_norms"]["face"] == pytest.approx(float(face.norm()))
    assert [row["token"] for row in told["tokens"]] == [0, 1]
    for row, v, mean in zip(told["tokens"], tensors["v_init"], tensors["v_bar"], strict=True):
        assert row["norm"] == pytest.approx(float(v.norm()))
        assert row["norm_mean"] == pytest.approx(float(mean.norm()))
        assert list(row["cosine"]) == ["mean", "face", "E(face)", "person", "E(person)"]
        expected = float(v @ face / v.norm() / face.norm())
        assert row["cosine"]["face"] == pytest.approx(expected, abs=1e-6)


def test_the_second_time_it_comes_from_the_cache_and_is_the_same(pipeline_folder: Path) -> None:
    settings, init = ModelSettings(id=str(pipeline_folder)), InitSettings(words=("face", "person"))
    first, second = (describe_initial_vector(settings, init, None) for _ in range(2))
    assert (first.pop("from"), second.pop("from")) == ("computed", "cached")
    assert first == second
    assert first["tokens"][0]["cosine"]["E(face)"] == pytest.approx(1.0)
    assert first["texts"] == 2
    assert first["saved"] is None


def test_it_is_printed_as_a_table_or_as_json(pipeline_folder: Path, tmp_path: Path) -> None:
    save = tmp_path / "start.safetensors"
    settings, init = ModelSettings(id=str(pipeline_folder)), InitSettings(vectors=1, encoder=False)
    told = describe_initial_vector(settings, init, save)
    plain, machine = io.StringIO(), io.StringIO()
    print_description(told, plain, as_json=False)
    print_description(told, machine, as_json=True)
    assert json.loads(machine.getvalue()) == told
    text = plain.getvalue()
    assert "691 texts, width 32" in text
    assert f"{told['tokens'][0]['norm']:.3f}" in text
    assert told["digest"][:16] in text
    assert f"Saved {save}" in text
    assert torch.equal(load_file(save)["v_init"], load_file(save)["v_bar"])


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        describe_initial_vector(ModelSettings(id=str(tmp_path / "absent")), InitSettings(), None)


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(pipeline_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    save = tmp_path / "file/start.safetensors"
    with pytest.raises(RequestError, match="start.safetensors"):
        describe_initial_vector(ModelSettings(id=str(pipeline_folder)), InitSettings(words=("face",)), save)
