"""When this process began to get ready: how long it takes until a model is loaded is kept for the next plan."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Beginning:
    """A moment, in wall seconds and in processor seconds of this process."""

    wall: float
    processor: float


_beginning: Beginning | None = None


def start() -> None:
    """This process begins now."""
    global _beginning
    _beginning = Beginning(time.monotonic(), time.process_time())


def take() -> Beginning | None:
    """When this process began, once; None where `start` was not called, as in a program that calls ours."""
    global _beginning
    taken, _beginning = _beginning, None
    return taken
