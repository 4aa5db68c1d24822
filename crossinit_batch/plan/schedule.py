"""In which order batches are done, and which of them belong to whom: decided by the plan alone."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch.engines.launcher import Share
from crossinit_batch.plan.plan import JobBatch, Plan

_BACKWARD = 2
"""A step back through the U-Net costs about two forward."""


def cost_of(plan: Plan, batch: JobBatch) -> int:
    """What a whole batch costs, in U-Net evaluations of one sample, whatever of it is done already."""
    learned = plan.method(batch.method).learned if batch.work == "learn" else None
    learning = learned.steps * learned.batch_size * (1 + _BACKWARD) if learned else 0
    return len(batch.identities) * (learning + plan.pictures_a_job * plan.render.evaluations)


def longest_first(plan: Plan, batches: Sequence[JobBatch]) -> list[JobBatch]:
    """The batches by falling cost, so that no long one is begun last; equal ones in the plan's order."""
    return sorted(batches, key=lambda batch: -cost_of(plan, batch))


def batches_of(plan: Plan, share: Share | None) -> list[JobBatch]:
    """The plan's batches that are this share's, all where the run is not shared.

    Each goes to whoever has least so far, the longest first.

    Only the plan decides, not what is done, so shares that begin at different times agree without talk.
    """
    if share is None:
        return list(plan.batches)
    load = [0] * share.count
    mine = []
    for batch in longest_first(plan, plan.batches):
        least = load.index(min(load))
        load[least] += cost_of(plan, batch)
        if least == share.index:
            mine.append(batch)
    return mine
