"""The U-Net alone: seconds a call forward, and forward and back to the text states, against the counted floor.

    python benchmarks/unet_speed.py learning|drawing --model FOLDER --samples 64 [--device cuda]

prints how long the first compiled call takes with what the cache folder holds, and how far off its gradient is: one
line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from device_clock import Clock, peak_gib, reset_peak
from learning_loop import loaded
from torch.nn.attention import SDPBackend

from crossinit_batch.methods.method import FORWARD_AND_BACK
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import WORKS, Work, compile_unet, gradient_error
from crossinit_batch.model.device import choose_device, repeating_exactly, resolve_dtype
from crossinit_batch.model.flops import Architecture
from crossinit_batch.model.micro_batch import is_out_of_memory, release_memory

WAYS = {"forward": 1.0, "forward and back": FORWARD_AND_BACK}
"""What is measured, in counted ways forward."""
ATTENTION = {
    "cuda": [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
    "cpu": [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH],
}


@dataclass(frozen=True)
class Speed:
    """Seconds a call with so many samples; `of_floor` is the part of the matrix products' speed that was reached.

    `problem` says why there is nothing.
    """

    variant: str
    work: str
    samples: int
    seconds: float = 0.0
    tflops: float = 0.0
    of_floor: float = 0.0
    peak_gib: float = 0.0
    problem: str = ""


class UnetSpeed:
    """Calls of one model's U-Net through the same door as the program's, with random numbers."""

    def __init__(self, model: BaseModel, repeats: int) -> None:
        self.model, self.repeats = model, repeats
        self.side = int(model.unet.config.sample_size)
        self.flops = Architecture.read(model.source.folder).noise_prediction(self.side).flops
        self.matrix_flops = matrix_speed(model.device, model.dtype)

    def sweep(self, variant: str, sizes: tuple[int, ...], works: tuple[str, ...] = tuple(WAYS)) -> list[Speed]:
        """Every work at every size, as the model is now."""
        return [self.measure(variant, work, samples) for work in works for samples in sizes]

    def attentions(self, sizes: tuple[int, ...]) -> list[Speed]:
        """The sweep by each way of attention that the device may have, and no other."""
        found: list[Speed] = []
        before = self.model.attention
        for backend in ATTENTION.get(self.model.device.type, []):
            self.model.attention = [backend]
            found += self.sweep(f"attention: {backend.name.partition('_')[0].lower()}", sizes)
        self.model.attention = before
        return found

    def repeating(self, sizes: tuple[int, ...]) -> list[Speed]:
        """Forward and back as the program learns: with the same bits every time."""
        with repeating_exactly(self.model.device):
            return self.sweep("repeating exactly", sizes, ("forward and back",))

    def compiled(self, learned: int, drawn: int) -> list[Speed]:
        """Both ways with so many samples, of a model whose compiled code is there."""
        with repeating_exactly(self.model.device):
            learning = self.measure("compiled, repeating exactly", "forward and back", learned)
        return [self.measure("compiled", "forward", drawn), learning]

    @contextmanager
    def channels_last(self) -> Iterator[None]:
        """While open, weights lie in that order, and activations after them."""
        self.model.unet.to(memory_format=torch.channels_last)
        try:
            yield
        finally:
            self.model.unet.to(memory_format=torch.contiguous_format)

    def measure(self, variant: str, work: str, samples: int) -> Speed:
        """The median of some calls after a first one."""
        device = self.model.device
        reset_peak(device)
        try:
            self.call(work, samples)
            seconds = statistics.median(self.call(work, samples) for _ in range(self.repeats))
        except (RuntimeError, MemoryError) as error:
            problem = "out of memory" if is_out_of_memory(error) else "not on this device"
        else:
            done = samples * self.flops * WAYS[work] / seconds
            return Speed(variant, work, samples, seconds, done / 1e12, done / self.matrix_flops, peak_gib(device))
        release_memory()
        return Speed(variant, work, samples, problem=problem)

    def call(self, work: str, samples: int) -> float:
        """One call; its seconds."""
        model, device = self.model, self.model.device
        generator = torch.Generator().manual_seed(0)
        shape = (samples, int(model.unet.config.in_channels), self.side, self.side)
        latents = torch.randn(shape, generator=generator).to(device)
        states = torch.randn((samples, model.context_length, model.width), generator=generator).to(device)
        timesteps = torch.full((samples,), 500, device=device)
        back = work != "forward"
        states.requires_grad_(back)
        clock = Clock(device)
        with torch.set_grad_enabled(back):
            loss = model.predict_noise(latents, timesteps, states).square().mean()
            if back:
                torch.autograd.grad(loss, states)
        return clock.read().wall


@dataclass(frozen=True)
class FirstCall:
    """Seconds until a compiled work has its first result, and how far its gradient is off (None of drawing)."""

    work: str
    seconds: float
    gradient_error: float | None = None


def first_call(model: BaseModel, work: Work, samples: int) -> FirstCall:
    """Compile the U-Net for a work and a shape, by calling it."""
    compile_unet(model, str(model.dtype).removeprefix("torch."), [work])
    clock = Clock(model.device)
    error = gradient_error(model, samples) if work == "learning" else None
    if work == "drawing":
        UnetSpeed(model, repeats=1).call("forward", samples)
    return FirstCall(work, clock.read().wall, error)


def matrix_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a product of two large matrices, at its best: what counts are held against."""
    side = 8192 if device.type == "cuda" else 1024
    one = torch.randn(side, side, device=device).to(dtype)
    times = []
    for _ in range(10):
        clock = Clock(device)
        torch.mm(one, one)
        times.append(clock.read().wall)
    return float(2 * side**3 / min(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--model", default="demo", help="a folder in diffusers' layout, or demo")
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--device", help="such as cuda; the best one if left out")
    options = parser.parse_args()
    device = choose_device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # as a worker computes there; code compiled for more would not be taken up
    model = loaded(options.model, str(device), resolve_dtype("auto", device))
    print(json.dumps(asdict(first_call(model, options.work, options.samples))))


if __name__ == "__main__":
    main()
