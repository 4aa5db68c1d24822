"""Time spent inside a process, on a device that works through a queue."""

from __future__ import annotations

import resource
import time

import torch
from timed_process import Cost


class Clock:
    """Wall and processor seconds since it was made, the device's queued work included."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._wait()
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def _wait(self) -> None:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)

    def read(self) -> Cost:
        self._wait()
        return Cost(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def reset_peak(device: torch.device) -> None:
    """Forget how much memory was held before, where the device knows."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float:
    """The most memory held: on a GPU since `reset_peak`, else by this process since it began."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
