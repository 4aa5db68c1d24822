"""What a run reports before it begins: totals, what an earlier run has done, how long it will take, what is idle."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crossinit_batch.engines.placement import Placement
from crossinit_batch.events import RunStarted
from crossinit_batch.messages import plural
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.model.device import described_device
from crossinit_batch.model.device_speed import cores
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.batches import idle_workers
from crossinit_batch.plan.estimate import expected_of
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.plan.task import JobState


@dataclass(frozen=True)
class Announcement:
    """A run, or one shard of it, before its work; without a `source` it only scores."""

    inventory: Inventory
    source: ModelSource | None
    placement: Placement

    @property
    def ours(self) -> list[JobState]:
        """The jobs of this run, or of this shard."""
        shard, states = self.placement.shard, self.inventory.states
        if shard is None:
            return list(states.values())
        batches = batches_of(self.inventory.plan, shard)
        return [states[batch.method, identity] for batch in batches for identity in batch.identities]

    def started(self, output: str) -> RunStarted:
        """What this run begins with; where only scores are asked for, nothing else counts."""
        inventory, plan, shard, ours = self.inventory, self.inventory.plan, self.placement.shard, self.ours
        made = ours if self.source else []
        judged = [inventory.pictures_to_judge(state) if not self.source else plan.pictures_a_job for state in ours]
        return RunStarted(
            name=f"{plan.name}, shard {shard}" if shard else plan.name,
            output=output,
            model=plan.model.label,
            device=self.placement.label,
            dtype=plan.model.dtype,
            artifacts=len(made),
            artifacts_done=sum(state.has_artifact for state in made),
            images=len(made) * plan.pictures_a_job,
            images_done=sum(len(state.pictures) for state in made),
            steps=sum(self._steps(state) for state in made),
            scores=sum(judged) if plan.judges else 0,
            scores_done=sum(inventory.pictures_scored(state) for state in ours),
            kind=plan.artifact,
        )

    def notes(self) -> Iterator[str]:
        """Lines of information for the user."""
        plan, placement = self.inventory.plan, self.placement
        yield from _changes(self.inventory, self.ours)
        left = self.inventory.pending_of(batches_of(plan, placement.shard))
        for note in (self._idle_cores(), idle_workers(plan, left, len(placement.devices)), self._expected()):
            if note:
                yield note

    def _steps(self, state: JobState) -> int:
        """The optimisation steps that a job still takes."""
        method = self.inventory.plan.method(state.job.method)
        learns = isinstance(method, LearnedMethod) and state.job.source is None and not state.has_artifact
        return method.work.steps if learns and isinstance(method, LearnedMethod) else 0

    def _idle_cores(self) -> str:
        """A hint where CPU cores would be idle; else empty."""
        placement = self.placement
        used = len(placement.devices) * self.inventory.plan.compute.threads
        on_cpu = placement.first_device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ
        if placement.shard is not None or not on_cpu or used >= cores() or self.inventory.finished:
            return ""
        return (
            f"computing on {used} of {cores()} cores: `--workers {cores()}` does that many batches at once; "
            f"`compute: {{threads: {cores()}}}` does each faster, with other last bits"
        )

    def _expected(self) -> str:
        """How long this run or shard will take, empty where nothing of it is left or the model is not needed."""
        if self.source is None:
            return ""
        plan, placement = self.inventory.plan, self.placement
        device = described_device(placement.first_device, plan.compute.threads)
        batches = batches_of(plan, placement.shard)
        expected = expected_of(self.inventory, batches, self.source.folder, device, placement.workers)
        return expected.summary if expected.device_seconds else ""


def _changes(inventory: Inventory, ours: Sequence[JobState]) -> list[str]:
    """What has become of an earlier run's results where the request has changed: kept, redone and why, or orphaned."""
    stale = [state for state in ours if state.artifact == "stale"]
    lines = []
    if stale:
        kept, why = sum(state.has_artifact for state in ours), Counter(state.why for state in stale)
        reasons = "; ".join(f"{number} x {reason}" for reason, number in why.most_common(3))
        more = "; …" if len(why) > 3 else ""
        lines.append(f"{kept} {plural(inventory.plan.artifact)} are kept, {len(stale)} are made again: {reasons}{more}")
    if inventory.orphans:
        lines.append(f"{len(inventory.orphans)} results that are not asked for any more are kept as they are")
    return lines
