"""What is left of a plan, and how long it will take: counted work times the speed of the device.

wall = start + (learning + drawing) / workers, where start is importing and loading, the same however much there is to
do; learning grows with identities x steps x batch size, drawing with pictures x evaluations of the U-Net, plus a decode
each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crossinit_batch.architecture import Architecture
from crossinit_batch.device_speed import Device, observed, present_device, typical_speed
from crossinit_batch.inventory import Inventory, JobState
from crossinit_batch.plan import Plan

BACKWARD = 1.1
"""The way back from the loss to v, in ways forward: the frozen weights need no gradients (2.08 ways in all)."""
LEARNING, DECODING = "learning", "decoding"
"""Names of rates; `drawing` gives the third."""
_IMPORTING = 5.0
"""Seconds until torch, diffusers and transformers are there."""
_CONTEXT = 5.0
"""Seconds until a GPU takes work."""
_LOADING = 1.5e9
"""Bytes of weights a second."""


@dataclass(frozen=True)
class Work:
    """What is left to do; U-Net samples, forward and back in `optimisation_samples`, forward in `denoising_samples`.

    `judgements` are the pictures that judges have yet to look at.
    """

    embeddings: int
    pictures: int
    optimisation_samples: int
    denoising_samples: int
    judgements: int = 0


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker on a device: until it works, learning, drawing; `measured` where earlier runs say so."""

    device: Device
    start: float
    learning: float
    drawing: float
    measured: bool

    @property
    def device_seconds(self) -> float:
        """The device's work, without the start."""
        return self.learning + self.drawing

    @property
    def wall(self) -> float:
        """From the command to its end."""
        return self.start + self.device_seconds if self.device_seconds else self.start / 2


def work_left(inventory: Inventory) -> Work:
    """Count what the jobs of a plan still need."""
    plan = inventory.plan
    new = [state for state in inventory.states.values() if not state.has_embedding]
    missing = sum(plan.pictures_a_job - len(state.pictures) for state in inventory.states.values())
    samples = sum(_samples(plan, state) for state in new)
    judged = sum(inventory.pictures_scored(state) for state in inventory.states.values())
    judgements = len(plan.jobs) * plan.pictures_a_job - judged if plan.judges else 0
    return Work(len(new), missing, samples, missing * plan.render.evaluations, judgements)


def _samples(plan: Plan, state: JobState) -> int:
    if state.job.source is not None:
        return 0
    settings = plan.method(state.job.method).learned
    return settings.steps * settings.batch_size


def estimate(plan: Plan, work: Work, folder: Path, device: Device | None = None) -> Estimate:
    """How long work of a plan will take with the model in a folder, on the present device if none is given."""
    device = device or present_device(plan.compute.threads)
    automatic = "bfloat16" if device.kind == "cuda" else "float32"
    dtype = automatic if plan.model.dtype == "auto" else plan.model.dtype
    rates = observed(device, plan.model.fingerprint, dtype)
    needed = {LEARNING: work.optimisation_samples, drawing(plan): work.denoising_samples, DECODING: work.pictures}
    measured = all(name in rates for name, pieces in needed.items() if pieces and name != DECODING)
    rates = {**counted_rates(plan, Architecture.read(folder), device), **rates}
    seconds = {name: pieces * rates[name] for name, pieces in needed.items() if pieces}
    learned = seconds.pop(LEARNING, 0.0)
    return Estimate(device, start_seconds(folder, device), learned, sum(seconds.values()), measured)


def drawing(plan: Plan) -> str:
    """The name of the rate of drawing, which depends on the pictures' size."""
    return f"drawing-{plan.render.size or 'native'}"


def counted_rates(plan: Plan, architecture: Architecture, device: Device) -> dict[str, float]:
    """Seconds a sample forward and back, a sample forward and a picture decoded, from counts and the typical speed."""
    speed = typical_speed(device)
    unet, text = architecture.noise_prediction(architecture.latent_side(None)), architecture.text_encoding
    batch = max((method.settings.batch_size for method in plan.methods if method.settings), default=1)
    batch *= plan.compute.identities
    side = architecture.latent_side(plan.render.size)
    pictures = plan.compute.pictures
    drawn = architecture.noise_prediction(side)
    return {
        LEARNING: speed.seconds((unet + text) * (1 + BACKWARD), batch) / batch,
        drawing(plan): speed.seconds(drawn, 2 * pictures) / (2 * pictures),
        DECODING: speed.seconds(architecture.picture_decoding(side), 1),
    }


def start_seconds(folder: Path, device: Device) -> float:
    """From the command until the model is loaded."""
    weights = sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))
    return _IMPORTING + weights / _LOADING + (_CONTEXT if device.kind == "cuda" else 0.0)
