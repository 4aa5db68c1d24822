"""The engine of one device: its worker, in this process, does one task after another."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch.errors import Interrupted
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.device import choose_device, computing_with
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.task import Task
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.worker import Worker


def run_local(context: RunContext, source: ModelSource | None, device: str, tasks: Sequence[Task]) -> Counters:
    """Do the tasks; the counters of what that took. Interrupted where asked to stop, DeviceLost where it broke."""
    counters = Counters()
    with computing_with(context.plan.compute.threads):
        worker = Worker(context, source, choose_device(device), counters)
        for task in tasks:
            if context.stop:
                raise Interrupted("stopped between two batches")
            worker.do(task)
    return counters
