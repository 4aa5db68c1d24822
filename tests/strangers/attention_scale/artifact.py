"""The scales as a file, and attached to a base model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.artifact import Artifact, Conditioner
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning, encode_plain
from crossinit_batch.prompts import SLOT
from crossinit_batch.storage.tensor_file import TensorFileError, dump_tensors, load_tensors
from tests.strangers.attention_scale.method import SCALES, SCALES_FILE

NOBODY = "person"
"""What stands in a prompt's slot: the U-Net is what knows who it is."""


class Scales(Artifact):
    """Factors (groups,) of the channels that the first attention of the U-Net puts out."""

    kind = SCALES

    def __init__(self, factors: Tensor) -> None:
        self.factors = factors

    @classmethod
    def load(cls, files: Mapping[str, bytes], name: str, *, allow_pickle: bool = False) -> Scales:
        try:
            tensors, _ = load_tensors(files[SCALES_FILE], name)
            return cls(tensors["factors"])
        except (TensorFileError, KeyError):
            raise EmbeddingError(f"{name}: no scales in this file", "Make them again.") from None

    def dump(self, identity: str, metadata: Mapping[str, str]) -> dict[str, bytes]:
        return {SCALES_FILE: dump_tensors({"factors": self.factors}, dict(metadata))}

    def facts(self) -> dict[str, object]:
        return {"factors": self.factors.tolist()}

    def check(self, model: BaseModel, name: str) -> None:
        return None

    def placeholder(self, identity: str) -> str:
        return NOBODY

    def conditioner(self, model: BaseModel) -> Conditioner:
        return ScaleConditioner(model, self.factors)

    def export(self, form: str, identity: str) -> dict[str, bytes]:
        return {f"{identity}.{form}": self.factors.numpy().tobytes()}


class ScaleConditioner(Conditioner):
    def __init__(self, model: BaseModel, factors: Tensor) -> None:
        self.model, self.factors = model, factors

    def conditioning(self, prompt: str) -> Conditioning:
        return encode_plain(self.model, prompt.replace(SLOT, NOBODY))

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        with scaled(self.model, lambda rows: self.factors.expand(rows, -1)):
            yield


@contextlib.contextmanager
def scaled(model: BaseModel, factors_of: Any) -> Iterator[None]:
    """While open the first attention's output (B, channels, …) is scaled by `factors_of(B)` (B, groups)."""

    def scale(_module: Any, _inputs: Any, output: Any) -> Any:
        sample = output[0] if isinstance(output, tuple) else output.sample
        factors = factors_of(len(sample)).repeat_interleave(sample.shape[1] // factors_of(1).shape[1], dim=1)
        changed = sample * factors[:, :, None, None]
        return (changed, *output[1:]) if isinstance(output, tuple) else type(output)(sample=changed)

    hook = model.unet.down_blocks[0].attentions[0].register_forward_hook(scale)
    try:
        yield
    finally:
        hook.remove()


def ones(groups: int, people: int) -> Tensor:
    return torch.ones(people, groups)
