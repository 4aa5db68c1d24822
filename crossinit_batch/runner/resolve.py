"""What a manifest leaves open about computing, resolved for a plan when its device is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crossinit_batch.engines.placement import Placement
from crossinit_batch.errors import RequestError
from crossinit_batch.model.compilation import Work, can_compile, compiled_folder, what_pays
from crossinit_batch.model.device import described_device
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.batch_sizes import chosen_sizes
from crossinit_batch.plan.batches import with_batches
from crossinit_batch.plan.estimate import expected_of
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.settings import ComputeSettings


def resolved(inventory: Inventory, frozen: Plan | None, source: ModelSource, placement: Placement) -> Inventory:
    """The plan of an inventory with no `auto` left, and with its batches."""
    compute = resolve(inventory.plan, inventory, frozen, source, placement)
    return with_frozen_batches(replace(inventory, plan=inventory.plan.model_copy(update={"compute": compute})), frozen)


def with_frozen_batches(inventory: Inventory, frozen: Plan | None) -> Inventory:
    """The plan of an inventory with its batches, those of the frozen plan where nothing of them has changed."""
    return replace(inventory, plan=with_batches(inventory.plan, inventory.pending, frozen))


def resolve(
    plan: Plan, inventory: Inventory, frozen: Plan | None, source: ModelSource, placement: Placement
) -> ComputeSettings:
    """The plan's compute settings without any `auto`.

    A run that goes on with what the frozen plan has begun keeps its choices, since they decide the last bits.
    """
    asked, device = plan.compute, placement.first_device
    if asked.compile not in (False, "auto") and not can_compile(device):
        needed = "Triton" if device.type == "cuda" else "a C++ compiler (g++ or clang++)"
        value = "true" if asked.compile is True else asked.compile
        raise RequestError(f"compile: {value} needs {needed}, and there is none for {device}", "Leave `compile:` out.")
    left = {name for name, value in asked if value == "auto"}
    if not left:
        return asked
    chosen = _earlier(inventory, frozen)
    if chosen is None:
        sizes = chosen_sizes(plan, source, device, placement.sharing)
        sized = asked.model_copy(update={name: size for name, size in sizes.items() if name in left})
        plan = with_batches(plan.model_copy(update={"compute": sized}), inventory.pending, frozen)
        chosen = {**sizes, "compile": _compiles(plan, inventory, source, placement)}
    return asked.model_copy(update={name: chosen[name] for name in left})


def _earlier(inventory: Inventory, frozen: Plan | None) -> dict[str, Any] | None:
    """The choices of the frozen plan, where what is left to do is what it has begun, or nothing is left."""
    if frozen is None or any(value == "auto" for _, value in frozen.compute):
        return None
    known = set(frozen.jobs)
    pending = [job for job, _ in inventory.pending]
    return dict(frozen.compute) if not pending or any(job in known for job in pending) else None


def _compiles(plan: Plan, inventory: Inventory, source: ModelSource, placement: Placement) -> bool | Work:
    device = placement.first_device
    described, batches = described_device(device, plan.compute.threads), batches_of(plan, placement.shard)
    expected = expected_of(inventory, batches, source.folder, described, placement.workers)
    seconds: dict[Work, float] = {"learning": expected.learning, "drawing": expected.drawing}
    each = {work: total / expected.workers for work, total in seconds.items()}
    return what_pays(each, device, compiled_folder(source.components["unet"], device, plan.model.dtype))
