"""Pictures from a word's token embeddings v and from E(v) in their place (Fig. 3).

Can the encoder's output replace its input? Both are inserted into the same prompt and drawn from the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossinit_batch.digest import image_seed
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.methods.embedding.initial_vector import InitialVector, mean_embedding
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning, encode_plain
from crossinit_batch.model.sampling import denoise
from crossinit_batch.plan.plan import Plan

PROMPT = "a photo of {}"
DEFAULT_WORDS = ("person", "face", "Anne Hathaway", "Tom Hanks", "beach")
_MOST_WORDS = 12
_MOST_TOKENS = 16

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class WordPair:
    """The picture from v and the one from E(v), uint8 (side, side, 3), and how far the two vectors are apart.

    `norms` are those of v and E(v), `cosine` is between them; means over the tokens.
    """

    word: str
    tokens: int
    v: Pixels
    encoded: Pixels
    norms: tuple[float, float]
    cosine: float


def words_of(text: str) -> tuple[str, ...]:
    """The words that a user lists with commas; RequestError for more than a figure can show."""
    words = tuple(dict.fromkeys(word for part in text.split(",") if (word := " ".join(part.split()))))
    if len(words) > _MOST_WORDS:
        raise RequestError(f"--words: {len(words)} words, and the figure has room for {_MOST_WORDS}", "Leave some out.")
    for word in words:
        if not word.isprintable():
            raise RequestError(f"--words: {word!r} has a control character", "Write words, with commas between them.")
    return words


def word_pairs(model: BaseModel, plan: Plan, words: Sequence[str], mean: InitialVector | None) -> list[WordPair]:
    """A pair for each word, drawn as the plan draws, and one for the mean name that an initial vector comes from."""
    vectors = {word: _embedding(model, word) for word in words}
    if mean is not None:
        vectors["mean name"] = mean.v_bar
    with torch.no_grad():
        encoded = {word: model.encode_alone(v[None].to(model.device))[0].cpu() for word, v in vectors.items()}
    inserted = [(word, v) for word in vectors for v in (vectors[word], encoded[word])]
    pictures = _draw(model, plan, [v for _, v in inserted])
    return [
        WordPair(
            word=word,
            tokens=v.shape[0],
            v=pictures[2 * number],
            encoded=pictures[2 * number + 1],
            norms=(float(v.norm(dim=1).mean()), float(encoded[word].norm(dim=1).mean())),
            cosine=float(torch.cosine_similarity(v, encoded[word], dim=1).mean()),
        )
        for number, (word, v) in enumerate(vectors.items())
    ]


def _embedding(model: BaseModel, word: str) -> Tensor:
    """v (tokens, width) of a word, a row of the embedding table for each of its tokens."""
    tokens = len(model.token_ids(word))
    if not 0 < tokens <= _MOST_TOKENS:
        raise RequestError(
            f"--words: {word!r} is {tokens} tokens long, and 1 to {_MOST_TOKENS} can be shown", "Give a shorter one."
        )
    return mean_embedding(model, InitSettings(words=(word,), encoder=False))


def _draw(model: BaseModel, plan: Plan, inserted: Sequence[Tensor]) -> list[Pixels]:
    """PROMPT once with each of these vectors (tokens, width) in its slot, all from the same noise."""
    render = plan.render
    empty = encode_plain(model, render.negative_prompt.replace("{}", ""))
    seed = image_seed(plan.seed, PROMPT, 0)
    pictures: list[Pixels] = []
    for start in range(0, len(inserted), plan.compute.pictures):
        rows = [encode_prompt(model, PROMPT, v) for v in inserted[start : start + plan.compute.pictures]]
        latents = denoise(model, Conditioning.stack(rows), empty, [seed] * len(rows), render)
        assert latents is not None  # nothing asks it to stop
        pictures += list(model.decode(latents))
    return pictures
