"""What a worker needs to know about the run it works for."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crossinit_batch import __version__
from crossinit_batch.events import Reporter
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import Job, JobBatch, Plan
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.stopping import StopRequest


@dataclass(frozen=True)
class RunContext:
    """The frozen plan, the store, whom to tell, and whether to stop; `inventory` is how the run found the folder.

    `scores_only`: nothing is learned or drawn, what is drawn is scored.
    """

    plan: Plan
    store: Store
    inventory: Inventory
    report: Reporter
    stop: StopRequest
    allow_pickle: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    scores_only: bool = False

    @property
    def pending_batches(self) -> list[JobBatch]:
        """The plan's batches that have something left to do."""
        return self.inventory.pending_of(self.plan.batches)

    def jobs_of(self, batch: JobBatch) -> list[Job]:
        """The jobs of a batch, in its order."""
        return [self.inventory.states[batch.method, identity].job for identity in batch.identities]

    def run_facts(self, seconds: float) -> dict[str, Any]:
        """The part of a receipt that differs from run to run."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return {"seconds": round(seconds, 3), "finished": now, **self.facts}


def machine_facts(device: str, dtype: str) -> dict[str, Any]:
    """Device, precision, and the versions that may decide the last bits."""
    packages = ("torch", "diffusers", "transformers")
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "device": device,
        "dtype": dtype,
        "versions": {"crossinit": __version__, "python": platform.python_version(), **versions},
    }
