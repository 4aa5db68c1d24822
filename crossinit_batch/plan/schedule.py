"""The order of batches, and which shard each belongs to: decided by the plan alone."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch.plan.plan import JobBatch, Plan
from crossinit_batch.plan.shard import Shard


def cost_of(plan: Plan, batch: JobBatch) -> int:
    """The complete cost of a batch, in tenths of U-Net passes of one sample, whatever of it is done already."""
    work = plan.learned_method(batch.method).work if batch.work == "learn" else None
    learning = round(10 * work.samples * work.ways) if work else 0
    return len(batch.identities) * (learning + 10 * plan.pictures_a_job * plan.render.evaluations)


def longest_first(plan: Plan, batches: Sequence[JobBatch]) -> list[JobBatch]:
    """The batches by falling cost, so that no long one is begun last; equal ones in the plan's order."""
    return sorted(batches, key=lambda batch: -cost_of(plan, batch))


def batches_of(plan: Plan, shard: Shard | None) -> list[JobBatch]:
    """The plan's batches that are this shard's, all where the run has no shards.

    Each goes, the longest first, to the shard that has least so far. Only the plan decides, not what is done, so
    shards that begin at different times agree without communication.
    """
    if shard is None:
        return list(plan.batches)
    load = [0] * shard.count
    mine = []
    for batch in longest_first(plan, plan.batches):
        least = load.index(min(load))
        load[least] += cost_of(plan, batch)
        if least == shard.index:
            mine.append(batch)
    return mine
