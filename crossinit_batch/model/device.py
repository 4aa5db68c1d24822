"""Which devices a run uses, and in which precision, as accelerate's state sees the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import is_bf16_available
from torch import Tensor
from torch.nn.attention import SDPBackend

from crossinit_batch.errors import RequestError
from crossinit_batch.model.device_speed import Device, asked_threads, processor_name

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(asked: str | None = None) -> torch.device:
    """The device asked for, or the one that accelerate chooses; RequestError for one that is not there.

    An accelerator with a number becomes this process's current one.
    """
    if asked is None:
        return _best_device()
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
        if device.type != "cpu" and device.index is not None:
            torch.accelerator.set_device_index(device.index)
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RequestError(
            f"device {asked!r} cannot be used: {reason}",
            "Leave it out, or name one such as cpu, cuda or cuda:1.",
        ) from None
    return device


def known_device(asked: str) -> str:
    """The device asked for, checked without taking memory on it, as another process will use it."""
    try:
        device = torch.device(asked)
    except RuntimeError:
        return str(choose_device(asked))
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if found is not None and device.type == found.type and (device.index or 0) < torch.accelerator.device_count():
        return str(device)
    return str(choose_device(asked))


def all_devices() -> tuple[str, ...]:
    """Every device of the kind that accelerate chooses: cuda:0, cuda:1, …; on a machine without any, cpu."""
    kind = _best_device().type
    if kind == "cpu":
        return ("cpu",)
    count = torch.accelerator.device_count() if torch.accelerator.is_available() else 1
    return tuple(f"{kind}:{number}" for number in range(count)) if count > 1 else (kind,)


def _best_device() -> torch.device:
    """accelerate's choice for one process: with a launcher's LOCAL_RANK it would join a process group and wait."""
    rank = os.environ.pop("LOCAL_RANK", None)
    try:
        device: torch.device = PartialState().device
    finally:
        if rank is not None:
            os.environ["LOCAL_RANK"] = rank
    return device


@contextlib.contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Compute on the CPU with so many threads while open, unless the user says how many by OMP_NUM_THREADS.

    Sums over more threads round otherwise, so the number must not depend on the machine or on the number of workers.
    """
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; the copy to a GPU is asynchronous."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@contextlib.contextmanager
def repeating_exactly(device: torch.device) -> Iterator[None]:
    """Make gradients on a GPU deterministic while open.

    The fastest backward passes of attention sum in whatever order their threads end. RuntimeError where an operation
    has no deterministic form.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it matrix products refuse
    memory: Any = torch.utils.deterministic
    before, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # uninitialized memory is never read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled


def resolve_dtype(asked: str, device: torch.device) -> str:
    """The U-Net's precision: as asked, or for `auto` bfloat16 on GPUs that have it and float32 elsewhere."""
    if asked != "auto":
        return asked
    if device.type == "cuda":  # accelerate also counts GPUs that only emulate it, slower than float32
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = device.type == "xpu" and is_bf16_available()
    return "bfloat16" if has_bfloat16 else "float32"


def device_name(device: torch.device) -> str:
    """A device's model, as its maker names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name() if device.type == "cpu" else device.type


def described_device(device: torch.device, threads: int) -> Device:
    """A device as earlier runs have recorded it; `threads` are a processor's, as planned."""
    threads = asked_threads(threads) if device.type == "cpu" else 1
    return Device(device.type, device_name(device), threads)


def attention_backends(device: torch.device) -> list[SDPBackend] | None:
    """The attention backends to try, best first; None leaves the choice to torch.

    From Hopper on, cuDNN's is the fastest, and does not take every shape.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (9, 0):
        return None
    return [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]
