"""Embedding files of this and other tools: written for diffusers and the web UIs, read from all of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.embedding.pickles import is_pickle, read_pickle
from crossinit_batch.storage.tensor_file import TensorFileError, dump_tensors, load_tensors

MAX_TOKENS = 75
"""A prompt has 77 positions, two of them for its begin and end tokens."""
MAX_WIDTH = 8192
MAX_BYTES = 8 << 20
"""More than 75 vectors of width 8192 in float64 need, far less than a model."""

_WEBUI_KEY = "emb_params"
_NAMELESS_KEYS = frozenset({_WEBUI_KEY, "clip_l", "clip_h", "clip_g", "*"})
_CONTAINER = {"format": "pt"}
_SIDE = "place"
"""The key in a file's metadata for the side where v belongs: `output`, or else the text encoder's input."""
_ANCHOR = "stand_in"
_NUMBERED_KEY = re.compile(r"(?P<person>.+)_v(?P<column>0|[1-9][0-9]?)")
_FOREIGN = (
    (b"version https://git-lfs", "a git-lfs pointer", "Run `git lfs pull` to get the file it stands for."),
    (b"<", "a web page", "Download the file itself, not the page that shows it."),
    (b"\x89PNG", "a picture", "A1111's picture embeddings cannot be read; ask for a safetensors file."),
)


@dataclass(frozen=True, eq=False)
class EmbeddingFile:
    """An identity's embedding: `v` (tokens, width) float32 on the CPU, and the token if the file names one.

    `anchor`, of the same shape, is what the text encoder reads instead of v where v belongs in its output; None where
    v is a token embedding as any other.
    """

    v: torch.Tensor
    token: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    anchor: torch.Tensor | None = None


def token_of(identity: str) -> str:
    """The placeholder token of an identity: `<`, its id in lower case, `>`.

    Lower case, because CLIP's tokenizer lower-cases prompts but not the names of added tokens: `<Ada>` would
    load but never match, and all vectors but one would be dropped silently. In brackets, because a bare word
    would also match inside other words.
    """
    folded = unicodedata.normalize("NFC", identity.lower())
    if not folded or re.search(r"[\s<>]", folded) or not folded.isprintable():
        raise EmbeddingError(
            f"the id {identity!r} cannot be made into a token",
            "Use letters, digits, '.', '_' and '-' in ids.",
        )
    return f"<{folded}>"


def dump_learned_embeds(
    v: torch.Tensor, identity: str, metadata: Mapping[str, str], anchor: torch.Tensor | None = None
) -> bytes:
    """`learned_embeds.safetensors` of v (tokens, width), for diffusers' `load_textual_inversion(folder)`.

    With an `anchor` v belongs in the text encoder's output. The file then has two tensors, so that other tools, which
    would take v for a token embedding, refuse it.
    """
    if anchor is None:
        return _dump({token_of(identity): v}, identity, metadata)
    return _dump({token_of(identity): v, _ANCHOR: anchor}, identity, {**metadata, _SIDE: "output"})


def dump_webui(v: torch.Tensor, metadata: Mapping[str, str], name: str = "the embedding") -> bytes:
    """`<name>.safetensors` of v (tokens, width) for A1111, Forge, ComfyUI, InvokeAI and kohya's scripts.

    These call the embedding by its file's stem. diffusers reads the file too, with `token=`.
    """
    return _dump({_WEBUI_KEY: v}, name, metadata)


def read_embedding(data: bytes, name: str, *, allow_pickle: bool = False) -> EmbeddingFile:
    """The embedding in a file's bytes, whichever tool wrote them; `name` is the file's, for messages.

    Takes safetensors with one tensor (tokens, width) or (width), or with `<person>_v0`, `<person>_v1`, ... as
    the released Cross Initialization code names them, or as we write what belongs in the text encoder's output; with
    `allow_pickle`, pickles that hold the former, and A1111's `.pt`. What a file is shows in its bytes, not in its
    name. Raises EmbeddingError, naming the file, the reason and a way out.
    """
    if len(data) > MAX_BYTES:
        raise EmbeddingError(
            f"{name}: {len(data)} bytes, more than any embedding has ({MAX_BYTES})",
            "This is a model or a LoRA; give an embedding of a few KB.",
        )
    # First, because a header of 640 bytes makes a file begin as a pickle does, one of 60 as a web page does.
    if data[4:9] == b"\0\0\0\0{":
        return _read_safetensors(data, name)
    for opening, kind, hint in _FOREIGN:
        if data.startswith(opening):
            raise EmbeddingError(f"{name}: this is {kind}, not an embedding", hint)
    if not is_pickle(data):
        return _read_safetensors(data, name)
    if not allow_pickle:
        disguise = ", whatever its name says" if name.lower().endswith(".safetensors") else ""
        raise EmbeddingError(
            f"{name}: a pickle{disguise}; not read, because a pickle can run any program when it is opened",
            "If you trust where it came from, pass --allow-pickle; better, ask for a safetensors file.",
        )
    tensors, token = read_pickle(data, name)
    return _embedding_of(tensors, token, {}, name)


def _read_safetensors(data: bytes, name: str) -> EmbeddingFile:
    """The embedding in safetensors bytes, its metadata without the container's own entry."""
    try:
        tensors, metadata = load_tensors(data, name)
    except TensorFileError as error:
        raise EmbeddingError(error.message, "Copy or download the file again; it may have been cut short.") from error
    if _CONTAINER.items() <= metadata.items():
        del metadata["format"]
    side = metadata.pop(_SIDE, "input")
    if side == "input":
        return _embedding_of(tensors, None, metadata, name)
    if side != "output" or _ANCHOR not in tensors:
        raise EmbeddingError(
            f"{name}: an embedding for the place {side!r} of the text encoder, which this version cannot use",
            "Use the version of crossinit that made it.",
        )
    anchor = _checked(tensors.pop(_ANCHOR), name)
    found = _embedding_of(tensors, None, metadata, name)
    if found.v.shape != anchor.shape:
        shapes = f"{tuple(found.v.shape)} and {tuple(anchor.shape)}"
        raise EmbeddingError(f"{name}: v and its stand-in have the shapes {shapes}", "Make the embedding again.")
    return replace(found, anchor=anchor)


def _embedding_of(
    tensors: dict[str, torch.Tensor], token: str | None, metadata: dict[str, str], name: str
) -> EmbeddingFile:
    """The one embedding among named tensors; `token` is the one that the file names."""
    if not tensors:
        raise EmbeddingError(f"{name}: no tensor in this file", "Give an embedding of at least one vector.")
    if len(tensors) == 1:
        ((key, tensor),) = tensors.items()
        named = None if key in _NAMELESS_KEYS else key
        return EmbeddingFile(_checked(tensor, name), token or named, metadata)
    if tensors.keys() == {"clip_l", "clip_g"}:
        raise EmbeddingError(
            f"{name}: an embedding for Stable Diffusion XL's two text encoders",
            "Give one made for Stable Diffusion 1.x or 2.x.",
        )
    identity, stacked = _stack_numbered(tensors, name)
    return EmbeddingFile(_checked(stacked, name), token or token_of(identity), metadata)


def _stack_numbered(tensors: dict[str, torch.Tensor], name: str) -> tuple[str, torch.Tensor]:
    """The identity and the vectors (tokens, width) of `<person>_v0`, `<person>_v1`, ..., in that order."""
    matches = [_NUMBERED_KEY.fullmatch(key) for key in tensors]
    columns = {int(match["column"]): tensors[match[0]] for match in matches if match}
    identities = {match["person"] for match in matches if match}
    if len(columns) != len(tensors) or len(identities) != 1:
        some = ", ".join(repr(key)[:40] for key in sorted(tensors)[:4]) + (", ..." if len(tensors) > 4 else "")
        raise EmbeddingError(
            f"{name}: {len(tensors)} tensors ({some}) where an embedding has one",
            "Save each embedding in a file of its own, as one tensor of shape (tokens, width).",
        )
    identity = identities.pop()
    missing = sorted(set(range(len(columns))) - columns.keys())
    if missing:
        raise EmbeddingError(f"{name}: the vector {identity}_v{missing[0]} is missing", "Give the whole file.")
    shapes = {tuple(tensor.shape) for tensor in tensors.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise EmbeddingError(
            f"{name}: the vectors of {identity} have the shapes {sorted(shapes)}, not one width",
            "Each of them should be of shape (width,).",
        )
    return identity, torch.stack([columns[column] for column in sorted(columns)])


def _dump(tensors: Mapping[str, torch.Tensor], name: str, metadata: Mapping[str, str]) -> bytes:
    """Vectors (tokens, width) as float32 under their keys, and metadata for other tools."""
    for v in tensors.values():
        if v.ndim != 2:
            raise EmbeddingError(f"{name}: an embedding of shape {tuple(v.shape)}, not (tokens, width)")
    return dump_tensors({key: _checked(v, name) for key, v in tensors.items()}, dict(metadata) | _CONTAINER)


def _checked(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """Vectors (tokens, width) as float32 on the CPU, (width,) as those of one token, or an EmbeddingError."""
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point():
        raise EmbeddingError(
            f"{name}: its numbers are of type {str(tensor.dtype).removeprefix('torch.')}",
            "An embedding is made of floating-point numbers; this tensor is something else.",
        )
    if len(shape) not in (1, 2):
        raise EmbeddingError(
            f"{name}: a tensor of shape {shape}, where an embedding has (tokens, width)",
            "Remove the axes of length 1, or give another file.",
        )
    tokens, width = shape if len(shape) == 2 else (1, *shape)
    if tokens == 0 or width == 0:
        raise EmbeddingError(f"{name}: no vectors in a tensor of shape {shape}", "Make the embedding again.")
    if tokens > MAX_TOKENS:
        raise EmbeddingError(
            f"{name}: {tokens} vectors, and a prompt has room for {MAX_TOKENS}",
            "This may be a vocabulary or a batch of embeddings; give one person's.",
        )
    if width > MAX_WIDTH:
        raise EmbeddingError(
            f"{name}: vectors of width {width}, more than {MAX_WIDTH}",
            "Stable Diffusion 1.x has width 768, 2.x 1024; this file is of something else.",
        )
    return _finite(tensor.detach().cpu().to(torch.float32).reshape(tokens, width), name)


def _finite(v: torch.Tensor, name: str) -> torch.Tensor:
    """v if every number is finite in float32 and not all are zero, or an EmbeddingError."""
    bad = int((~torch.isfinite(v)).sum())
    if bad:
        raise EmbeddingError(
            f"{name}: {bad} of {v.numel()} numbers are NaN or infinite",
            "The training diverged; make it again.",
        )
    if not v.any():
        raise EmbeddingError(f"{name}: every number is zero", "It was never trained; make the embedding again.")
    return v
