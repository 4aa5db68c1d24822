"""Pictures a second as the program draws them: denoised, decoded, encoded and saved, as a run's own events tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from crossinit_run import Request
from device_clock import peak_gib, reset_peak

from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.events import DenoiseStepDone, Event, ImagesDone
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.model.micro_batch import release_memory
from crossinit_batch.runner.run import run_manifest
from crossinit_batch.worker.stopping import StopRequest

BATCHES = 3
"""That are drawn; the first is not counted."""


@dataclass(frozen=True)
class DrawingRate:
    """Seconds a picture of `steps` denoising steps, once a run is under way.

    From the end of the first batch's denoising to the end of the last one's: as many decodings as denoisings, while the
    files of earlier batches are made beside them. `tail_seconds` is what comes after it once a run, the last batch's
    decoding and whatever files are still to be written.
    """

    steps: int
    together: int
    compiled: bool
    seconds_a_picture: float
    tail_seconds: float
    peak_gib: float


@dataclass
class _Times:
    """When batches were denoised, and pictures saved."""

    denoised: list[float] = field(default_factory=list)
    saved: list[float] = field(default_factory=list)
    pictures: int = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, DenoiseStepDone) and event.step == event.steps:
            self.denoised.append(time.perf_counter())
        if isinstance(event, ImagesDone):
            self.saved.append(time.perf_counter())
            self.pictures += event.images


def drawing_rate(
    model: str,
    picture: Path,
    scratch: Path,
    *,
    device: torch.device,
    dtype: str,
    steps: int,
    together: int,
    compiled: bool = False,
) -> DrawingRate:
    """Draw one person in batches of so many pictures, by a whole run of the program in this process."""
    prompts = [f"a photo of a {{}} person, number {number}" for number in range(BATCHES)]
    request = Request(model, [picture], prompts, together, steps=1, batch=1, denoise_steps=steps, dtype=dtype)
    name = f"drawn-{steps}-{'compiled' if compiled else 'eager'}"
    manifest = request.write(
        scratch / f"{name}.yaml",
        scratch / name,
        images_per_batch=together,
        compile="drawing" if compiled else False,
        samples_per_pass=1,
    )
    reset_peak(device)
    times = _Times()
    result = run_manifest(load_manifest(manifest), times, StopRequest(), RunOptions(str(device)))
    if result.exit_code or len(times.denoised) != BATCHES or times.pictures != BATCHES * together:
        told = f"{times.pictures} pictures of {len(times.denoised)} batches were saved"
        raise SystemExit(f"{manifest}: {told}, not {BATCHES} of {together}: {result.failures}")
    first, last = times.denoised[0], times.denoised[-1]
    seconds = (last - first) / ((BATCHES - 1) * together)
    found = DrawingRate(steps, together, compiled, seconds, times.saved[-1] - last, peak_gib(device))
    release_memory()
    return found
