"""The settings of an embedding's optimisation, and the presets of Cross Initialization and Textual Inversion."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from crossinit_batch.methods.method import MethodSettings
from crossinit_batch.settings import LocalFile, PositiveInt, Settings


class InitSettings(Settings):
    """Where the initial vector v_init comes from."""

    ALL_DEFAULTS: ClassVar[str] = "names"

    names: Annotated[str | None, LocalFile("a names file")] = Field(
        None, description="A text file of names, one a line; absent, the bundled 691 well-known names."
    )
    columns: Literal["tokens", "words"] = Field(
        "tokens",
        description="tokens: column j is the j-th byte-pair token of each name; words: its j-th whole word, "
        "a word of several tokens counted as their mean.",
    )
    vectors: Annotated[int, Field(ge=1, le=8)] = Field(
        2, description="How many columns of the names are used, so how many vectors an identity has."
    )
    words: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="Words to start from instead of names, one vector a token.",
    )
    encoder: bool = Field(
        True,
        description="Start from the text encoder's output (Cross Initialization); false: from its input.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> InitSettings:
        if self.words is not None and self.names is not None:
            raise ValueError("give names or words, not both")
        if self.words is not None and any(not word.strip() for word in self.words):
            raise ValueError("a word to start from is empty")
        return self


class EmbeddingSettings(MethodSettings):
    """Optimisation of an embedding v under the diffusion loss and the regulariser (paper, Eq. 5)."""

    steps: PositiveInt = Field(320, description="Optimisation steps.")
    learning_rate: float = Field(5e-3, gt=0, description="Absolute; never scaled by batch or devices.")
    batch_size: PositiveInt = Field(8, description="Noisy samples an identity and step.")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's decoupled weight decay.")
    regularization: float = Field(1e-5, ge=0, description="lambda, the weight of the regulariser (Eq. 5).")
    regularizer: Literal["squared-l2", "l2"] = Field(
        "squared-l2",
        description="squared-l2: the squared distance to v_init over all vectors (Eq. 4); "
        "l2: the distance, mean over the vectors, as the released code has it.",
    )
    init: InitSettings = Field(default_factory=InitSettings, description="Where v starts.")
    place: Literal["input", "output"] = Field(
        "input",
        description="Where v lives: in the text encoder's input, as a token embedding; or, as an ablation, in its "
        "output, where other tools cannot load it.",
    )
    templates: Literal["face", "object"] = Field(
        "face", description="Training captions: face has 'face of {} person' inside, object the bare {}."
    )
    flip: bool = Field(True, description="Show the mirror image in half of the samples.")
    crop: Literal["center", "stretch"] = Field(
        "center", description="How a picture that is not square becomes so: cut its middle, or stretch it."
    )


CROSS_INIT = EmbeddingSettings()
"""Cross Initialization (Pang et al., CVPR 2024): v starts at E(mean name) and stays near it (Eqs. 3-5); 320 steps."""

CROSS_INIT_FAST = CROSS_INIT.model_copy(update={"steps": 25, "learning_rate": 0.08})
"""The paper's fast setting: 25 steps at 0.08."""

CROSS_INIT_RELEASED = CROSS_INIT.model_copy(update={"regularizer": "l2", "crop": "stretch"})
"""As the released code computes: distance not squared, mean over tokens, pictures stretched to a square.

Its list of names is not part of this package: `init: {names: wiki_names_v2.txt}` adds it.
"""

TEXTUAL_INVERSION = EmbeddingSettings(
    steps=5000,
    regularization=0.0,
    init=InitSettings(words=("person",), encoder=False),
    templates="object",
)
"""Textual Inversion (Gal et al., ICLR 2023): one vector from the word "person", no regulariser, the paper's 5,000
steps; batch and learning rate as cross-init."""
