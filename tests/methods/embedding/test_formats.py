"""Embedding files: loaded by the real diffusers, read from other tools, one clear error for each bad file."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load, save
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.embedding.formats import (
    EmbeddingFile,
    dump_learned_embeds,
    dump_webui,
    read_embedding,
    token_of,
)
from crossinit_batch.storage.tensor_file import dump_tensors

WIDTH = 32
V = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0))
METADATA = {"method": "cross-init", "steps": "320", "person": "Renée"}


def pickled(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.fixture
def pipeline(tmp_path: Path) -> StableDiffusionPipeline:
    """A pipeline with a text side only: a tokenizer of single characters and a text encoder of two layers."""
    characters = [chr(code) for code in range(33, 127)] + ["Ã", "©", "Â"]
    words = [
        *characters,
        *(f"{character}</w>" for character in characters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text_encoder = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), **sizes))
    return StableDiffusionPipeline(
        vae=None,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=None,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def vectors_in_prompt(pipeline: StableDiffusionPipeline, prompt: str) -> torch.Tensor:
    """Rows (n, width) of the embedding table for those places of a prompt that stand for added tokens."""
    expanded = pipeline.maybe_convert_prompt(prompt, pipeline.tokenizer)
    ids = pipeline.tokenizer(expanded).input_ids
    added = set(pipeline.tokenizer.added_tokens_encoder.values()) - set(pipeline.tokenizer.all_special_ids)
    table = pipeline.text_encoder.get_input_embeddings().weight.detach()
    return table[[at for at in ids if at in added]]


def save_embedding(folder: Path, identity: str, v: torch.Tensor = V) -> str:
    folder.mkdir()
    (folder / "learned_embeds.safetensors").write_bytes(dump_learned_embeds(v, identity, METADATA))
    return str(folder)


def test_diffusers_loads_our_folder_without_arguments(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipeline.load_textual_inversion(save_embedding(tmp_path / "ada", "ada"))
    expanded = pipeline.maybe_convert_prompt("a photo of <ada>", pipeline.tokenizer)
    assert expanded == "a photo of <ada> <ada>_1"
    assert torch.equal(vectors_in_prompt(pipeline, "a photo of <ada>"), V)
    assert torch.equal(vectors_in_prompt(pipeline, "a photo of a <ada> person, smiling"), V)


def test_what_lives_in_the_encoders_output_keeps_its_stand_in_and_its_place(tmp_path: Path) -> None:
    data = dump_learned_embeds(V, "ada", METADATA, 2 * V)
    found = read_embedding(data, "ada")
    assert torch.equal(found.v, V) and found.anchor is not None and torch.equal(found.anchor, 2 * V)
    assert (found.token, found.metadata) == ("<ada>", METADATA)
    (tmp_path / "ada.safetensors").write_bytes(data)
    with safe_open(tmp_path / "ada.safetensors", framework="pt") as file:
        assert file.metadata()["place"] == "output"


def test_a_file_that_says_nothing_of_a_place_is_of_the_encoders_input() -> None:
    for metadata in (METADATA, {**METADATA, "place": "input"}):
        found = read_embedding(dump_learned_embeds(V, "ada", metadata), "ada")
        assert found.anchor is None and found.metadata == METADATA


def test_diffusers_refuses_what_lives_in_the_encoders_output(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    """Taken for token embeddings it would draw somebody else without a word."""
    (tmp_path / "learned_embeds.safetensors").write_bytes(dump_learned_embeds(V, "ada", METADATA, 2 * V))
    with pytest.raises(ValueError, match="state dictionary is incorrect"):
        pipeline.load_textual_inversion(str(tmp_path))


@pytest.mark.parametrize(
    ("tensors", "place", "words"),
    [
        ({"<ada>": V}, "output", "which this version cannot use"),
        ({"<ada>": V, "stand_in": V}, "middle", "for the place 'middle'"),
        ({"<ada>": V, "stand_in": V[:1]}, "output", r"shapes \(2, 32\) and \(1, 32\)"),
        ({"<ada>": V, "stand_in": V * float("nan")}, "output", "NaN or infinite"),
        ({"<ada>": V, "stand_in": V}, "input", "2 tensors"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(tensors: dict[str, torch.Tensor], place: str, words: str) -> None:
    with pytest.raises(EmbeddingError, match=words):
        read_embedding(dump_tensors(tensors, {"place": place}), "ada")


@pytest.mark.parametrize(
    ("identity", "token"),
    [
        ("Ada_L.1", "<ada_l.1>"),
        ("28017", "<28017>"),
        ("a-b", "<a-b>"),
        ("A.B_c-D", "<a.b_c-d>"),
        ("RENÉE", "<renée>"),
    ],
)
def test_every_kind_of_id_keeps_both_vectors(
    pipeline: StableDiffusionPipeline, tmp_path: Path, identity: str, token: str
) -> None:
    assert token_of(identity) == token
    pipeline.load_textual_inversion(save_embedding(tmp_path / "e", identity))
    assert {token, f"{token}_1"} <= pipeline.tokenizer.added_tokens_encoder.keys()
    assert torch.equal(vectors_in_prompt(pipeline, f"a {token} person"), V)


def test_an_upper_case_token_would_lose_a_vector(pipeline: StableDiffusionPipeline) -> None:
    """Why token_of lower-cases: diffusers takes `<Ada>` without a word and then uses one vector of two."""
    pipeline.load_textual_inversion({"<Ada>": V})
    assert len(vectors_in_prompt(pipeline, "a photo of <Ada>")) < 2


def test_people_of_different_numbers_of_vectors_share_a_pipeline(
    pipeline: StableDiffusionPipeline, tmp_path: Path
) -> None:
    pipeline.load_textual_inversion(save_embedding(tmp_path / "a", "ada", V[:1]))
    pipeline.load_textual_inversion(save_embedding(tmp_path / "b", "ada.b", 2 * V))
    both = vectors_in_prompt(pipeline, "<ada.b> shakes hands with <ada>")
    assert torch.equal(both, torch.cat([2 * V, V[:1]]))


def test_diffusers_loads_the_webui_file_under_a_given_token(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    (tmp_path / "ada.safetensors").write_bytes(dump_webui(V, METADATA))
    pipeline.load_textual_inversion(str(tmp_path), weight_name="ada.safetensors", token="<ada>")
    assert torch.equal(vectors_in_prompt(pipeline, "a photo of <ada>"), V)


def test_diffusers_loads_what_was_read_from_the_released_code(pipeline: StableDiffusionPipeline) -> None:
    tensors = {"28017_v0": V[0].clone(), "28017_v1": V[1].clone()}
    with pytest.raises(ValueError, match="incorrect"):
        pipeline.load_textual_inversion(dict(tensors))
    embedding = read_embedding(save(tensors), "28017.safetensors")
    data = dump_learned_embeds(embedding.v, "28017", embedding.metadata)
    pipeline.load_textual_inversion(load(data))
    assert torch.equal(vectors_in_prompt(pipeline, "a <28017> person"), V)


@pytest.mark.parametrize("identity", ["", "a b", "a\tb", "<ada>", "a>b", "a\0b", "a\u200bb"])
def test_an_id_that_makes_no_token_is_refused(identity: str) -> None:
    with pytest.raises(EmbeddingError, match="cannot be made into a token"):
        token_of(identity)


def test_our_own_files_come_back_whole() -> None:
    learned = read_embedding(dump_learned_embeds(V, "Ada", METADATA), "learned_embeds.safetensors")
    webui = read_embedding(dump_webui(V, METADATA), "ada.safetensors")
    assert (learned.token, webui.token) == ("<ada>", None)
    for embedding in (learned, webui):
        assert torch.equal(embedding.v, V) and embedding.v.dtype == torch.float32
        assert embedding.metadata == METADATA


def test_each_file_holds_one_float32_tensor_under_the_key_that_its_readers_want() -> None:
    half = V.half().requires_grad_()
    for data, key in ((dump_learned_embeds(half, "Ada", {}), "<ada>"), (dump_webui(half, {}), "emb_params")):
        tensors = load(data)
        assert list(tensors) == [key]
        assert tensors[key].dtype == torch.float32 and torch.equal(tensors[key], V.half().float())
        assert b'"__metadata__":{"format":"pt"}' in data
    assert len(dump_webui(torch.ones(2, 1024), {})) < 8_400


@pytest.mark.parametrize("length", [60, 640, 896, 1152, 1408])
def test_a_header_whose_length_looks_like_another_format(length: int) -> None:
    """The first bytes of safetensors are the header's length: 640 is how a pickle begins, 60 a web page."""
    data = save({"<ada>": V}, {"note": ""})
    header = data[8 : 8 + struct.unpack_from("<Q", data)[0]].rstrip()
    if length == 60:
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    body = save({"a": torch.ones(1)})[-4:] if length == 60 else data[-V.numel() * 4 :]
    padded = struct.pack("<Q", length) + header.ljust(length) + body
    assert read_embedding(padded, "a").v.shape == ((1, 1) if length == 60 else (2, WIDTH))


TAKEN = {
    "diffusers": ({"<cat-toy>": V}, "<cat-toy>", V),
    "web UIs": ({"emb_params": V}, None, V),
    "clip_l": ({"clip_l": V}, None, V),
    "clip_h": ({"clip_h": V}, None, V),
    "clip_g": ({"clip_g": V}, None, V),
    "one vector": ({"<ada>": V[0].clone()}, "<ada>", V[:1]),
    "half": ({"<ada>": V.half()}, "<ada>", V.half().float()),
    "bfloat16": ({"<ada>": V.bfloat16()}, "<ada>", V.bfloat16().float()),
    "double": ({"<ada>": V.double()}, "<ada>", V),
    "released code": ({"28017_v1": V[1].clone(), "28017_v0": V[0].clone()}, "<28017>", V),
    "eleven vectors": ({f"x_v{n}": torch.full((4,), n + 1.0) for n in range(11)}, "<x>", None),
}


@pytest.mark.parametrize("pickle", [False, True])
@pytest.mark.parametrize("case", TAKEN)
def test_layouts_of_other_tools_are_read(case: str, pickle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, token, v = TAKEN[case]
    if pickle:  # the reading of real pickles is test_legacy_pickle's; a process for each layout would take long
        monkeypatch.setattr("crossinit_batch.methods.embedding.formats.read_pickle", lambda *_: (dict(tensors), None))
    data = pickled(tensors) if pickle else save(tensors)
    embedding = read_embedding(data, "a.bin", allow_pickle=pickle)
    expected = torch.arange(1.0, 12.0)[:, None].expand(11, 4) if v is None else v
    assert embedding.v.dtype == torch.float32 and torch.equal(embedding.v, expected)
    assert (embedding.token, embedding.metadata) == (token, {})


def test_the_released_codes_bin_is_read_if_pickles_are_allowed() -> None:
    data = pickled({"28017_v0": V[0].clone(), "28017_v1": V[1].clone()})
    embedding = read_embedding(data, "28017.bin", allow_pickle=True)
    assert torch.equal(embedding.v, V) and embedding.token == "<28017>"


def test_an_a1111_pt_is_read_if_pickles_are_allowed() -> None:
    data = pickled({"string_to_param": {"*": V}, "string_to_token": {"*": 265}, "name": "ada", "step": 3})
    embedding = read_embedding(data, "ada.pt", allow_pickle=True)
    assert torch.equal(embedding.v, V) and embedding.token == "ada"


@pytest.mark.parametrize(
    ("name", "words"),
    [("ada.bin", "ada.bin: a pickle; "), ("ada.safetensors", "a pickle, whatever its name says")],
)
def test_a_pickle_is_refused_unless_allowed(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossinit_batch.methods.embedding.formats.read_pickle", lambda *_: pytest.fail("it was read"))
    with pytest.raises(EmbeddingError) as caught:
        read_embedding(pickled({"<ada>": V}), name)
    assert words in caught.value.message and "can run any program" in caught.value.message
    assert "--allow-pickle" in caught.value.hint


def test_a_payload_in_a_pickle_never_runs(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {sentinel}",)

    data = pickled({"<ada>": Payload()})
    for allowed in (False, True):
        with pytest.raises(EmbeddingError):
            read_embedding(data, "ada.bin", allow_pickle=allowed)
    assert not sentinel.exists()


GOOD = dump_webui(V, {})
BAD = {
    "empty": (b"", "the file is empty"),
    "cut short": (GOOD[:-4], "not a valid safetensors file"),
    "header of 2^40": (struct.pack("<Q", 2**40) + GOOD[8:], "its header claims 1099511627776 bytes"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a git-lfs pointer"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(30), "a picture"),
    "garbage": (bytes(range(100, 200)), "not a safetensors file"),
    "model": (bytes((8 << 20) + 1), "8388609 bytes, more than any embedding"),
    "no tensors": (save({}, {"a": "b"}), "no tensor in this file"),
    "several keys": (
        save({"emb_params": V, "step": torch.ones(1)}),
        "2 tensors ('emb_params', 'step') where",
    ),
    "several people": (save({"a_v0": V[0], "b_v1": V[1].clone()}), "2 tensors ("),
    "many keys": (save({f"layer{n}": torch.ones(1) for n in range(9)}), "9 tensors ('layer0', "),
    "SDXL": (
        save({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)}),
        "Stable Diffusion XL's two",
    ),
    "missing vector": (save({"a_v0": V[0].clone(), "a_v2": V[1].clone()}), "the vector a_v1 is missing"),
    "two widths": (
        save({"a_v0": torch.ones(4), "a_v1": torch.ones(5)}),
        "shapes [(4,), (5,)], not one width",
    ),
    "numbered tables": (save({"a_v0": V, "a_v1": V.clone()}), "shapes [(2, 32)], not one width"),
    "integers": (save({"<a>": torch.ones(2, 4, dtype=torch.int64)}), "its numbers are of type int64"),
    "scalar": (save({"<a>": torch.tensor(1.0)}), "a tensor of shape ()"),
    "three axes": (save({"<a>": V[None]}), "a tensor of shape (1, 2, 32)"),
    "no vectors": (save({"<a>": torch.zeros(0, 32)}), "no vectors in a tensor of shape (0, 32)"),
    "no width": (save({"<a>": torch.zeros(2, 0)}), "no vectors in a tensor of shape (2, 0)"),
    "too many": (save({"<a>": torch.ones(76, 4)}), "76 vectors, and a prompt has room for 75"),
    "too wide": (save({"<a>": torch.ones(1, 8193)}), "vectors of width 8193"),
    "NaN": (save({"<a>": torch.tensor([[1.0, float("nan")]])}), "1 of 2 numbers are NaN or infinite"),
    "infinity": (save({"<a>": torch.tensor([float("inf"), 1.0, -float("inf")])}), "2 of 3 numbers are NaN"),
    "float32 overflow": (save({"<a>": torch.tensor([1e300], dtype=torch.float64)}), "1 of 1 numbers are NaN"),
    "zeros": (save({"<a>": torch.zeros(2, 4)}), "every number is zero"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_error_with_name_reason_and_hint(case: str) -> None:
    data, reason = BAD[case]
    with pytest.raises(EmbeddingError) as caught:
        read_embedding(data, "faces/ada.safetensors", allow_pickle=True)
    assert caught.value.message.startswith("faces/ada.safetensors: ")
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_bad_embedding_is_never_written() -> None:
    with pytest.raises(EmbeddingError, match="ada: 64 of 64 numbers are NaN"):
        dump_learned_embeds(V * float("nan"), "ada", {})
    with pytest.raises(EmbeddingError, match="the embedding: every number is zero"):
        dump_webui(torch.zeros(2, 4), {})
    with pytest.raises(EmbeddingError, match=r"ada: an embedding of shape \(32,\), not \(tokens, width\)"):
        dump_learned_embeds(V[0], "ada", {})


def test_the_largest_embedding_is_taken() -> None:
    data = save({"<a>": torch.ones(75, 8192, dtype=torch.float64)})
    assert read_embedding(data, "a").v.shape == (75, 8192)


def test_an_embedding_file_cannot_be_changed() -> None:
    embedding = EmbeddingFile(V)
    with pytest.raises(AttributeError):
        embedding.token = "<b>"  # type: ignore[misc]
    assert embedding.metadata == {}
