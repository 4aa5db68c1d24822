"""The engine of one machine and one device: its worker, in this process, does every batch in the plan's order."""

from __future__ import annotations

from crossinit_batch.base_model import Counters
from crossinit_batch.context import RunContext
from crossinit_batch.errors import Interrupted
from crossinit_batch.model_source import ModelSource
from crossinit_batch.worker import Worker


def run_local(context: RunContext, source: ModelSource | None, device: str) -> Counters:
    """Do all batches of the plan that are not done; the counters of what that took. Interrupted where asked to stop."""
    import torch

    counters = Counters()
    worker = Worker(context, source, torch.device(device), counters)
    for batch in context.pending_batches:
        if context.stop:
            raise Interrupted("stopped between two batches")
        worker.do(batch)
    return counters
