"""CLIP's real byte-pair vocabulary, read from the open_clip_torch wheel without importing open_clip."""

from __future__ import annotations

import gzip
from importlib import metadata, util
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
INSTALL = "pip install --no-deps open_clip_torch==3.3.0"

VOCABULARY_SIZE = 49_408
_BYTE_SYMBOLS = 256
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_MERGES = VOCABULARY_SIZE - 2 * _BYTE_SYMBOLS - len(_SPECIAL)


def clip_vocabulary_path() -> Path | None:
    """The gzipped merges that open_clip_torch carries, or None where it is not installed."""
    candidates: list[Path] = []
    try:
        files = metadata.distribution("open_clip_torch").files or []
        candidates += [Path(str(file.locate())) for file in files if file.name == VOCABULARY_FILE]
    except metadata.PackageNotFoundError:
        pass
    spec = util.find_spec("open_clip")
    candidates += [Path(folder) / VOCABULARY_FILE for folder in (spec and spec.submodule_search_locations) or []]
    return next((path for path in candidates if path.is_file()), None)


def real_clip_tokenizer() -> CLIPTokenizer:
    """The tokenizer of CLIP and Stable Diffusion: 49,408 entries, lower-casing, 77 tokens a text."""
    path = clip_vocabulary_path()
    if path is None:
        raise FileNotFoundError(f"{VOCABULARY_FILE} is not installed: {INSTALL}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file)  # the format's version
        # CLIP uses only the first merges of a file that lists five times as many.
        merges = [pair for pair, _ in zip(map(str.split, file), range(_MERGES), strict=False)]
    # Ascending code points are the order that CLIP numbered its bytes in.
    symbols = sorted(ByteLevel.alphabet())
    entries = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *map("".join, merges), *_SPECIAL]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in merges], model_max_length=77)
