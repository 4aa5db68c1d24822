"""The methods that a manifest can name: one registry line each."""

from __future__ import annotations

from dataclasses import dataclass

from crossinit_batch.methods.cross_init import CROSS_INIT, CROSS_INIT_FAST, CROSS_INIT_RELEASED
from crossinit_batch.methods.textual_inversion import TEXTUAL_INVERSION
from crossinit_batch.settings import EmbeddingSettings

PRESETS: dict[str, EmbeddingSettings] = {
    "cross-init": CROSS_INIT,
    "cross-init-fast": CROSS_INIT_FAST,
    "cross-init-released": CROSS_INIT_RELEASED,
    "textual-inversion": TEXTUAL_INVERSION,
}


@dataclass(frozen=True)
class Method:
    """A method as a manifest names it: `name` is its folder in the output, `preset` the registry line it varies.

    `settings` is None for embeddings that are given, not learned.
    """

    name: str
    preset: str
    settings: EmbeddingSettings | None

    @property
    def learned(self) -> EmbeddingSettings:
        """The settings of a method that learns; ValueError for given embeddings."""
        if self.settings is None:
            raise ValueError(f"method {self.name} learns nothing")
        return self.settings

    @property
    def summary(self) -> str:
        """The settings in one line, for people."""
        if self.settings is None:
            return "given embeddings"
        kept = f", {self.settings.regularizer} {self.settings.regularization:g}" if self.settings.regularization else ""
        place = ", v in the text encoder's output" if self.settings.place == "output" else ""
        return (
            f"{self.settings.steps} steps x {self.settings.batch_size}, "
            f"learning rate {self.settings.learning_rate:g}{kept}{place}"
        )
