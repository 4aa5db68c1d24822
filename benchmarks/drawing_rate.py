"""Pictures a second as the program draws them: denoised, decoded, encoded and saved, as a run's own events tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from crossinit_run import Request
from device_clock import peak_gib, reset_peak

from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.events import Event, ImagesDone
from crossinit_batch.manifest import load_manifest
from crossinit_batch.micro_batch import release_memory
from crossinit_batch.run import run_manifest
from crossinit_batch.stopping import StopRequest

BATCHES = 3
"""That are drawn; the first is not counted."""


@dataclass(frozen=True)
class DrawingRate:
    """Seconds a picture of `steps` denoising steps, from the first batch's last file to the last batch's."""

    steps: int
    together: int
    compiled: bool
    seconds_a_picture: float
    peak_gib: float


@dataclass
class _SaveTimes:
    """When batches of pictures were saved."""

    times: list[float] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, ImagesDone):
            self.times.append(time.perf_counter())


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
        scratch / f"{name}.yaml", scratch / name, images_per_batch=together, compile=compiled, samples_per_pass=1
    )
    reset_peak(device)
    saved = _SaveTimes()
    result = run_manifest(load_manifest(manifest), saved, StopRequest(), RunOptions(str(device)))
    if result.exit_code or len(saved.times) != BATCHES:
        raise SystemExit(f"{manifest}: {len(saved.times)} of {BATCHES} batches were saved: {result.failures}")
    seconds = (saved.times[-1] - saved.times[0]) / ((BATCHES - 1) * together)
    found = DrawingRate(steps, together, compiled, seconds, peak_gib(device))
    release_memory()
    return found
