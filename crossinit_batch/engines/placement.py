"""Who does a run and where: which devices of this machine, in which processes, and which shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from crossinit_batch.engines.launcher import Launch, find_launch, find_shard
from crossinit_batch.errors import RequestError
from crossinit_batch.model.device import all_devices, choose_device, known_device
from crossinit_batch.plan.estimate import Workers
from crossinit_batch.plan.shard import Shard, parse_shard


@dataclass(frozen=True)
class RunOptions:
    """How this run is done; nothing here changes a result.

    `device` names one device; `devices` and `workers` ask for worker processes; `shard` is one such as 3/16;
    `stuck_after` is the minutes without a message after which a worker process is replaced, 0 for never;
    `require_locks` refuses an output folder that cannot be locked.
    """

    device: str | None = None
    allow_pickle: bool = False
    devices: str | None = None
    workers: int | None = None
    shard: str | None = None
    stuck_after: float = 60.0
    require_locks: bool = False

    @property
    def worker_timeout(self) -> float:
        """Seconds without a message after which a worker process is replaced, 0 for never."""
        return self.stuck_after * 60


@dataclass(frozen=True)
class Placement:
    """A device for every worker, and the shard that this process does, None for the complete run.

    Where not `supervised` the one worker is in this process, else each is in a process of its own.
    """

    devices: tuple[str, ...]
    supervised: bool
    shard: Shard | None

    @property
    def shard_name(self) -> str | None:
        """The name of the shard in the output folder, None for the complete run."""
        return self.shard.name if self.shard else None

    @property
    def first_device(self) -> torch.device:
        """The device whose kind decides the precision."""
        return torch.device(self.devices[0])

    @property
    def workers(self) -> Workers:
        """The workers in numbers."""
        return Workers(len(self.devices), len(set(self.devices)))

    @property
    def sharing(self) -> int:
        """The most workers that there are on one device."""
        return max(Counter(self.devices).values())

    @property
    def label(self) -> str:
        """The devices for display: cpu, or 2 x cpu, or cuda:0 and cuda:1."""
        kinds = {name: self.devices.count(name) for name in dict.fromkeys(self.devices)}
        return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in kinds.items())


def place(options: RunOptions, environ: Mapping[str, str]) -> Placement:
    """The placement of a run, by options and a launcher's or scheduler's variables; RequestError if they conflict."""
    launch = find_launch(environ)
    shard = parse_shard(options.shard) if options.shard else find_shard(environ)
    if launch is not None:
        return _launched(options, launch, shard, environ)
    if options.device is not None and (options.devices or options.workers):
        raise RequestError("--device names the one device of a run", "Use --devices and --workers without it.")
    if options.device is not None:
        return Placement((str(choose_device(options.device)),), False, shard)
    devices = _named(options.devices) if options.devices else all_devices()
    count = options.workers or len(devices)
    devices = tuple(devices[number % len(devices)] for number in range(count))
    supervised = count > 1 or options.workers is not None or options.devices is not None
    return Placement(devices, supervised, shard)


def _launched(options: RunOptions, launch: Launch, shard: Shard | None, environ: Mapping[str, str]) -> Placement:
    """One process of a launcher: one worker, on the device with the process's number on this machine.

    The launcher's processes split the shard of an array task among them; a Kubernetes index counts the same pods
    as RANK does, so there RANK alone decides.
    """
    if options.devices or options.workers:
        raise RequestError(
            f"{launch.launcher} says that a launcher starts the processes here, {launch.shard.count} of them: "
            "--devices and --workers do not go with it",
            "Leave them out: each process takes its part and one device. Or start crossinit without the launcher.",
        )
    if shard is not None and not options.shard and "SLURM_ARRAY_TASK_ID" not in environ:
        shard = None
    own_shard = shard.split(launch.shard.index, launch.shard.count) if shard else launch.shard
    if options.device is not None:
        device = str(choose_device(options.device))
    else:
        devices = all_devices()
        device = devices[launch.local_rank % len(devices)]
    return Placement((device,), False, own_shard)


def _named(text: str) -> tuple[str, ...]:
    """The devices of an option like cuda:0,cuda:1, each of which is there."""
    names = tuple(name.strip() for name in text.split(","))
    devices = tuple(known_device(name) for name in names)
    if len({device.partition(":")[0] for device in devices}) > 1:
        raise RequestError(
            f"--devices {text}: these are of different kinds",
            "Name devices of one kind: a run has one precision, which goes by the device.",
        )
    return devices
