"""The small world's tokenizer: a real CLIP tokenizer in which each word of ours is one token, the same everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from transformers import CLIPTokenizer

from crossinit_batch.demo.training.vocabulary import CONTEXT_LENGTH, demo_tokenizer, demo_words
from crossinit_batch.methods.embedding.names import bundled_names
from crossinit_batch.prompts import PROMPT_SETS, TRAINING_TEMPLATES


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return demo_tokenizer()


def _pieces(tokenizer: CLIPTokenizer, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids)


def test_every_word_of_ours_is_one_token(tokenizer: CLIPTokenizer) -> None:
    words = demo_words()
    assert len(words) > 500
    assert {word: _pieces(tokenizer, word) for word in words} == {word: [f"{word}</w>"] for word in words}


def test_names_prompts_and_captions_fall_into_their_words(tokenizer: CLIPTokenizer) -> None:
    assert all(len(_pieces(tokenizer, name)) == len(name.split()) for name in bundled_names())
    texts = [prompt.text for prompts in PROMPT_SETS.values() for prompt in prompts]
    texts += [text for templates in TRAINING_TEMPLATES.values() for text in templates]
    for text in texts:
        plain = text.replace("{}", "").replace(",", " , ").replace("-", " - ")
        assert _pieces(tokenizer, text.replace("{}", "")) == [f"{word.lower()}</w>" for word in plain.split()]


def test_other_text_falls_into_pieces_and_comes_back(tokenizer: CLIPTokenizer) -> None:
    for text in ("zebra", "ŁÓDŹ", "日本 🙂", "it's 2024!", "naïve café"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids).replace(" ", "") == text.lower().replace(" ", "")


def test_case_and_blanks_do_not_matter(tokenizer: CLIPTokenizer) -> None:
    assert _pieces(tokenizer, "  A   Photo\tOF ") == ["a</w>", "photo</w>", "of</w>"]


def test_texts_begin_and_end_as_with_clip(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("a photo", padding="max_length", truncation=True).input_ids
    assert len(ids) == CONTEXT_LENGTH == tokenizer.model_max_length
    assert ids[0] == tokenizer.bos_token_id == len(tokenizer) - 2
    assert set(ids[3:]) == {tokenizer.eos_token_id} == {len(tokenizer) - 1}


def test_words_with_letters_beyond_ascii_are_one_token_too() -> None:
    tokenizer = demo_tokenizer(["café", "łódź", "x"])
    assert [len(_pieces(tokenizer, word)) for word in ("Café", "ŁÓDŹ", "x", "cafe")] == [1, 1, 1, 2]


def test_the_tokenizer_is_the_same_in_every_process(tokenizer: CLIPTokenizer) -> None:
    """Its numbers are a part of the demo model's fingerprint."""
    code = (
        "import hashlib; from crossinit_batch.demo.training.vocabulary import demo_tokenizer as make; "
        "print(hashlib.sha256(make()._tokenizer.to_str().encode()).hexdigest())"
    )
    mine = hashlib.sha256(demo_tokenizer()._tokenizer.to_str().encode()).hexdigest()
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == mine


def test_the_order_of_the_words_does_not_matter() -> None:
    one, other = demo_tokenizer(["snow", "sun", "sunny"]), demo_tokenizer(["sunny", "sun", "snow"])
    assert one.get_vocab() == other.get_vocab()
