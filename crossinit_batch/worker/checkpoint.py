"""Checkpoints: the state of a batch's training as a file that says which jobs it belongs to and that it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from torch import Tensor

from crossinit_batch.digest import sha256
from crossinit_batch.storage.tensor_file import dump_tensors, load_tensors


def dump_checkpoint(state: Mapping[str, Tensor], names: Sequence[str], jobs: Sequence[str]) -> bytes:
    """A trainer's state, tensors by these names, as a file; `jobs` are the digests of the jobs it belongs to."""
    tensors = {name: state[name] for name in names}
    return dump_tensors(tensors, {"members": json.dumps(list(jobs)), "content": _content(tensors, names)})


def load_checkpoint(data: bytes, file: str, names: Sequence[str], jobs: Sequence[str]) -> dict[str, Tensor] | None:
    """The state in a file; None where it belongs to other jobs or has other numbers, TensorFileError where damaged."""
    tensors, metadata = load_tensors(data, file)
    if set(tensors) != set(names) or metadata.get("members") != json.dumps(list(jobs)):
        return None
    return tensors if metadata.get("content") == _content(tensors, names) else None


def _content(tensors: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """The digest of the numbers themselves: a flipped bit changes it, which nothing else would detect."""
    return sha256(b"".join(tensors[name].detach().cpu().contiguous().numpy().tobytes() for name in names))
