"""Which device this worker uses, and in which precision, as accelerate's state sees the machine."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.utils import is_bf16_available

from crossinit_batch.errors import RequestError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(asked: str | None = None) -> torch.device:
    """The device asked for, or the one that accelerate chooses; RequestError for one that is not there."""
    if asked is None:
        device: torch.device = PartialState().device
        return device
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RequestError(
            f"device {asked!r} cannot be used: {reason}",
            "Leave --device out, or name one such as cpu, cuda or cuda:1.",
        ) from None
    return device


def resolve_dtype(asked: str, device: torch.device) -> str:
    """The U-Net's precision: as asked, or for `auto` bfloat16 on GPUs that have it and float32 elsewhere."""
    if asked != "auto":
        return asked
    if device.type == "cuda":  # accelerate also counts GPUs that only emulate it, slower than float32
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = device.type == "xpu" and is_bf16_available()
    return "bfloat16" if has_bfloat16 else "float32"
