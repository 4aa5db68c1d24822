"""Which engine does a run: this process for one device, worker processes for several."""

from __future__ import annotations

from dataclasses import replace

from crossinit_batch.engines.messages import Brief
from crossinit_batch.engines.placement import Placement
from crossinit_batch.engines.pool import run_team
from crossinit_batch.errors import DeviceLost
from crossinit_batch.events import Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.plan import JobBatch
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.worker.context import RunContext


def run_batches(context: RunContext, source: ModelSource | None, placement: Placement, silence: float) -> Counters:
    """Do all that is left of this process's part of the plan; the counters of what that took.

    `silence` is how many seconds a worker process may say nothing. Interrupted where asked to stop.
    """
    batches = _left(context, placement)
    if placement.supervised:
        return run_team(context, _briefs(context, source, placement), batches, silence)
    from crossinit_batch.engines.local import (
        run_local,  # with libraries that a run of worker processes needs only there
    )

    try:
        return run_local(context, source, placement.devices[0], batches)
    except DeviceLost as lost:
        context.report(Warned(f"{placement.devices[0]} broke ({lost.message}); going on in a process of its own"))
        context = replace(context, inventory=take_inventory(context.store, context.plan))
        briefs = _briefs(context, source, placement)
        return run_team(context, briefs, _left(context, placement), silence)


def _left(context: RunContext, placement: Placement) -> list[JobBatch]:
    """Our batches that have something left to do."""
    pending = set(context.pending_batches)
    return [batch for batch in batches_of(context.plan, placement.shard) if batch in pending]


def _briefs(context: RunContext, source: ModelSource | None, placement: Placement) -> list[Brief]:
    return [
        Brief(
            plan=context.plan,
            output=context.store.address,
            claim=context.store.claim,
            source=source,
            device=device,
            allow_pickle=context.allow_pickle,
            facts={**context.facts, "device": device},
        )
        for device in placement.devices
    ]
