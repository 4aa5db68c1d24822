"""The texts that an initial vector is made from, and the digest of that choice; no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from crossinit_batch.digest import canonical, sha256
from crossinit_batch.methods.embedding.names import bundled_names, read_names
from crossinit_batch.settings import InitSettings
from crossinit_batch.storage.text_file import read_bytes


@lru_cache(maxsize=32)
def texts_of(init: InitSettings) -> tuple[str, ...]:
    """The words, or the names of the user's file or the bundled list; ManifestError for a bad names file."""
    if init.words is not None:
        return init.words
    if init.names is not None:
        return read_names(read_bytes(Path(init.names), init.names), init.names)
    return bundled_names()


def init_parts(init: InitSettings) -> dict[str, object]:
    """What decides an initial vector besides the model: the texts themselves, not where they stand."""
    by_words = init.words is not None
    return {
        "texts": sha256(canonical(texts_of(init))),
        "source": "words" if by_words else "names",
        "columns": None if by_words else init.columns,
        "vectors": None if by_words else init.vectors,
        "encoder": init.encoder,
    }
