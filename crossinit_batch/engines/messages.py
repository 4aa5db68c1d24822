"""Messages between the run's process and its worker processes, besides the events of `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossinit_batch.model.counters import Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.plan import Plan
from crossinit_batch.storage.leases import Claim


@dataclass(frozen=True)
class Brief:
    """All that a worker process receives at its start; `output` is the folder's full address.

    Without a `source` nothing is learned or drawn, only scored.
    """

    plan: Plan
    output: str
    claim: Claim | None
    source: ModelSource | None
    device: str
    allow_pickle: bool
    facts: dict[str, Any]


@dataclass(frozen=True)
class Stop:
    """Save and end, asked by signal `number`."""

    number: int


@dataclass(frozen=True)
class Ready:
    """The worker has its device and waits for a task."""

    counters: Counters


@dataclass(frozen=True)
class TaskDone:
    """The task has ended, with or without failures; `counters` are what it took."""

    counters: Counters


@dataclass(frozen=True)
class Stopped:
    """The worker has saved what it did and ends; `message` says where it was."""

    message: str


@dataclass(frozen=True)
class Lost:
    """The worker cannot go on and ends: its device, or something else that it needs, failed."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """No worker can do this run, such as with a damaged model: the error to show the user."""

    error: Exception
