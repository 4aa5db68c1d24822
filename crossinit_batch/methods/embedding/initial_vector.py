"""The initial vector: the mean name embedding, passed through the text encoder (paper, Eq. 3), and its cache.

Computed on the CPU in float32 whatever the device, so that every machine starts from the same numbers.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from crossinit_batch.digest import digest_of, sha256
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.names import init_parts, texts_of
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.storage.cache import cache_folder
from crossinit_batch.storage.reading import read_file
from crossinit_batch.storage.tensor_file import TensorFileError, dump_tensors, load_tensors


@dataclass(frozen=True)
class InitialVector:
    """v_init and the mean v_bar it comes from, (tokens, width) float32; `digest` names what decided them."""

    v_init: Tensor
    v_bar: Tensor
    digest: str

    def dump(self) -> bytes:
        """As a safetensors file, with metadata that describes it."""
        tensors = {"v_init": self.v_init, "v_bar": self.v_bar}
        return dump_tensors(tensors, {"digest": self.digest, "content": _content(self.v_init, self.v_bar)})

    @classmethod
    def load(cls, data: bytes, name: str) -> InitialVector | None:
        """From such a file; None where it is damaged. `name` is the file's."""
        try:
            tensors, metadata = load_tensors(data, name)
            found = cls(tensors["v_init"], tensors["v_bar"], metadata["digest"])
        except (TensorFileError, KeyError):
            return None
        return found if metadata.get("content") == _content(found.v_init, found.v_bar) else None


def initial_vector(model: BaseModel, init: InitSettings) -> tuple[InitialVector, str]:
    """The initial vector, from the cache if it is valid there; and `cached`, `computed` or `recomputed`."""
    encoder = {part: model.source.components[part] for part in ("tokenizer", "text_encoder")}
    digest = digest_of("initial-vector", {**init_parts(init), **encoder})
    path = cache_folder() / "initial" / f"{digest}.safetensors"
    stored = _stored(path)
    found = InitialVector.load(stored, digest) if stored is not None else None
    if found is not None and found.digest == digest:
        return found, "cached"
    v_bar = mean_embedding(model, init)
    made = InitialVector(encode_mean(model, v_bar) if init.encoder else v_bar, v_bar, digest)
    _write(path, made.dump())
    return made, "computed" if stored is None else "recomputed"


_MOST_BYTES = 2**26
"""The largest file of the cache in bytes: vectors are some kB."""


def mean_embedding(model: BaseModel, init: InitSettings) -> Tensor:
    """v_bar (tokens, width): for names the mean of each column of token embeddings, for words theirs."""
    if init.words is not None:
        rows = [number for word in texts_of(init) for number in model.token_ids(word)]
        return _table(model)[rows].clone()
    return torch.stack([column.mean(dim=0) for column in name_columns(model, init)])


def name_columns(model: BaseModel, init: InitSettings) -> list[Tensor]:
    """For each vector the embeddings of that token, or word, of every name that has one, (names, width)."""
    table = _table(model)
    columns: list[list[Tensor]] = [[] for _ in range(init.vectors)]
    for name in texts_of(init):
        for column, embedding in zip(columns, _pieces(model, name, init.columns, table), strict=False):
            column.append(embedding)
    for number, column in enumerate(columns, start=1):
        if not column:
            raise RequestError(
                f"init: no name has {number} {init.columns}, and {init.vectors} vectors are asked for",
                "Lower `vectors`, or give names that are long enough.",
            )
    return [torch.stack(column) for column in columns]


def _table(model: BaseModel) -> Tensor:
    """The token embeddings, (vocabulary, width) float32 on the CPU."""
    table: Tensor = model.text_encoder.get_input_embeddings().weight.detach().float().cpu()
    return table


def _pieces(model: BaseModel, name: str, columns: str, table: Tensor) -> list[Tensor]:
    """The embeddings of a name's tokens, or of its words, a word of several tokens being their mean."""
    if columns == "tokens":
        return list(table[model.token_ids(name)])
    return [table[model.token_ids(word)].mean(dim=0) for word in name.split()]


def encode_mean(model: BaseModel, v_bar: Tensor) -> Tensor:
    """E(v_bar): the text encoder's output at the positions of v_bar, alone between begin and end (Eq. 3)."""
    device = model.text_encoder.device
    model.text_encoder.to("cpu")
    try:
        with torch.no_grad():
            return model.encode_alone(v_bar[None])[0].clone()
    finally:
        model.text_encoder.to(device)


def _content(*tensors: Tensor) -> str:
    """The digest of the numbers themselves; a flipped bit in the cache changes it."""
    return sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors))


def _stored(path: Path) -> bytes | None:
    """The bytes in the cache, or None where they cannot be read."""
    try:
        return read_file(path, _MOST_BYTES)
    except OSError:
        return None


def _write(path: Path, data: bytes) -> None:
    """Write a vector into the cache; a cache that cannot be written is ignored."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
