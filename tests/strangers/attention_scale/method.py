"""What plan and manifest know of the stranger; a worker process that imports it has it registered."""

from __future__ import annotations

import multiprocessing
from typing import Any, ClassVar

from pydantic import Field

from crossinit_batch.methods.artifact import ArtifactKind
from crossinit_batch.methods.method import LearningWork, Method, MethodSettings
from crossinit_batch.methods.registry import METHODS
from crossinit_batch.settings import PositiveInt

SCALES_FILE = "scales.safetensors"

SCALES = ArtifactKind(
    name="scale",
    files=(SCALES_FILE,),
    reader="tests.strangers.attention_scale.artifact:Scales",
    formats=("scales",),
    shares_unet=False,
)


class AttentionScaleSettings(MethodSettings):
    """So many groups of channels have a scale each."""

    steps: PositiveInt = Field(4, description="Optimisation steps.")
    batch_size: PositiveInt = Field(2, description="Noisy samples a step.")
    learning_rate: float = Field(0.05, gt=0, description="Of plain gradient descent.")
    groups: PositiveInt = Field(4, description="Groups of channels.")


class AttentionScale(Method[AttentionScaleSettings]):
    """Learned through the U-Net's own activations, so not through a compiled one."""

    kind = "attention-scale"
    settings = AttentionScaleSettings
    presets: ClassVar[dict[str, MethodSettings]] = {"attention-scale": AttentionScaleSettings()}
    artifact = SCALES
    learner = "tests.strangers.attention_scale.learner:ScaleLearner"

    def decides(self, settings: AttentionScaleSettings) -> dict[str, Any]:
        return {"settings": settings.model_dump(mode="json")}

    def work(self, settings: AttentionScaleSettings) -> LearningWork:
        return LearningWork(settings.steps, settings.batch_size, "learning-scales")

    def summary(self, settings: AttentionScaleSettings) -> str:
        return f"{settings.steps} steps x {settings.batch_size}, {settings.groups} scales"


ATTENTION_SCALE = AttentionScale()
LINE = {ATTENTION_SCALE.kind: f"{__name__}:ATTENTION_SCALE"}
"""Its line in the registry."""

if multiprocessing.parent_process() is not None:  # a worker process reads its brief, which names these settings
    METHODS.update(LINE)
