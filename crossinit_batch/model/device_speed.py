"""How fast the present device is: from earlier runs on it if there were any, else from a short measurement and a table.

Nothing here imports torch: `plan` estimates a run before anything heavy is loaded.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.digest import digest_of
from crossinit_batch.model.flops import Count
from crossinit_batch.storage.cache import cache_folder
from crossinit_batch.storage.reading import read_file

_GPU_INFORMATION = "/proc/driver/nvidia/gpus"
_GPUS = {"H200": 300e12, "H100": 300e12, "GH200": 320e12, "B200": 500e12, "A100": 110e12, "A800": 110e12,
         "L40S": 110e12, "4090": 110e12, "3090": 45e12, "A10": 45e12, "V100": 45e12, "T4": 20e12}  # fmt: skip
"""Operations a second that a U-Net in half precision reaches on a card; a fraction of the nominal figure."""
_UNKNOWN_GPU = 40e12
_GPU_KERNEL = 40e-6
_CPU_KERNEL = 17e-6
"""Seconds from one kernel's start to the next one's, as Python and torch take them."""
_OF_MATRIX_SPEED = 0.6
"""The fraction of the speed of large matrix products that convolutions of all sizes reach."""
_PASSES = 6
"""Memory transfers, both ways, for each number that a layer writes, later operations on it included."""


_TELLING = 0.5
"""Seconds from which a measurement is meaningful: shorter ones are mostly start-up."""


@dataclass(frozen=True)
class Device:
    """A device's kind (cpu, cuda) and name, with the threads that a processor may use."""

    kind: str
    name: str
    threads: int = 1


@dataclass(frozen=True)
class Speed:
    """Operations and bytes a second, and seconds a kernel; a GPU computes while the host starts the next kernels."""

    flops: float
    bandwidth: float
    kernel: float
    overlaps: bool = False

    def seconds(self, count: Count, samples: int) -> float:
        """The time of one call with so many samples, of which `count` is one."""
        started = count.kernels * self.kernel
        computed = samples * (count.flops / self.flops + _PASSES * 4 * count.numbers / self.bandwidth)
        return max(started, computed) if self.overlaps else started + computed


def present_device(threads: int = 1) -> Device:
    """The device that a run would take, if nobody names another; `threads` are a processor's, as planned."""
    for information in _gpus():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                return Device("cuda", line.partition(":")[2].strip())
    return Device("cpu", processor_name(), asked_threads(threads))


def count_gpus() -> int:
    """How many of this machine's GPUs a run would take: all, or those that CUDA_VISIBLE_DEVICES names."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(_gpus())
    return there if visible is None else min(there, len([name for name in visible.split(",") if name.strip()]))


def _gpus() -> list[Path]:
    return sorted(Path(_GPU_INFORMATION).glob("*/information"))


def processor_name() -> str:
    """The processor's model, as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def asked_threads(planned: int) -> int:
    """The threads that a worker computes with: as OMP_NUM_THREADS says, else as planned."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else planned


def cores() -> int:
    """The cores that this process may use, which a scheduler may have made fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def typical_speed(device: Device) -> Speed:
    """What a device of this name, or this processor by a short measurement, can be expected to reach."""
    if device.kind == "cuda":
        flops = next((flops for name, flops in _GPUS.items() if name in device.name), _UNKNOWN_GPU)
        return Speed(flops, float("inf"), _GPU_KERNEL, overlaps=True)
    share = device.threads / asked_threads(cores())  # numpy takes every core
    return Speed(_OF_MATRIX_SPEED * _matrix_speed() * min(share, 1.0), _copy_speed(), _CPU_KERNEL)


def _matrix_speed() -> float:
    """Operations a second of a product of two matrices of float32, at its best."""
    import numpy as np

    side = 512
    one = np.ones((side, side), dtype=np.float32)
    return 2 * side**3 / _best_time(lambda: one @ one)


def _copy_speed() -> float:
    """Bytes a second that are read or written when an array is copied, at its best."""
    import numpy as np

    source = np.ones(4 << 20, dtype=np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best_time(lambda: np.copyto(target, source))


def _best_time(do: Callable[[], Any]) -> float:
    """The shortest time of some tries, as other work on the machine only ever adds."""
    times = []
    for _ in range(8):
        began = time.perf_counter()
        do()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)


def observed(device: Device, fingerprint: str, dtype: str) -> dict[str, float]:
    """Seconds a piece of each work that the last run of this model on this device took; empty where there was none."""
    try:
        rates = json.loads(read_file(_note(device, fingerprint, dtype), 2**16))
        return {str(work): float(seconds) for work, seconds in rates.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def remember(device: Device, fingerprint: str, dtype: str, work: str, seconds: float, pieces: float) -> None:
    """Keep what a work took for the next plan; a cache that cannot be written only costs the plan's exactness."""
    if seconds < _TELLING or pieces <= 0:
        return
    note = _note(device, fingerprint, dtype)
    rates = observed(device, fingerprint, dtype) | {work: seconds / pieces}
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        made = note.with_name(f"{note.name}.{os.getpid()}")
        made.write_text(json.dumps(rates))
        made.replace(note)
    except OSError:
        return


def _note(device: Device, fingerprint: str, dtype: str) -> Path:
    parts = {"device": [device.kind, device.name, device.threads], "model": fingerprint, "dtype": dtype}
    return cache_folder() / "pace" / f"{digest_of('pace', parts)[:32]}.json"
