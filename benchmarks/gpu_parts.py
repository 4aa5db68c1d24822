"""The parts of gpu.py, each of which measures one thing with models that it loads and lets go of."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from crossinit_run import environment
from device_clock import Clock, peak_gib, reset_peak
from drawing_rate import drawing_rate
from learning_loop import crossinit_loop, loaded, peer_loop, repeats_exactly, subject_of
from peer_textual_inversion import PeerDrawing, PeerLearning
from unet_speed import UnetSpeed, first_call

from crossinit_batch.demo.faces import write_faces
from crossinit_batch.images.encode import encode_picture
from crossinit_batch.images.infotext import PictureFacts
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import Work
from crossinit_batch.model.device import choose_device, resolve_dtype
from crossinit_batch.model.flops import Architecture
from crossinit_batch.model.micro_batch import release_memory
from crossinit_batch.plan.batch_sizes import decoded_together


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
        self.compiling: list[dict[str, Any]] = []
        self.compilers: dict[str, subprocess.Popen[str]] = {}
        self.on_part: Callable[[], None] = lambda: None

    def part(self, name: str, seconds: float, measure: Callable[[], Any]) -> Any:
        """What is measured, or None where the time left would not do for it, or where it fails.

        Before it, `on_part` is told, so that what earlier parts have found can be kept.
        """
        self.on_part()
        if time.monotonic() + seconds > self.ends:
            self.left_out.append(name)
            return None
        began = time.monotonic()
        try:
            found = measure()
        except (Exception, SystemExit) as error:  # the other parts have cost too much to be lost
            traceback.print_exc()
            self.left_out.append(f"{name} (failed: {str(error).partition(chr(10))[0]})")
            found = None
        release_memory()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        return found

    def learning(self) -> list[dict[str, Any]]:
        """Seconds an identity, by how many are learned at once."""
        model = loaded(self.model, str(self.device), self.dtype)
        rows = [self._learning(model, self.faces[:identities]) for identities in self.sizes.identities]
        rows[-1]["repeats_exactly"] = repeats_exactly(model, self.faces, steps=2, batch=BATCH)
        return rows

    def _learning(self, model: BaseModel, faces: list[Path]) -> dict[str, Any]:
        subject_of(model, faces[0])
        clock = Clock(self.device)
        subject_of(model, faces[0])
        encoding = clock.read().wall
        loop = crossinit_loop(
            model, faces, steps=self.sizes.loop_steps, batch=BATCH, on_warm=lambda: reset_peak(self.device)
        )
        compiled = model.compiled_learning is not None
        learned = _learned(loop.step_of_one.wall, encoding, self.device)
        return {"identities": len(faces), "compiled": compiled, **learned}

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

    def finishing(self) -> dict[str, float]:
        """Seconds a picture of decoding it, many together, and of making a file of it by one thread."""
        model = loaded(self.model, str(self.device), self.dtype)
        side, channels = model.native_size // model.latent_scale, int(model.unet.config.in_channels)
        model.decoding.size = decoded_together(Architecture.read(model.source.folder), side)
        latents = torch.randn((self.sizes.pictures, channels, side, side), generator=torch.Generator().manual_seed(0))
        latents = latents.to(self.device)
        model.decode(latents)
        clock = Clock(self.device)
        pixels = model.decode(latents)
        decoding = clock.read().wall / len(latents)
        facts = PictureFacts(
            prompt="a photo of a person", steps=50, sampler="DPM++ 2M", guidance=7.5, seed=0, width=pixels.shape[2],
            height=pixels.shape[1], model="sd21", model_hash="", identity="ada", method="cross-init",
            template="a photo of a {} person", image_index=0, version="benchmark",
        )  # fmt: skip
        clock = Clock(self.device)
        for picture in pixels:
            encode_picture(picture, facts)
        return {"decoding_seconds": decoding, "encoding_seconds": clock.read().wall / len(pixels)}

    def unet(self) -> dict[str, Any]:
        """The U-Net eager, by each way of attention, and channels_last."""
        speed = UnetSpeed(loaded(self.model, str(self.device), self.dtype), self.sizes.repeats)
        found = [*speed.sweep("eager", self.sizes.samples), *speed.repeating(self.sizes.samples)]
        found += speed.attentions(self.sizes.samples)
        with speed.channels_last():
            found += speed.sweep("channels_last", self.sizes.samples)
        counted = {"tflop_a_sample": speed.flops / 1e12, "matrix_tflops": speed.matrix_flops / 1e12}
        return {**counted, "speeds": [asdict(one) for one in found]}

    def _start_compiling(self) -> None:
        """Compile in processes of their own, from an empty cache, after what they would slow down."""
        script = Path(__file__).with_name("unet_speed.py")
        for work, samples in self._compiled_samples.items():
            words = [work, f"--model={self.model}", f"--device={self.device}", f"--samples={samples}"]
            command = [sys.executable, str(script), *words]
            self.compilers[work] = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)

    def compiled(self) -> dict[str, Any]:
        """The U-Net compiled for both works, with the cache that other processes leave: its speed, and learning."""
        self._start_compiling()
        for work, process in self.compilers.items():
            printed, _ = process.communicate(timeout=max(self.ends - time.monotonic(), 1))
            if process.returncode:
                self.left_out.append(f"compiling for {work} with an empty cache (ended with {process.returncode})")
            else:
                self.compiling.append({"cache": "empty", **json.loads(printed.splitlines()[-1])})
        model = loaded(self.model, str(self.device), self.dtype)
        for work, samples in self._compiled_samples.items():
            self.compiling.append({"cache": "full", **asdict(first_call(model, work, samples))})
        speeds = UnetSpeed(model, self.sizes.repeats).compiled(*self._compiled_samples.values())
        return {"speeds": [asdict(speed) for speed in speeds], "learning": self._learning(model, self.faces)}

    def stop_compiling(self) -> None:
        """End the processes that still compile."""
        for process in self.compilers.values():
            process.kill()
            process.wait()

    @property
    def _compiled_samples(self) -> dict[Work, int]:
        """Samples of a U-Net call in each work; a picture is drawn with its prompt and without."""
        return {"learning": BATCH * max(self.sizes.identities), "drawing": 2 * self.sizes.pictures}

    @property
    def model_folder(self) -> Path:
        from crossinit_batch.model.source import fetched_model
        from crossinit_batch.settings import ModelSettings

        return fetched_model(ModelSettings(id=self.model)).folder


def _learned(step: float, encoding: float, device: torch.device) -> dict[str, Any]:
    """A step's seconds, and those of an identity that are extrapolated from them."""
    whole = {f"seconds_at_{steps}_steps": encoding + steps * step for steps in LEARNING_STEPS}
    return {"step_seconds": step, "encoding_seconds": encoding, **whole, "peak_gib": peak_gib(device)}
