"""The sizes of a training of the small world: how many pictures, persons and steps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from crossinit_batch.demo.judges import album, attributes, detector, prompts, recogniser
from crossinit_batch.demo.training import train_autoencoder, train_text_encoder, train_unet
from crossinit_batch.demo.training.loop import Schedule

EXTENDABLE = ("decoder", "unet", "detector", "recogniser", "attributes", "clip")
"""Schedules that may grow later, since no other stage builds on their result."""
_HELD_OUT = 500


@dataclass(frozen=True)
class Recipe:
    """The sizes of a training; `scaled` makes a short one of the same shape.

    `held_out` are the examples at the end of the data set that nothing is trained on, `persons` and `clip_pictures`
    what the judges learn from.
    """

    pictures: int = 24_000
    held_out: int = _HELD_OUT
    persons: int = album.PERSONS
    clip_pictures: int = prompts.PICTURES
    text_encoder: Schedule = train_text_encoder.SCHEDULE
    autoencoder: Schedule = train_autoencoder.SCHEDULE
    whole: Schedule = train_autoencoder.WHOLE
    decoder: Schedule = train_autoencoder.DECODER
    unet: Schedule = train_unet.SCHEDULE
    detector: Schedule = detector.SCHEDULE
    recogniser: Schedule = recogniser.SCHEDULE
    attributes: Schedule = attributes.SCHEDULE
    clip: Schedule = prompts.SCHEDULE

    def scaled(self, fraction: float) -> Recipe:
        """The recipe with this fraction of the pictures and steps."""

        def less(size: int | Schedule) -> int | Schedule:
            if isinstance(size, Schedule):
                return replace(size, steps=max(1, round(size.steps * fraction)))
            return max(2, round(size * fraction))

        return Recipe(**{part.name: less(getattr(self, part.name)) for part in fields(self)})  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The recipe that `dataclasses.asdict` turned into a dictionary."""
        parts: dict[str, Any] = {
            name: Schedule(**part) if isinstance(part, dict) else part for name, part in stored.items()
        }
        return cls(**parts)
