"""A task: a batch of jobs with the state of each, the unit of work of every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossinit_batch.plan.plan import Job, JobBatch, Plan


@dataclass(frozen=True)
class JobState:
    """One job: its artifact's state with the reason, the pictures that are done, by name, and the prompts scored.

    `seconds` are those of learning, `drawing_seconds` and `judging_seconds` those of a picture, None where nothing was
    timed. `has_prepared`: the published file that its artifact started from exists.
    """

    job: Job
    artifact: Literal["done", "new", "stale"]
    why: str
    pictures: frozenset[str]
    seconds: float | None
    scored: frozenset[int] = frozenset()
    has_prepared: bool = True
    drawing_seconds: float | None = None
    judging_seconds: float | None = None

    @property
    def has_artifact(self) -> bool:
        return self.artifact == "done"

    def is_done(self, plan: Plan) -> bool:
        return self.is_drawn(plan) and (plan.judges is None or len(self.scored) == len(plan.prompts))

    def is_drawn(self, plan: Plan) -> bool:
        """Whether only scores can be missing."""
        return self.has_artifact and self.has_prepared and len(self.pictures) == plan.pictures_a_job


@dataclass(frozen=True)
class Task:
    """A batch, and the states of its jobs in its order."""

    batch: JobBatch
    states: tuple[JobState, ...]

    @property
    def jobs(self) -> list[Job]:
        return [state.job for state in self.states]

    def is_done(self, plan: Plan) -> bool:
        return all(state.is_done(plan) for state in self.states)

    def is_drawn(self, plan: Plan) -> bool:
        """Whether only scores can be missing in all of its jobs."""
        return all(state.is_drawn(plan) for state in self.states)
