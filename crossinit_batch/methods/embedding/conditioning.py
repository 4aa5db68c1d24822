"""What the U-Net sees of captions in which somebody stands: v worn in the text encoder's input, or in its output.

In the input v passes through the encoder with its caption. In the output (the ablation "direct optimisation of the
encoder's output") fixed token embeddings stand in for v while the encoder reads the caption, once; v then takes the
place of what the encoder puts out for them, and no gradient passes the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.model.base_model import BaseModel, worn_at
from crossinit_batch.model.device import to_device
from crossinit_batch.settings import EmbeddingSettings


def stand_in_of(settings: EmbeddingSettings, start: InitialVector) -> Tensor | None:
    """What stands in for v in the encoder's input, (tokens, width): the mean name or the words; None for v itself."""
    return start.v_bar if settings.place == "output" else None


class Captions:
    """Texts with a slot for a person of `tokens` tokens; JobError where a slot does not fit.

    With a `stand_in` (tokens, width) v is worn in the encoder's output, and it is what the encoder reads instead.
    """

    def __init__(self, model: BaseModel, texts: Sequence[str], tokens: int, stand_in: Tensor | None = None) -> None:
        captions = [model.caption(text, tokens) for text in texts]
        self.model, self.stand_in = model, stand_in
        self.ids = torch.cat([caption.ids for caption in captions]).to(model.device)
        self.slots = torch.tensor([caption.slot for caption in captions]).to(model.device)

    def __len__(self) -> int:
        return len(self.slots)

    def states(self, which: Tensor, v: Tensor) -> Tensor:
        """Hidden states (B, length, width) of captions `which` (B,), each with its own v (B, tokens, width)."""
        which = to_device(which, self.model.device)
        if self.stand_in is None:
            return self.model.encode_text(self.ids[which], self.slots[which], v)
        return worn_at(self._read[which], self.slots[which], v)

    @cached_property
    def _read(self) -> Tensor:
        """What the encoder makes of each caption with the stand-in, (captions, length, width).

        Each is read alone, so that it does not depend on what else is read.
        """
        assert self.stand_in is not None
        worn = self.stand_in[None].to(self.model.device)
        with torch.no_grad():
            read = [
                self.model.encode_text(ids[None], slot[None], worn)
                for ids, slot in zip(self.ids, self.slots, strict=True)
            ]
        return torch.cat(read)
