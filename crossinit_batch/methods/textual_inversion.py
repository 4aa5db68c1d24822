"""Textual Inversion (Gal et al., ICLR 2023): v starts at the token embedding of a super-category word."""

from __future__ import annotations

from crossinit_batch.settings import EmbeddingSettings, InitSettings

TEXTUAL_INVERSION = EmbeddingSettings(
    steps=5000,
    regularization=0.0,
    init=InitSettings(words=("person",), encoder=False),
    templates="object",
)
"""One vector from "person", no regulariser, the paper's 5,000 steps; batch and learning rate as cross-init."""
