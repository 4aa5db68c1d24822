"""The method of an embedding: v (tokens, width), optimised under the diffusion loss; no torch."""

from __future__ import annotations

from typing import Any, ClassVar

from crossinit_batch.methods.artifact import ArtifactKind
from crossinit_batch.methods.embedding.names import init_parts
from crossinit_batch.methods.embedding.settings import (
    CROSS_INIT,
    CROSS_INIT_FAST,
    CROSS_INIT_RELEASED,
    TEXTUAL_INVERSION,
    EmbeddingSettings,
)
from crossinit_batch.methods.method import LearningWork, Method, MethodSettings

EMBEDDING_FILE = "learned_embeds.safetensors"
"""What diffusers' `load_textual_inversion` looks for in a folder."""

EMBEDDING_ARTIFACT = ArtifactKind(
    name="embedding",
    files=(EMBEDDING_FILE,),
    reader="crossinit_batch.methods.embedding.artifact:Embedding",
    formats=("webui", "diffusers"),
)


class EmbeddingMethod(Method[EmbeddingSettings]):
    """Textual inversion from any start, Cross Initialization's among them."""

    kind = "embedding"
    settings = EmbeddingSettings
    presets: ClassVar[dict[str, MethodSettings]] = {
        "cross-init": CROSS_INIT,
        "cross-init-fast": CROSS_INIT_FAST,
        "cross-init-released": CROSS_INIT_RELEASED,
        "textual-inversion": TEXTUAL_INVERSION,
    }
    artifact = EMBEDDING_ARTIFACT
    learner = "crossinit_batch.methods.embedding.learner:EmbeddingLearner"
    compiles = True

    def decides(self, settings: EmbeddingSettings) -> dict[str, Any]:
        """All settings, and for the start the texts themselves instead of their file's path."""
        parts = settings.model_dump(mode="json", exclude={"init"})
        if parts["place"] == "input":
            del parts["place"]  # the setting came later: older results stay valid
        return {"settings": parts, "init": init_parts(settings.init)}

    def work(self, settings: EmbeddingSettings) -> LearningWork:
        """In the text encoder's output v is learned without passing it."""
        if settings.place == "output":
            return LearningWork(settings.steps, settings.batch_size, "learning-in-the-output", through_encoder=False)
        return LearningWork(settings.steps, settings.batch_size)

    def summary(self, settings: EmbeddingSettings) -> str:
        kept = f", {settings.regularizer} {settings.regularization:g}" if settings.regularization else ""
        side = ", v in the text encoder's output" if settings.place == "output" else ""
        return f"{settings.steps} steps x {settings.batch_size}, learning rate {settings.learning_rate:g}{kept}{side}"


EMBEDDING = EmbeddingMethod()
