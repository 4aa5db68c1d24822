"""What a method is to the rest of the program: its settings, what decides its results, and what it costs; no torch.

A method turns photographs of an identity into an artifact that the base model draws the person from. A new one is a
folder in this wing and a line in `registry`; nothing else in the program knows methods by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from crossinit_batch.settings import Settings

if TYPE_CHECKING:
    from crossinit_batch.methods.artifact import ArtifactKind

FORWARD_AND_BACK = 2.1
"""Cost of a sample's forward and backward pass, in forward passes, with all U-Net weights frozen."""


class MethodSettings(Settings):
    """The settings of a method, all of which decide its results."""


Own = TypeVar("Own", bound=MethodSettings)


@dataclass(frozen=True)
class LearningWork:
    """What learning one identity takes: optimisation steps of `batch_size` noisy samples.

    `rate` names the kind of sample whose seconds are remembered for estimates; a sample takes `ways` forward passes of
    the U-Net, and of the text encoder where it goes `through_encoder`.
    """

    steps: int
    batch_size: int
    rate: str = "learning"
    through_encoder: bool = True
    ways: float = FORWARD_AND_BACK

    @property
    def samples(self) -> int:
        return self.steps * self.batch_size


class Method(ABC, Generic[Own]):
    """One method: facts that plan and manifest go by; `learner` names the class that a worker imports to do it."""

    kind: ClassVar[str]
    """Its name in digests and in the registry."""
    settings: ClassVar[type[MethodSettings]]
    presets: ClassVar[Mapping[str, MethodSettings]]
    """Settings by the names that a manifest can use."""
    artifact: ClassVar[ArtifactKind]
    learner: ClassVar[str]
    compiles: ClassVar[bool] = False
    """Whether the gradient reaches what is learned through the text states alone, so that a compiled U-Net, whose
    gradient is checked there, may be learned through."""

    @abstractmethod
    def decides(self, settings: Own) -> dict[str, Any]:
        """What of the settings decides a result, for its digest and for messages on what has changed."""

    @abstractmethod
    def work(self, settings: Own) -> LearningWork:
        """What learning an identity takes."""

    @abstractmethod
    def summary(self, settings: Own) -> str:
        """The settings in one line, for display."""
