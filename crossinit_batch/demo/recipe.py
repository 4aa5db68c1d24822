"""The sizes of a training of the small world: how many pictures, persons and steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from crossinit_batch.demo import judges, train_autoencoder, train_text_encoder, train_unet
from crossinit_batch.demo.training_loop import Schedule

EXTENDABLE = ("decoder", "unet", "judges")
"""Schedules that may grow later, since no other stage builds on their result."""
_HELD_OUT = 500


@dataclass(frozen=True)
class Recipe:
    """The sizes of a training; `scaled` makes a short one of the same shape.

    `held_out` are the examples at the end of the data set that nothing is trained on, `persons` those that the
    judges learn from.
    """

    pictures: int = 24_000
    held_out: int = _HELD_OUT
    persons: int = judges.PERSONS
    text_encoder: Schedule = train_text_encoder.SCHEDULE
    autoencoder: Schedule = train_autoencoder.SCHEDULE
    decoder: Schedule = train_autoencoder.DECODER
    unet: Schedule = train_unet.SCHEDULE
    judges: Schedule = judges.SCHEDULE

    def scaled(self, share: float) -> Recipe:
        """The recipe with this share of the pictures and steps."""

        def fewer(schedule: Schedule) -> Schedule:
            return replace(schedule, steps=max(1, round(schedule.steps * share)))

        return Recipe(
            pictures=max(2, round(self.pictures * share)),
            held_out=max(1, round(self.held_out * share)),
            persons=max(2, round(self.persons * share)),
            text_encoder=fewer(self.text_encoder),
            autoencoder=fewer(self.autoencoder),
            decoder=fewer(self.decoder),
            unet=fewer(self.unet),
            judges=fewer(self.judges),
        )

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The recipe that `dataclasses.asdict` turned into a dictionary."""
        parts: dict[str, Any] = {
            name: Schedule(**part) if isinstance(part, dict) else part for name, part in stored.items()
        }
        return cls(**parts)
