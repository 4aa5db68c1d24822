"""The initial vector beside one computed by hand, and its cache, which may be damaged but never believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from crossinit_batch.errors import ManifestError, RequestError
from crossinit_batch.methods.embedding.initial_vector import initial_vector, mean_embedding
from crossinit_batch.methods.embedding.names import bundled_names
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import locate_model
from crossinit_batch.settings import ModelSettings
from crossinit_batch.storage.tensor_file import load_tensors

HEADS, LAYERS, LENGTH = 4, 3, 77
ROUNDING = 2e-6
"""What float32 loses against float64 where layer norms blow up means as small as these."""


def _loaded(folder: Path) -> BaseModel:
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    return BaseModel.load(source, torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return _loaded(pipeline_folder)


@pytest.fixture
def entry(own_cache: Path) -> Callable[[], Path]:
    """The only file in the cache."""

    def find() -> Path:
        (found,) = (own_cache / "initial").iterdir()
        return found

    return find


# --- by hand ---


class ClipByHand:
    """CLIP's text encoder from its weights alone, in float64: 77 input embeddings in, 77 hidden states out."""

    def __init__(self, folder: Path) -> None:
        weights = load_file(folder / "text_encoder/model.safetensors")
        self.weights = {name: tensor.double() for name, tensor in weights.items()}
        self.tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
        self.table = self.weights["embeddings.token_embedding.weight"]

    def rows(self, text: str) -> Tensor:
        return self.table[self.tokenizer(text, add_special_tokens=False).input_ids]

    def states(self, person: Tensor) -> Tensor:
        """The states at the person's places, in begin, person, end and padding."""
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        padding = [self.tokenizer.pad_token_id] * (LENGTH - len(person) - 2)
        x = torch.cat([self.table[[begin]], person, self.table[[end, *padding]]])
        x = x + self.weights["embeddings.position_embedding.weight"]
        for number in range(LAYERS):
            x = x + self._attention(f"encoder.layers.{number}", x)
            x = x + self._mlp(f"encoder.layers.{number}", x)
        return self._norm("final_layer_norm", x)[1 : 1 + len(person)].float()

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _attention(self, layer: str, x: Tensor) -> Tensor:
        """Each place looks at itself and what stands before it."""
        x = self._norm(f"{layer}.layer_norm1", x)
        query, key, value = (self._linear(f"{layer}.self_attn.{part}_proj", x).split(8, dim=1) for part in "qkv")
        future = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        heads = []
        for q, k, v in zip(query, key, value, strict=True):
            scores = (q @ k.T / q.shape[1] ** 0.5).masked_fill(future, -torch.inf)
            heads.append(scores.softmax(dim=1) @ v)
        assert len(heads) == HEADS
        return self._linear(f"{layer}.self_attn.out_proj", torch.cat(heads, dim=1))

    def _mlp(self, layer: str, x: Tensor) -> Tensor:
        inner = self._linear(f"{layer}.mlp.fc1", self._norm(f"{layer}.layer_norm2", x))
        return self._linear(f"{layer}.mlp.fc2", functional.gelu(inner))


@pytest.fixture(scope="module")
def by_hand(pipeline_folder: Path) -> ClipByHand:
    return ClipByHand(pipeline_folder)


def test_names_by_tokens_equal_a_computation_by_hand(model: BaseModel, by_hand: ClipByHand) -> None:
    names = [by_hand.rows(name) for name in bundled_names()]
    assert len(names) == 691
    mean = torch.stack([sum(rows[column] for rows in names) / len(names) for column in range(2)])  # type: ignore[misc]
    found, how = initial_vector(model, InitSettings())
    assert how == "computed"
    torch.testing.assert_close(found.v_bar, mean.float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.v_init, by_hand.states(mean), rtol=0, atol=ROUNDING)


def test_it_equals_the_encoder_with_the_mean_written_into_its_table(model: BaseModel, pipeline_folder: Path) -> None:
    """The released code's way: padded to the whole context, in float32."""
    tokenizer = CLIPTokenizer.from_pretrained(pipeline_folder, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(pipeline_folder, subfolder="text_encoder")
    tokenizer.add_tokens(["<x>", "<y>"])
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = text_encoder.get_input_embeddings().weight
    ids = tokenizer("<x> <y>", padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    found = initial_vector(model, InitSettings())[0]
    with torch.no_grad():
        table[ids[0, 1:3]] = found.v_bar
        states = text_encoder(ids)[0]
    torch.testing.assert_close(found.v_init, states[0, 1:3], rtol=0, atol=1e-6)


def test_names_of_a_file_by_tokens_and_by_words(model: BaseModel, by_hand: ClipByHand, tmp_path: Path) -> None:
    """A name that is too short is left out of the later columns; a name that is there twice counts twice."""
    file = tmp_path / "names.txt"
    file.write_text("Anne Hathaway\nCher\nZebra Quux Xylo\nAnne Hathaway\n")
    names = ["anne hathaway", "cher", "zebra quux xylo", "anne hathaway"]
    rows = [by_hand.rows(name) for name in names]
    columns = [torch.stack([one[j] for one in rows if len(one) > j]).mean(dim=0) for j in range(3)]
    assert len(by_hand.rows("zebra")) > 1
    found = initial_vector(model, InitSettings(names=str(file), vectors=3))[0]
    torch.testing.assert_close(found.v_bar, torch.stack(columns).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.v_init, by_hand.states(torch.stack(columns)), rtol=0, atol=ROUNDING)

    words = [[by_hand.rows(word).mean(dim=0) for word in name.split()] for name in names]
    columns = [torch.stack([one[j] for one in words if len(one) > j]).mean(dim=0) for j in range(2)]
    found = initial_vector(model, InitSettings(names=str(file), columns="words"))[0]
    torch.testing.assert_close(found.v_bar, torch.stack(columns).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.v_init, by_hand.states(torch.stack(columns)), rtol=0, atol=ROUNDING)


def test_words_are_their_token_embeddings_one_vector_a_token(model: BaseModel, by_hand: ClipByHand) -> None:
    rows = torch.cat([by_hand.rows("face"), by_hand.rows("zebra person")])
    assert len(rows) > 3
    found = initial_vector(model, InitSettings(words=("face", "zebra person")))[0]
    assert torch.equal(found.v_bar, rows.float())
    torch.testing.assert_close(found.v_init, by_hand.states(rows), rtol=0, atol=ROUNDING)


def test_without_the_encoder_the_vector_is_the_mean_itself(model: BaseModel, by_hand: ClipByHand) -> None:
    found = initial_vector(model, InitSettings(words=("person",), encoder=False))[0]
    assert torch.equal(found.v_init, by_hand.rows("person").float())
    assert torch.equal(found.v_init, found.v_bar)
    encoded = initial_vector(model, InitSettings(encoder=False))[0]
    assert torch.equal(encoded.v_init, mean_embedding(model, InitSettings()))


def test_the_second_vector_sees_the_first_but_not_the_other_way_round(model: BaseModel) -> None:
    one = initial_vector(model, InitSettings(words=("happy", "person")))[0].v_init
    other = initial_vector(model, InitSettings(words=("sad", "person")))[0].v_init
    third = initial_vector(model, InitSettings(words=("happy", "face")))[0].v_init
    assert (one[1] - other[1]).abs().max() > 1e-4
    torch.testing.assert_close(one[0], third[0], rtol=0, atol=1e-6)


def test_names_that_are_too_short_for_the_vectors_are_an_error(model: BaseModel, tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("Cher\nBono\n")
    with pytest.raises(RequestError, match="no name has 2 words"):
        initial_vector(model, InitSettings(names=str(file), columns="words"))


def test_a_names_file_that_cannot_be_read_is_an_error_with_its_name(model: BaseModel, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.txt", tmp_path):
        with pytest.raises(ManifestError, match=path.name):
            initial_vector(model, InitSettings(names=str(path)))


# --- the cache ---


def test_a_vector_is_computed_once(model: BaseModel) -> None:
    first, _ = initial_vector(model, InitSettings())
    encodes = model.counters.text_encodes
    second, how = initial_vector(model, InitSettings())
    assert how == "cached"
    assert model.counters.text_encodes == encodes
    assert torch.equal(first.v_init, second.v_init)
    assert torch.equal(first.v_bar, second.v_bar)
    assert first.digest == second.digest


def test_the_stored_file_says_what_it_is(model: BaseModel, entry: Callable[[], Path]) -> None:
    found = initial_vector(model, InitSettings())[0]
    tensors, metadata = load_tensors(entry().read_bytes(), "entry")
    assert entry().stem == metadata["digest"] == found.digest
    assert torch.equal(tensors["v_init"], found.v_init)
    assert entry().read_bytes() == found.dump()


def _flip_one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def _be_another(path: Path) -> None:
    """A whole and valid vector, of other words."""
    data = path.read_bytes()
    digest = path.stem.encode()
    assert digest in data
    path.write_bytes(data.replace(digest, b"0" * len(digest)))


def _hold_other_tensors(path: Path) -> None:
    save_file({"v": torch.zeros(2, 32)}, path, {"digest": path.stem})


def _lose_its_metadata(path: Path) -> None:
    save_file(load_file(path), path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(b"\x80\x04K\x01."),
        _flip_one_bit,
        _be_another,
        _hold_other_tensors,
        _lose_its_metadata,
    ],
    ids=["empty", "cut", "cut-header", "pickle", "flipped-bit", "another", "other-tensors", "no-metadata"],
)
def test_a_damaged_entry_is_found_and_computed_again(
    model: BaseModel, entry: Callable[[], Path], damage: Callable[[Path], object]
) -> None:
    whole = initial_vector(model, InitSettings())[0]
    data = entry().read_bytes()
    damage(entry())
    found, how = initial_vector(model, InitSettings())
    assert how == "recomputed"
    assert torch.equal(found.v_init, whole.v_init)
    assert entry().read_bytes() == data
    assert initial_vector(model, InitSettings())[1] == "cached"


def test_a_cache_that_cannot_be_written_is_no_error(
    model: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be made below a file, whoever the user is."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CROSSINIT_CACHE", str(tmp_path / "file"))
    found, how = initial_vector(model, InitSettings())
    assert how == "computed"
    assert torch.isfinite(found.v_init).all()


def test_no_temporary_file_is_left(model: BaseModel, own_cache: Path, entry: Callable[[], Path]) -> None:
    initial_vector(model, InitSettings())
    assert entry().suffix == ".safetensors"
    shutil.rmtree(own_cache / "initial")
    (own_cache / "initial").mkdir()
    blocked = own_cache / "initial" / f"{initial_vector(model, InitSettings())[0].digest}.safetensors"
    blocked.unlink()
    blocked.mkdir()
    assert initial_vector(model, InitSettings())[1] == "computed"
    assert list((own_cache / "initial").iterdir()) == [blocked]


def test_the_key_follows_names_and_options(model: BaseModel, tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.txt", "same.txt", "other.txt"))
    one.write_text("Anne Hathaway\n")
    same.write_text("# a comment\n\nAnne   Hathaway\n")
    other.write_text("Anne Hathaway\nAnne Hathaway\n")
    choices = [
        InitSettings(),
        InitSettings(names=str(one)),
        InitSettings(names=str(other)),
        InitSettings(names=str(one), columns="words"),
        InitSettings(names=str(one), vectors=1),
        InitSettings(names=str(one), encoder=False),
        InitSettings(words=("Anne Hathaway",)),
        InitSettings(words=("Anne", "Hathaway")),
    ]
    digests = [initial_vector(model, init)[0].digest for init in choices]
    assert len(set(digests)) == len(choices)
    found, how = initial_vector(model, InitSettings(names=str(same)))
    assert (found.digest, how) == (digests[1], "cached")


def _change_weights(path: Path) -> None:
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({**weights, name: weights[name] + 1e-3}, path)


def _change_tokenizer(path: Path) -> None:
    content = json.loads(path.read_bytes())
    content["model"]["merges"].pop()
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "how"),
    [
        ("text_encoder/model.safetensors", _change_weights, "computed"),
        ("tokenizer/tokenizer.json", _change_tokenizer, "computed"),
        ("unet/diffusion_pytorch_model.safetensors", _change_weights, "cached"),
        ("vae/diffusion_pytorch_model.safetensors", _change_weights, "cached"),
    ],
)
def test_the_key_follows_tokenizer_and_encoder_but_not_the_rest_of_the_model(
    model: BaseModel, pipeline_folder: Path, tmp_path: Path, file: str, change: Callable[[Path], None], how: str
) -> None:
    initial_vector(model, InitSettings())
    folder = tmp_path / "model"
    shutil.copytree(pipeline_folder, folder)
    change(folder / file)
    assert initial_vector(_loaded(folder), InitSettings())[1] == how
