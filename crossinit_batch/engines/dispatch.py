"""Which engine does a run: this process for one device, worker processes for several."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch.engines.messages import Brief
from crossinit_batch.engines.placement import Placement
from crossinit_batch.engines.pool import run_pool
from crossinit_batch.errors import DeviceLost
from crossinit_batch.events import Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.task import Task
from crossinit_batch.worker.context import RunContext


def run_tasks(
    context: RunContext,
    inventory: Inventory,
    tasks: Sequence[Task],
    source: ModelSource | None,
    placement: Placement,
    worker_timeout: float,
) -> Counters:
    """Do these tasks of a plan; the counters of what that took.

    `worker_timeout` is how many seconds a worker process may take between messages. Interrupted where asked to stop.
    """
    briefs = [_brief(context, source, device) for device in placement.devices]
    if placement.supervised:
        return run_pool(context, inventory, briefs, tasks, worker_timeout)
    from crossinit_batch.engines.local import run_local  # loads what the process of a pool does not need

    device = placement.devices[0]
    try:
        return run_local(context, source, device, tasks)
    except DeviceLost as lost:
        context.report(Warned(f"{device} broke ({lost.message}); going on in a process of its own"))
        now = inventory.again(context.store, [task.batch for task in tasks])
        left = [now.task(batch) for batch in now.pending_of([task.batch for task in tasks])]
        return run_pool(context, now, briefs, left, worker_timeout)


def _brief(context: RunContext, source: ModelSource | None, device: str) -> Brief:
    return Brief(
        plan=context.plan,
        output=context.store.address,
        claim=context.store.claim,
        source=source,
        device=device,
        allow_pickle=context.allow_pickle,
        facts={**context.facts, "device": device},
    )
