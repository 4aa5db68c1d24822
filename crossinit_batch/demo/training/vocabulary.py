"""A real CLIP tokenizer with a small vocabulary: each word of our names, prompts, captions is one token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from crossinit_batch.demo.training.captions import caption_words
from crossinit_batch.methods.embedding.names import bundled_names
from crossinit_batch.prompts import PROMPT_SETS, TRAINING_TEMPLATES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CONTEXT_LENGTH = 77

_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"


def demo_words() -> list[str]:
    """Every word of the bundled names, prompts and captions, lower-cased, sorted, without repeats."""
    texts = [*bundled_names(), "face person", *caption_words()]
    texts += [prompt.text for prompts in PROMPT_SETS.values() for prompt in prompts]
    texts += [template for templates in TRAINING_TEMPLATES.values() for template in templates]
    return sorted({word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())})


def demo_tokenizer(words: Iterable[str] | None = None) -> CLIPTokenizer:
    """A tokenizer in which each of these words is one token, and any other text falls into smaller pieces.

    Merges are learned from the words alone until nothing is left to merge, which makes each word one piece.
    The same words give the same numbers in every process.
    """
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ends = [symbol + _END_OF_WORD for symbol in alphabet]
    learner = Tokenizer(models.BPE(end_of_word_suffix=_END_OF_WORD))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=1_000_000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=alphabet,
        # Given in order, since the trainer would number ends of words as its hash map lists them, and breaks
        # ties by these numbers.
        special_tokens=ends,
        end_of_word_suffix=_END_OF_WORD,
    )
    learner.train_from_iterator(demo_words() if words is None else words, trainer)
    learned = _merges_of(learner)
    entries = [*alphabet, *ends, *(first + second for first, second in learned)]
    vocabulary = {token: number for number, token in enumerate([*dict.fromkeys(entries), _BOS, _EOS])}
    return CLIPTokenizer(vocab=vocabulary, merges=learned, model_max_length=CONTEXT_LENGTH)


def _merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges a byte-pair model has learned, in their order."""
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges]
