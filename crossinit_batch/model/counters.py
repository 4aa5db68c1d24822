"""What a run has cost, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """How often the expensive things were done; tests assert them, reports show them.

    Each counts samples; `padding` are those among them that only fill a shape.
    """

    model_loads: int = 0
    vae_encodes: int = 0
    vae_decodes: int = 0
    text_encodes: int = 0
    unet_forwards: int = 0
    padding: int = 0
    photographs_judged: int = 0
    pictures_judged: int = 0
