"""Compiling the U-Net with torch's compiler: when it pays, where the compiled code is kept, and whether it is right.

Compiled gradients are not taken on trust: on a processor, torch 2.13's choice of memory layouts made them wrong by two
fifths while the loss was right to the last digit. So layouts stay as they are there, and on any device,
before a worker learns with compiled code, its gradient is compared with the plain one's.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from crossinit_batch.digest import digest_of
from crossinit_batch.model.device import device_name, repeating_exactly
from crossinit_batch.storage.cache import cache_folder

if TYPE_CHECKING:
    from crossinit_batch.model.base_model import BaseModel  # with diffusers, which deciding what pays does not need

Work = Literal["learning", "drawing"]
WORKS: tuple[Work, Work] = ("learning", "drawing")

_COMPILERS = ("g++", "clang++", "c++")
_TOLERANCES = {torch.float32: 1e-3}
_TOLERANCE = 0.1
"""In half precision, whose rounding alone moves a gradient by hundredths."""


@dataclass(frozen=True)
class _Gain:
    """What compiling is worth on a kind of device: the fraction of time saved, and its own seconds, cold and cached."""

    saved: float
    cold: float
    warm: float


_GAINS = {
    "cuda": {"learning": _Gain(0.1, 80.0, 11.0), "drawing": _Gain(0.2, 45.0, 7.0)},
    "cpu": {"learning": _Gain(0.2, 200.0, 12.0), "drawing": _Gain(0.2, 100.0, 8.0)},
}
_MARGIN = 1.5
"""How many times its cost compiling must save before it is worth its risks."""


def what_pays(seconds: Mapping[Work, float], device: torch.device, folder: Path) -> bool | Work:
    """For which work compiling saves more than it takes, as the manifest's `compile` has it.

    `seconds` are what one worker will spend on each work; `folder` is where the code would be kept.
    """
    if not can_compile(device):
        return False
    paid = [work for work in WORKS if _pays(work, seconds[work], device, folder)]
    return len(paid) == len(WORKS) or (paid[0] if paid else False)


def _pays(work: Work, seconds: float, device: torch.device, folder: Path) -> bool:
    """Whether it pays for a worker that has so many seconds of a work: each of them compiles."""
    gain = _GAINS[device.type][work]
    cost = gain.warm if _mark(folder, work).exists() else gain.cold
    return seconds * gain.saved > _MARGIN * cost


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


def _mark(folder: Path, work: Work) -> Path:
    """The marker file of a work whose code has been compiled into a folder."""
    return folder / f"{work}.done"


def compile_unet(model: BaseModel, dtype: str, works: Sequence[Work] = WORKS) -> None:
    """Have works compiled at the first call of each shape, or taken from what an earlier run has left."""
    folder = compiled_folder(model.source.components["unet"], model.device, dtype)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TORCHINDUCTOR_FX_GRAPH_CACHE"] = os.environ["TORCHINDUCTOR_AUTOGRAD_CACHE"] = "1"
    # The choice of layouts is most of the gain on a GPU; on a processor it made gradients wrong.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"layout_optimization": model.device.type == "cuda"}
    compiled = torch.compile(model.unet, dynamic=False, options=options)
    for work in works:
        setattr(model, f"compiled_{work}", compiled)


def keep_compiled(model: BaseModel, dtype: str, work: Work) -> None:
    """Note for the next plan that a work has been compiled."""
    folder = compiled_folder(model.source.components["unet"], model.device, dtype)
    if folder.is_dir():
        _mark(folder, work).touch()


def gradient_error(model: BaseModel, samples: int) -> float:
    """How far compiled code's gradient is from the plain one's with so many samples, ‖g' - g‖ / ‖g‖.

    By a caption's states, with the U-Net's prediction of random noise. Compiles, if that is not done yet.
    """
    plain, compiled = (_gradient(model, unet, samples) for unet in (model.unet, model.compiled_learning))
    return float((compiled - plain).norm() / plain.norm())


def is_rounding(error: float, dtype: torch.dtype) -> bool:
    """Whether a gradient's error may come from rounding in this precision; what is not a number does not."""
    return error <= _TOLERANCES.get(dtype, _TOLERANCE)


def _gradient(model: BaseModel, unet: Any, samples: int) -> Tensor:
    """The gradient of the mean squared prediction by the text states, (samples, length, width).

    The states are of real words: random ones drive attention to its limits, where rounding alone is ten times as much.
    """
    generator = torch.Generator().manual_seed(0)
    side, channels = int(model.unet.config.sample_size), int(model.unet.config.in_channels)
    latents = torch.randn((samples, channels, side, side), generator=generator).to(model.device)
    with torch.no_grad():
        states = model.encode_text(model.caption("a photo of a person", tokens=0).ids).repeat(samples, 1, 1)
    train_steps = int(model.noise_scheduler.config.num_train_timesteps)
    timesteps = torch.randint(train_steps, (samples,), generator=generator).to(model.device)
    states.requires_grad_()
    with repeating_exactly(model.device):  # as while learning, for which other code is compiled
        errors = model.noise_by(unet, latents, timesteps, states).square().flatten(1).mean(dim=1)
        (gradient,) = torch.autograd.grad(errors.sum(), states)
    return gradient
