"""Celeb Basis without a face network: coefficients on the unit sphere of a basis of names, learned directly; no torch.

The published method maps a photograph's identity feature to the coefficients. Learned directly they reach the same set
of vectors, but it is neither that method nor its authors' ablation (whose coefficients are not normalised), so it has a
name of its own wherever it is reported.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from crossinit_batch.methods.embedding.method import EMBEDDING_ARTIFACT
from crossinit_batch.methods.embedding.names import init_parts
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.methods.method import LearningWork, Method, MethodSettings
from crossinit_batch.settings import LocalFile, PositiveInt


class CelebBasisSettings(MethodSettings):
    """Coefficients in the PCA basis of the names' token embeddings, as the released code trains them."""

    steps: PositiveInt = Field(400, description="Optimisation steps.")
    learning_rate: float = Field(1e-2, gt=0, description="Absolute; never scaled by batch or devices.")
    batch_size: PositiveInt = Field(2, description="Noisy samples an identity and step.")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's decoupled weight decay.")
    components: PositiveInt = Field(512, description="Principal components a column, or as many as there are.")
    vectors: Annotated[int, Field(ge=1, le=8)] = Field(
        2, description="How many columns of the names are used, so how many vectors an identity has."
    )
    names: Annotated[str | None, LocalFile("a names file")] = Field(
        None, description="A text file of names, one a line; absent, the bundled 691 well-known names."
    )
    ema: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the coefficients' moving average, which is the result; 0: the last ones.",
    )
    templates: Literal["face", "object"] = Field(
        "face", description="Training captions: face has 'face of {} person' inside, object the bare {}."
    )
    flip: bool = Field(True, description="Show the mirror image in half of the samples.")
    crop: Literal["center", "stretch"] = Field(
        "center", description="How a picture that is not square becomes so: cut its middle, or stretch it."
    )

    @property
    def init(self) -> InitSettings:
        """The names, as an initial vector takes them."""
        return InitSettings(names=self.names, vectors=self.vectors)


class CelebBasisDirectMethod(Method[CelebBasisSettings]):
    """Its artifact is an embedding: signs of principal components are arbitrary, so coefficients alone mean nothing."""

    kind = "celeb-basis-direct"
    settings = CelebBasisSettings
    presets: ClassVar[dict[str, MethodSettings]] = {"celeb-basis-direct": CelebBasisSettings()}
    artifact = EMBEDDING_ARTIFACT
    learner = "crossinit_batch.methods.celeb_basis.learner:CelebBasisLearner"
    compiles = True

    def decides(self, settings: CelebBasisSettings) -> dict[str, Any]:
        """All settings, and the names themselves instead of their file's path."""
        parts = settings.model_dump(mode="json", exclude={"names"})
        return {"settings": parts, "names": init_parts(settings.init)["texts"]}

    def work(self, settings: CelebBasisSettings) -> LearningWork:
        return LearningWork(settings.steps, settings.batch_size)

    def summary(self, settings: CelebBasisSettings) -> str:
        return (
            f"{settings.steps} steps x {settings.batch_size}, learning rate {settings.learning_rate:g}, "
            f"{settings.components} components at most"
        )


CELEB_BASIS_DIRECT = CelebBasisDirectMethod()
