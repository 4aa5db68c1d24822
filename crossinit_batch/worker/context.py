"""What a worker needs to know about the run it works for."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crossinit_batch import __version__
from crossinit_batch.events import Reporter
from crossinit_batch.plan.plan import Plan
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.stopping import StopRequest


@dataclass(frozen=True)
class RunContext:
    """The frozen plan, the store, the reporter, and the stop request.

    `scores_only`: nothing is learned or drawn, what is drawn is scored.
    """

    plan: Plan
    store: Store
    report: Reporter
    stop: StopRequest
    allow_pickle: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    scores_only: bool = False

    def run_facts(self, seconds: float) -> dict[str, Any]:
        """The entries of a receipt that differ from run to run."""
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
