"""Freezing a plan in the output folder, so that every run and every shard there divides the work alike."""

from __future__ import annotations

from collections.abc import Callable

from crossinit_batch import layout
from crossinit_batch.errors import OutputError
from crossinit_batch.events import Reporter, Warned
from crossinit_batch.plan.frozen import DamagedPlan, dump_plan, read_plan, write_plan
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.shard import Shard
from crossinit_batch.storage.store import Store

_MOST_TRIES = 10

Decide = Callable[[Plan | None], Inventory]
"""The inventory of the plan to be frozen, batches and all, from the plan that was frozen before."""


def freeze(store: Store, decide: Decide, shard: Shard | None, report: Reporter) -> Inventory:
    """Freeze the plan that `decide` makes after an earlier one; and what of it is done.

    Shards begin together and without communication: the first one creates its plan only where there is none, and all
    later ones read it. OutputError where shards at work use another plan, or divide the run otherwise.
    """
    if shard is not None:
        _check_count(store, shard)
    for _ in range(_MOST_TRIES):
        before = store.read(layout.PLAN)
        frozen = _earlier_plan(store, report)
        inventory = decide(frozen)
        plan = inventory.plan
        if (plan == frozen and shard is not None) or _put(store, plan, frozen, before, shard):
            return inventory
    raise OutputError(f"{store}: its plan is being changed all the time", "Start its shards with one manifest.")


def _put(store: Store, plan: Plan, frozen: Plan | None, before: bytes | None, shard: Shard | None) -> bool:
    """Write the plan; False where another shard has written one meanwhile, which is to be read first."""
    if shard is None:
        write_plan(store, plan)
        return True
    if before is None:
        return store.create(layout.PLAN, dump_plan(plan))
    other = store.part_at_work(lambda name: name != shard.name)
    if other and frozen is not None:
        name, holder = other
        raise OutputError(
            f"{store}: {name} is at work here by another plan ({holder}); not alike: {_differences(plan, frozen)}",
            "Wait for it to end, start it again with this manifest, or name another output folder.",
        )
    if store.read(layout.PLAN) != before:
        return False
    write_plan(store, plan)
    return True


def _earlier_plan(store: Store, report: Reporter) -> Plan | None:
    """The plan of an earlier run in this folder; a damaged one counts as none, since receipts record what is done."""
    try:
        return read_plan(store)
    except DamagedPlan as error:
        report(Warned(f"{error.message}; planning anew"))
        return None


def _check_count(store: Store, shard: Shard) -> None:
    """Shards of 16 and shards of 5 at the same time would do some work twice."""
    other = store.part_at_work(lambda name: not name.endswith(f"-of-{shard.count}"))
    if other:
        name, holder = other
        raise OutputError(
            f"{store}: {name} is at work here ({holder}), and {shard} divides the run otherwise",
            "Wait for it to end, or start shards that count alike.",
        )


def _differences(plan: Plan, frozen: Plan) -> str:
    """The names of what differs between two plans."""
    return ", ".join(name for name in Plan.model_fields if getattr(plan, name) != getattr(frozen, name))
