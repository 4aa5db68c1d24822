"""How a worker learns artifacts by any method: prepare once, then train batches of identities and take the results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from crossinit_batch.events import Reporter
from crossinit_batch.methods.artifact import Artifact
from crossinit_batch.methods.method import MethodSettings

if TYPE_CHECKING:
    from PIL import Image

    from crossinit_batch.model.base_model import BaseModel

OnStep = Callable[[int, Callable[[], float]], bool]
"""Called with the steps done and a function that waits for their mean loss; returns False to stop."""


@dataclass(frozen=True)
class Prepared:
    """What a method computes once and every artifact of it starts from: files to publish beside the results.

    `group` names them in the output folder's receipts.
    """

    group: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Learned:
    """One identity's result: the artifact, facts for its receipt, and further files of its folder by name."""

    artifact: Artifact
    facts: Mapping[str, object]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Trainer(ABC):
    """A batch of identities being learned together; each moves as it would alone."""

    STATE: ClassVar[tuple[str, ...]]
    """The names of the tensors that `state` holds, in the order that a checkpoint's digest takes them."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps done."""

    @abstractmethod
    def run(self, on_step: OnStep) -> bool:
        """Do the steps that are left; True once all are done, False where `on_step` asked to stop before."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that resuming needs, on the CPU: the content of a checkpoint."""

    @abstractmethod
    def result(self, number: int) -> Learned:
        """What was learned of the identity with this number in the batch; JobError where its learning failed."""


class Learner(ABC):
    """A method with its settings on a worker's base model, for as long as the worker runs."""

    trainer_type: ClassVar[type[Trainer]]

    def __init__(self, model: BaseModel, settings: MethodSettings, name: str, seed: int, report: Reporter) -> None:
        """`name` is the method's in the manifest, for messages."""
        self.model, self.name, self.seed, self.report = model, name, seed, report

    @property
    @abstractmethod
    def prepared(self) -> Prepared:
        """What is computed once; computed when it is first asked for."""

    @abstractmethod
    def subject(self, identity: str, photographs: Sequence[Image.Image]) -> Any:
        """An identity to be learned, from its photographs as they are upright; JobError where they cannot be used."""

    @abstractmethod
    def trainer(self, subjects: Sequence[Any], state: Mapping[str, Tensor] | None, fill_to: int) -> Trainer:
        """A batch of subjects, going on from a state where there is one.

        Samples are filled up to those of `fill_to` identities where these are fewer: compiled code has one shape.
        """
