"""An embedding as an artifact: v in its file, inserted into prompts, exported for other tools."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.artifact import Artifact, Conditioner, Unexportable, missing_of
from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.methods.embedding.formats import (
    EmbeddingFile,
    dump_learned_embeds,
    dump_webui,
    read_embedding,
    token_of,
)
from crossinit_batch.methods.embedding.method import EMBEDDING_ARTIFACT, EMBEDDING_FILE
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning


class Embedding(Artifact):
    """An identity's v (tokens, width), with its anchor where it belongs in the text encoder's output."""

    kind = EMBEDDING_ARTIFACT

    def __init__(self, file: EmbeddingFile) -> None:
        self.file = file

    @classmethod
    def load(cls, files: Mapping[str, bytes], name: str, *, allow_pickle: bool = False) -> Embedding:
        data = files.get(EMBEDDING_FILE)
        if data is None:
            raise missing_of(cls.kind, name)
        return cls(read_embedding(data, name, allow_pickle=allow_pickle))

    def dump(self, identity: str, metadata: Mapping[str, str]) -> dict[str, bytes]:
        return {EMBEDDING_FILE: dump_learned_embeds(self.file.v, identity, metadata, self.file.anchor)}

    def facts(self) -> dict[str, object]:
        return {"norm": [float(row.norm()) for row in self.file.v]}

    def check(self, model: BaseModel, name: str) -> None:
        width = self.file.v.shape[1]
        if width != model.width:
            raise EmbeddingError(
                f"{name}: its vectors are {width} wide, the model's token embeddings {model.width}",
                "Use the base model that it was learned on: 768 is Stable Diffusion 1.x, 1024 is 2.x.",
            )

    def placeholder(self, identity: str) -> str:
        return token_of(identity)

    def conditioner(self, model: BaseModel) -> Conditioner:
        return EmbeddingConditioner(model, self.file)

    def export(self, form: str, identity: str) -> dict[str, bytes]:
        """`webui`: one key `emb_params` in a file by the identity's name, for A1111, Forge, ComfyUI, InvokeAI and
        kohya, which name an embedding by its file; `diffusers`: a folder for `load_textual_inversion`."""
        if self.file.anchor is not None:
            raise Unexportable(
                "lives in the text encoder's output (`place: output`), where no other tool can load it",
                "Draw with `crossinit render --embeddings`, or learn with `place: input`.",
            )
        if form == "webui":
            return {f"{identity}.safetensors": dump_webui(self.file.v, self.file.metadata)}
        content = dump_learned_embeds(self.file.v, identity, self.file.metadata)
        return {f"{identity}/{EMBEDDING_FILE}": content}


class EmbeddingConditioner(Conditioner):
    """v in the slot of prompts; the U-Net is unchanged."""

    def __init__(self, model: BaseModel, file: EmbeddingFile) -> None:
        self.model, self.file = model, file

    def conditioning(self, prompt: str) -> Conditioning:
        return encode_prompt(self.model, prompt, self.file.v, self.file.anchor)

    def attached(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()
