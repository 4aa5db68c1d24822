"""The events of a run, one frozen value each: all that progress bars, logs and JSON output receive."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class _Happening:
    """The base of all events: its fields are strings, numbers, or tuples of strings."""

    NAME: ClassVar[str] = ""
    """What JSON calls the event, where that is older than its class."""
    OLD_FIELDS: ClassVar[dict[str, str]] = {}
    """What JSON calls fields whose names are older than ours."""

    def as_dict(self) -> dict[str, Any]:
        """`{"event": "kebab-name", ...}` with the fields in order and tuples as lists."""
        name = self.NAME or re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()
        event: dict[str, Any] = {"event": name}
        for field in fields(self):
            value = getattr(self, field.name)
            event[self.OLD_FIELDS.get(field.name, field.name)] = list(value) if isinstance(value, tuple) else value
        return event


@dataclass(frozen=True)
class RunStarted(_Happening):
    """A run begins: totals, and what an earlier run has done of them.

    `kind` is what the methods make: embedding, say. `steps` are the optimisation steps still to do,
    summed over identities; `scores` the pictures to be judged.
    """

    OLD_FIELDS: ClassVar[dict[str, str]] = {"artifacts": "embeddings", "artifacts_done": "embeddings_done"}

    name: str
    output: str
    model: str
    device: str
    dtype: str
    artifacts: int
    artifacts_done: int
    images: int
    images_done: int
    steps: int
    scores: int = 0
    scores_done: int = 0
    kind: str = "embedding"


@dataclass(frozen=True)
class StepDone(_Happening):
    """Optimisation step `step` of `steps` (from 1) of a batch of identities; `loss` is their mean.

    `since` steps were done since the one that was reported before.
    """

    method: str
    identities: tuple[str, ...]
    step: int
    steps: int
    loss: float
    since: int = 1


@dataclass(frozen=True)
class DenoiseStepDone(_Happening):
    """One denoising step, number `step` of `steps` (from 1), of a batch of `images` pictures."""

    method: str
    images: int
    step: int
    steps: int


@dataclass(frozen=True)
class ArtifactDone(_Happening):
    """An artifact was stored with its receipt, after `seconds` of work."""

    NAME: ClassVar[str] = "embedding-done"

    method: str
    identity: str
    seconds: float
    kind: str = "embedding"


@dataclass(frozen=True)
class ImagesDone(_Happening):
    """`images` more pictures of an identity were stored."""

    method: str
    identity: str
    images: int


@dataclass(frozen=True)
class ImagesJudged(_Happening):
    """`images` more pictures of an identity were judged; their scores are not stored yet."""

    method: str
    identity: str
    images: int


@dataclass(frozen=True)
class ScoresDone(_Happening):
    """The scores of `images` more pictures of an identity were stored."""

    method: str
    identity: str
    images: int


@dataclass(frozen=True)
class CheckpointSaved(_Happening):
    """A batch can go on from `step` after a crash."""

    method: str
    identities: tuple[str, ...]
    step: int


@dataclass(frozen=True)
class JobFailed(_Happening):
    """One job failed and the others go on.

    `stage` is where: "render" and "evaluate" come after the artifact was stored, any other word before.
    """

    method: str
    identity: str
    stage: str
    reason: str
    hint: str


@dataclass(frozen=True)
class StorageRetried(_Happening):
    """Storage failed for a reason that may pass: attempt `attempt` of `attempts` comes in `seconds`."""

    place: str
    reason: str
    attempt: int
    attempts: int
    seconds: float


@dataclass(frozen=True)
class Note(_Happening):
    """Information for the user."""

    message: str


@dataclass(frozen=True)
class Warned(_Happening):
    """Something that the user may want to change."""

    message: str


@dataclass(frozen=True)
class RunFinished(_Happening):
    """A run came to its end: what it did, what `failed`, and what it `skipped` as already done.

    `scores` are pictures whose scores it stored.
    """

    OLD_FIELDS: ClassVar[dict[str, str]] = {"artifacts": "embeddings"}

    output: str
    artifacts: int
    images: int
    failed: int
    skipped: int
    seconds: float
    scores: int = 0
    kind: str = "embedding"


@dataclass(frozen=True)
class RunInterrupted(_Happening):
    """A run was stopped by a signal ("SIGTERM"); `saved` says in words what is kept."""

    output: str
    signal: str
    saved: str


Event = (
    RunStarted
    | StepDone
    | DenoiseStepDone
    | ArtifactDone
    | ImagesDone
    | ImagesJudged
    | ScoresDone
    | CheckpointSaved
    | JobFailed
    | StorageRetried
    | Note
    | Warned
    | RunFinished
    | RunInterrupted
)
"""Any event that a reporter can receive."""

Reporter = Callable[[Event], None]
"""Receives every event of a run, from any thread."""
