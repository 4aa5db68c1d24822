"""The parts of gpu.py, each of which measures one thing with models that it loads and lets go of."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from crossinit_run import environment
from device_clock import Clock, peak_gib, reset_peak
from drawing_rate import drawing_rate
from learning_loop import crossinit_loop, loaded, peer_loop, subject_of
from peer_textual_inversion import PeerDrawing, PeerLearning
from timed_process import timed
from unet_speed import UnetSpeed, compiled_call

from crossinit_batch.demo.faces import write_faces
from crossinit_batch.device import choose_device, resolve_dtype
from crossinit_batch.micro_batch import release_memory


@dataclass(frozen=True)
class Sizes:
    """How much is measured: samples a U-Net call, identities at once, pictures at once, denoising steps, repeats."""

    samples: tuple[int, ...]
    identities: tuple[int, ...]
    pictures: int
    peer_pictures: int
    denoise_steps: tuple[int, ...]
    loop_steps: int
    repeats: int
    compiles: bool = True

    @property
    def drawing_samples(self) -> int:
        """Samples of a U-Net call while drawing: each picture with its prompt and without."""
        return 2 * self.pictures


FULL = Sizes((8, 16, 32, 64), (1, 4, 8), 32, 8, (50, 25), 5, 5)
SMALL = Sizes((2, 4, 8), (1, 4, 8), 4, 4, (50, 25), 2, 2)
SMOKE = Sizes((1, 2), (1, 2), 1, 1, (2, 1), 1, 1, compiles=False)
LEARNING_STEPS = (320, 25)
BATCH = 8


class Bench:
    """The parts of the benchmark on one device, as long as its time lasts."""

    def __init__(self, options: argparse.Namespace, sizes: Sizes, model: str, scratch: Path) -> None:
        self.sizes, self.model, self.scratch = sizes, model, scratch
        self.device = choose_device(options.device)
        self.dtype = resolve_dtype("auto", self.device)
        self.ends = time.monotonic() + 60 * options.minutes
        self.left_out: list[str] = []
        self.faces = write_faces(max(sizes.identities), scratch / "faces")
        self.alone = scratch / "alone"
        write_faces(1, self.alone)
        self.compiling: dict[str, float] = {}

    def part(self, name: str, seconds: float, measure: Callable[[], Any]) -> Any:
        """What is measured, or None where the time left would not do for it."""
        if time.monotonic() + seconds > self.ends:
            self.left_out.append(name)
            return None
        began = time.monotonic()
        found = measure()
        release_memory()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        return found

    def learning(self) -> list[dict[str, Any]]:
        """Seconds an identity, by how many are learned at once."""
        model, rows = loaded(self.model, str(self.device), self.dtype), []
        subject_of(model, self.faces[0])
        clock = Clock(self.device)
        subject_of(model, self.faces[0])
        encoding = clock.read().wall
        for identities in self.sizes.identities:
            loop = crossinit_loop(
                model,
                self.faces[:identities],
                steps=self.sizes.loop_steps,
                batch=BATCH,
                on_warm=lambda: reset_peak(self.device),
            )
            rows.append({"identities": identities, **_learned(loop.step_of_one.wall, encoding, self.device)})
        return rows

    def peer_learning(self, precision: str) -> dict[str, Any]:
        """The peer's seconds an identity; it reads and encodes the picture in every step."""
        torch.set_float32_matmul_precision("highest")  # the script's default; ours has set another
        reset_peak(self.device)
        loop = peer_loop(
            self.model_folder, self.alone, steps=self.sizes.loop_steps, batch=BATCH, device=str(self.device),
            precision=precision,
        )  # fmt: skip
        return {"precision": precision, **_learned(loop.total.wall / loop.steps, 0.0, self.device)}

    def peer_drawing(self) -> list[dict[str, Any]]:
        """The peer's seconds a picture: one call for all pictures of a prompt, then saved one by one."""
        where = {"device": str(self.device), "precision": self.dtype}
        embedding = self.scratch / "peer/learned_embeds.safetensors"
        learning = PeerLearning(self.model_folder, self.alone, batch=1, **where)
        learning.save(embedding)
        del learning
        release_memory()
        reset_peak(self.device)
        drawing, rows = PeerDrawing(self.model_folder, embedding, **where), []
        images = self.sizes.peer_pictures
        for steps in (1, *self.sizes.denoise_steps):
            clock = Clock(self.device)
            drawing.draw("a photo of a {} person", self.scratch / "peer", images=images, steps=steps, guidance=7.5)
            seconds = clock.read().wall / images
            rows.append({"steps": steps, "pictures": images, "seconds_a_picture": seconds})
        return [{**row, "precision": self.dtype, "peak_gib": peak_gib(self.device)} for row in rows[1:]]

    def drawing(self, steps: int, compiled: bool = False) -> dict[str, Any]:
        """Our seconds a picture."""
        found = drawing_rate(
            self.model, self.faces[0], self.scratch, device=self.device, dtype=self.dtype, steps=steps,
            together=self.sizes.pictures, compiled=compiled,
        )  # fmt: skip
        return asdict(found)

    def unet(self) -> dict[str, Any]:
        """The U-Net eager, by each way of attention, and channels_last."""
        speed = UnetSpeed(loaded(self.model, str(self.device), self.dtype), self.sizes.repeats)
        found = [*speed.sweep("eager", self.sizes.samples), *speed.attentions(self.sizes.samples)]
        with speed.channels_last():
            found += speed.sweep("channels_last", self.sizes.samples)
        counted = {"tflop_a_sample": speed.flops / 1e12, "matrix_tflops": speed.matrix_flops / 1e12}
        return {**counted, "speeds": [asdict(one) for one in found]}

    def compiled_unet(self) -> list[dict[str, Any]]:
        """The U-Net compiled for the shape that drawing has, from an empty cache, then the same in a new process."""
        model = loaded(self.model, str(self.device), self.dtype)
        self.compiling["cold"], found = compiled_call(model, self.sizes.drawing_samples, self.sizes.repeats)
        words = [f"--model={self.model}", f"--device={self.device}", f"--samples={self.sizes.drawing_samples}"]
        script = Path(__file__).with_name("unet_speed.py")
        _, printed = timed([sys.executable, str(script), *words], environment())
        self.compiling["warm"] = json.loads(printed.splitlines()[-1])["seconds"]
        return [asdict(found)]

    @property
    def model_folder(self) -> Path:
        from crossinit_batch.model_source import fetched_model
        from crossinit_batch.settings import ModelSettings

        return fetched_model(ModelSettings(id=self.model)).folder


def _learned(step: float, encoding: float, device: torch.device) -> dict[str, Any]:
    """A step's seconds, and those of an identity that are extrapolated from them."""
    whole = {f"seconds_at_{steps}_steps": encoding + steps * step for steps in LEARNING_STEPS}
    return {"step_seconds": step, "encoding_seconds": encoding, **whole, "peak_gib": peak_gib(device)}
