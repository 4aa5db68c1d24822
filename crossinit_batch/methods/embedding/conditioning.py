"""What the U-Net sees of captions with a person: v inserted into the text encoder's input, or its output.

In the input v passes through the encoder with its caption. In the output (the ablation "direct optimisation of the
encoder's output") fixed token embeddings, the anchor, are what the encoder reads instead of v, once; v then replaces
what the encoder puts out for them, and no gradient passes the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel, inserted_at
from crossinit_batch.model.conditioning import Conditioning, encode_plain
from crossinit_batch.model.device import to_device
from crossinit_batch.prompts import SLOT


def anchor_of(settings: EmbeddingSettings, start: InitialVector) -> Tensor | None:
    """What the encoder reads instead of v, (tokens, width): the mean name or the words; None where it reads v."""
    return start.v_bar if settings.place == "output" else None


class Captions:
    """Texts with a slot for a person of `tokens` tokens; JobError where a slot does not fit.

    With an `anchor` (tokens, width) v is inserted into the encoder's output, and the anchor is what the encoder reads.
    """

    def __init__(self, model: BaseModel, texts: Sequence[str], tokens: int, anchor: Tensor | None = None) -> None:
        captions = [model.caption(text, tokens) for text in texts]
        self.model, self.anchor = model, anchor
        self.ids = torch.cat([caption.ids for caption in captions]).to(model.device)
        self.slots = torch.tensor([caption.slot for caption in captions]).to(model.device)

    def __len__(self) -> int:
        return len(self.slots)

    def states(self, which: Tensor, v: Tensor) -> Tensor:
        """Hidden states (B, length, width) of captions `which` (B,), each with its own v (B, tokens, width)."""
        which = to_device(which, self.model.device)
        if self.anchor is None:
            return self.model.encode_text(self.ids[which], self.slots[which], v)
        return inserted_at(self._anchored[which], self.slots[which], v)

    @cached_property
    def _anchored(self) -> Tensor:
        """The encoder's output for each caption with the anchor, (captions, length, width).

        Each is encoded alone, so that it does not depend on the others.
        """
        assert self.anchor is not None
        inserted = self.anchor[None].to(self.model.device)
        with torch.no_grad():
            states = [
                self.model.encode_text(ids[None], slot[None], inserted)
                for ids, slot in zip(self.ids, self.slots, strict=True)
            ]
        return torch.cat(states)


def encode_prompt(model: BaseModel, text: str, v: Tensor | None, anchor: Tensor | None = None) -> Conditioning:
    """One row for a prompt with v (tokens, width) in its slot, or without a person where there is no v or no slot.

    With an `anchor` v belongs in the text encoder's output. Encoded alone, so that it does not depend on other prompts.
    """
    if v is None or SLOT not in text:
        return encode_plain(model, text)
    with torch.no_grad():
        captions = Captions(model, [text], v.shape[0], anchor)
        return Conditioning(captions.states(torch.tensor([0]), v[None].to(model.device)))
