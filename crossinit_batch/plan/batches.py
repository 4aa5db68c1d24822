"""Jobs → batches: which identities of a method learn and are drawn together, decided once for a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from crossinit_batch.plan.digests import batch_digest
from crossinit_batch.plan.plan import Job, JobBatch, Plan

Item = TypeVar("Item")


def with_batches(plan: Plan, pending: Sequence[tuple[Job, bool]], frozen: Plan | None) -> Plan:
    """The plan with batches for the pending jobs, each with whether it still needs its artifact.

    Batches of an earlier plan in the same folder are kept where none of their jobs has changed, also those that are
    done, so that a resumed run, or a result that was damaged later, has the same batch mates.
    """
    waiting = {job.key: needs_artifact for job, needs_artifact in pending}
    digests = {job.key: job.digest for job in plan.jobs}
    kept = []
    for batch in frozen.batches if frozen and frozen.compute == plan.compute else ():
        keys = [(batch.method, identity) for identity in batch.identities]
        unchanged = all(key in digests for key in keys) and batch.digest == batch_digest(
            batch.work, [digests[key] for key in keys]
        )
        makes = batch.work != "render" or not any(waiting.get(key, False) for key in keys)
        if unchanged and makes:
            kept.append(batch)
    covered = {(batch.method, identity) for batch in kept for identity in batch.identities}
    made = []
    for method in plan.methods:
        for work in ("learn", "import", "render"):
            group = [
                job
                for job, needs_artifact in pending
                if job.method == method.name and job.key not in covered and _work(job, needs_artifact) == work
            ]
            for chunk in balanced(group, plan.compute.identities):
                made.append(
                    JobBatch(
                        work=work,
                        method=method.name,
                        identities=tuple(job.identity for job in chunk),
                        digest=batch_digest(work, [job.digest for job in chunk]),
                    )
                )
    order = {method.name: number for number, method in enumerate(plan.methods)}
    batches = sorted([*kept, *made], key=lambda batch: order[batch.method])
    return plan.model_copy(update={"batches": tuple(batches)})


def idle_workers(plan: Plan, batches: Sequence[JobBatch], workers: int) -> str:
    """A hint where there are fewer batches to do than workers, and smaller batches would help; else empty."""
    if not 0 < len(batches) < workers:
        return ""
    groups = Counter[tuple[str, str]]()
    for batch in batches:
        groups[batch.work, batch.method] += len(batch.identities)
    largest = plan.compute.identities
    enough = (size for size in range(largest - 1, 0, -1) if sum(-(-n // size) for n in groups.values()) >= workers)
    size = next(enough, 1)
    if sum(-(-n // size) for n in groups.values()) <= len(batches):
        return ""
    there = "is one batch" if len(batches) == 1 else f"are {len(batches)} batches"
    return (
        f"{workers - len(batches)} of {workers} workers have nothing to do: there {there} of up to {largest} "
        f"identities; `compute: {{identities_per_batch: {size}}}` shares them out, with other last bits"
    )


def _work(job: Job, needs_artifact: bool) -> str:
    if not needs_artifact:
        return "render"
    return "import" if job.source else "learn"


def balanced(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut into the fewest parts of at most `size`, as even as can be."""
    parts = -(-len(items) // size)
    cuts = [len(items) * part // parts for part in range(parts + 1)] if parts else []
    return [items[start:end] for start, end in pairwise(cuts)]
