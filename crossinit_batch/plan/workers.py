"""How many workers a run has and on how many devices, found without torch, so that `plan` stays light."""

from __future__ import annotations

from dataclasses import dataclass

from crossinit_batch.model.device_speed import (
    Device,
    asked_threads,
    cores,
    count_gpus,
    present_device,
    processor_name,
)


@dataclass(frozen=True)
class Workers:
    """So many workers on so many devices of one kind, all on this machine."""

    count: int = 1
    devices: int = 1

    def turns(self, device: Device, busy: int) -> float:
        """How many times as long as alone each takes with so many busy: they take turns on a GPU, or on the cores."""
        slots = self.devices if device.kind != "cpu" else cores() / device.threads
        return max(busy / slots, 1.0)


def likely_workers(devices: str | None, workers: int | None) -> Workers:
    """The workers that a run with these options would have."""
    count = len(set(devices.split(","))) if devices else max(count_gpus(), 1)
    return Workers(workers or count, min(count, workers or count))


def likely_device(devices: str | None, threads: int) -> Device:
    """The device that they would compute on."""
    if devices and devices.startswith("cpu"):
        return Device("cpu", processor_name(), asked_threads(threads))
    return present_device(threads)
