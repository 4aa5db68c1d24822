"""Compiling the U-Net with torch's compiler: when it pays, and where the compiled code is kept.

Drawing alone is compiled. Gradients of compiled code differed from the ones they should be by more than rounding does
(torch 2.13 on a processor), and drawing is nine tenths of a full run.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from crossinit_batch.base_model import BaseModel
from crossinit_batch.cache import cache_folder
from crossinit_batch.cost import Estimate
from crossinit_batch.device import device_name
from crossinit_batch.digest import digest_of

_COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True)
class _Gain:
    """What compiling is worth on a kind of device: the part of the time saved, and seconds, cold and with a cache."""

    saved: float
    cold: float
    warm: float


_GAINS = {"cuda": _Gain(0.23, 100.0, 6.0), "cpu": _Gain(0.1, 400.0, 20.0)}
_MARGIN = 1.5
"""How many times its cost compiling must save before it is worth its risks."""


def compiling_pays(expected: Estimate, device: torch.device, folder: Path) -> bool:
    """Whether compiling saves more than it takes in a run of this length; `folder` is where the code would be kept."""
    gain = _GAINS.get(device.type)
    if gain is None or not can_compile(device):
        return False
    cost = gain.warm if folder.is_dir() and any(folder.iterdir()) else gain.cold
    drawing = expected.drawing / expected.workers  # each worker compiles
    return drawing * gain.saved > _MARGIN * cost


def can_compile(device: torch.device) -> bool:
    """Whether what torch's compiler needs is there: Triton for a GPU, a C++ compiler for a processor."""
    if device.type == "cuda":
        return importlib.util.find_spec("triton") is not None
    names = (os.environ.get("CXX") or "", *_COMPILERS)
    return device.type == "cpu" and any(shutil.which(name) for name in names if name)


def compiled_folder(unet: str, device: torch.device, dtype: str) -> Path:
    """Where the compiled code of a U-Net (by its files' digest) for a device and this version of torch is kept."""
    parts = {"unet": unet, "device": device_name(device), "dtype": dtype, "torch": torch.__version__}
    return cache_folder() / "compiled" / digest_of("compiled", parts)[:32]


def compile_unet(model: BaseModel, dtype: str) -> None:
    """Have drawing compiled at its first call of each shape, or taken from what an earlier run has left."""
    folder = compiled_folder(model.source.components["unet"], model.device, dtype)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TORCHINDUCTOR_FX_GRAPH_CACHE"] = os.environ["TORCHINDUCTOR_AUTOGRAD_CACHE"] = "1"
    if model.device.type == "cuda":  # without compiling, each norm would copy between the two memory formats
        model.unet.to(memory_format=torch.channels_last)
    model.compiled_unet = torch.compile(model.unet, dynamic=False)
