"""How long work took, kept for the next plan on this device."""

from __future__ import annotations

import time
from collections import defaultdict

import torch

from crossinit_batch.model.device import described_device
from crossinit_batch.model.device_speed import remember
from crossinit_batch.plan.estimate import START
from crossinit_batch.worker import start_clock
from crossinit_batch.worker.context import RunContext


class Timings:
    """Seconds and pieces of each work of a batch of jobs, summed up until `keep`."""

    def __init__(self, context: RunContext, device: torch.device) -> None:
        self.context, self.device = context, device
        self.seconds: dict[str, float] = defaultdict(float)
        self.pieces: dict[str, float] = defaultdict(float)

    def clock(self) -> float:
        """A time in seconds, of which two make a duration: a CPU's without what it does for others meanwhile."""
        return time.thread_time() if self.device.type == "cpu" else time.monotonic()

    def add(self, work: str, seconds: float, pieces: float) -> None:
        """So many pieces (samples, pictures) took so many seconds."""
        self.seconds[work] += seconds
        self.pieces[work] += pieces

    def keep(self) -> None:
        """Write down what a piece of each work took."""
        for work, seconds in self.seconds.items():
            _keep(self.context, self.device, work, seconds, self.pieces[work])


def keep_start(context: RunContext, device: torch.device) -> None:
    """Record once how long this process, if it is our own program, took until its model was loaded, which is now."""
    if began := start_clock.take():
        on_cpu = device.type == "cpu"
        seconds = time.process_time() - began.processor if on_cpu else time.monotonic() - began.wall
        _keep(context, device, START, seconds, 1)


def _keep(context: RunContext, device: torch.device, work: str, seconds: float, pieces: float) -> None:
    plan = context.plan
    described = described_device(device, plan.compute.threads)
    remember(described, plan.model.fingerprint, plan.model.dtype, work, seconds, pieces)
