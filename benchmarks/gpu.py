"""What a GPU makes of it: the true Stable Diffusion 2.1-base architecture with random weights, in eight minutes.

    python benchmarks/gpu.py [--folder FOLDER] [--minutes 8] [--small] [--device cuda]

U-Net      forward, and forward and back to the text states, at several sizes: eager, by each way of attention,
           channels_last, compiled; in TFLOP/s of counted work, and as a part of the speed of large matrix products.
learning   seconds a step for 1, 4 and 8 identities at once, 8 samples each; what 320 and 25 steps of it come to,
           with the two encodes of the picture, is extrapolated from a few measured steps.
drawing    seconds a picture at 50 and 25 denoising steps with guidance, decoded and saved, by a run of the program.
compiling  seconds until the first compiled call is done, with an empty cache and, in a new process, with a full one.
peer       the same learning and drawing the way of peer_textual_inversion.py, on the same device, at that script's
           usual float32 and in bfloat16.

What does not fit into the minutes is left out and named. `--small` takes the bundled small model, for machines without
a GPU: it proves that the script works, and its figures say nothing of a GPU. Prints tables; `results/gpu.json` (or
`gpu-small.json`) keeps them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # before its import, which speaks of torchvision

import torch
from architectures import SD21, make_architecture
from crossinit_run import environment
from device_clock import Clock, peak_gib, reset_peak
from drawing_rate import drawing_rate
from gpu_report import GOALS, print_report, reached
from learning_loop import crossinit_loop, loaded, peer_loop, subject_of
from machine import machine
from peer_textual_inversion import PeerDrawing, PeerLearning
from results_file import RESULTS, write_results
from timed_process import timed
from unet_speed import UnetSpeed

from crossinit_batch.compilation import can_compile, compile_unet
from crossinit_batch.demo.faces import write_faces
from crossinit_batch.device import choose_device, device_name, resolve_dtype
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
        self.compiling["cold"], found = compiled_call(self.model, self.device, self.dtype, self.sizes)
        words = [f"--model={self.model}", f"--device={self.device}", "--compile-only"]
        _, printed = timed([sys.executable, __file__, *words, *_flags(self.sizes)], environment())
        self.compiling["warm"] = json.loads(printed.splitlines()[-1])["seconds"]
        return found

    @property
    def model_folder(self) -> Path:
        from crossinit_batch.model_source import fetched_model
        from crossinit_batch.settings import ModelSettings

        return fetched_model(ModelSettings(id=self.model)).folder


def measure(bench: Bench) -> dict[str, Any]:
    """All parts, what matters most first; each with the seconds that it needs on an H200."""
    sizes, precisions = bench.sizes, dict.fromkeys([bench.dtype, "float32"])
    unet = bench.part("U-Net", 40, bench.unet)
    learning = bench.part("learning", 30, bench.learning)
    peer_learning = [
        bench.part(f"peer's learning in {precision}", 30, lambda precision=precision: bench.peer_learning(precision))
        for precision in precisions
    ]
    drawing = [
        bench.part(f"drawing in {steps} steps", 40, lambda steps=steps: bench.drawing(steps))
        for steps in sizes.denoise_steps
    ]
    peer_drawing = bench.part("peer's drawing", 40, bench.peer_drawing)
    if sizes.compiles and can_compile(bench.device):
        compiled = bench.part("compiling", 180, bench.compiled_unet)
        if compiled and unet:
            unet["speeds"] += compiled
            steps = sizes.denoise_steps[0]
            drawing.append(bench.part(f"drawing in {steps} steps, compiled", 60, lambda: bench.drawing(steps, True)))
    else:
        bench.left_out.append("compiling")
    return {
        "unet": unet,
        "learning": learning,
        "drawing": [row for row in drawing if row],
        "compiling": bench.compiling,
        "peer": {"learning": [row for row in peer_learning if row], "drawing": peer_drawing},
        "left_out": bench.left_out,
    }


def compiled_call(model: str, device: torch.device, dtype: str, sizes: Sizes) -> tuple[float, list[dict[str, Any]]]:
    """Seconds until the first compiled call of a shape is done, and the speed of those after it."""
    speed = UnetSpeed(loaded(model, str(device), dtype), sizes.repeats)
    compile_unet(speed.model, dtype)
    samples = 2 * sizes.pictures
    first = speed.call("forward", samples)
    return first, [asdict(speed.measure("compiled", "forward", samples))]


def _learned(step: float, encoding: float, device: torch.device) -> dict[str, Any]:
    """A step's seconds, and those of an identity that are extrapolated from them."""
    whole = {f"seconds_at_{steps}_steps": encoding + steps * step for steps in LEARNING_STEPS}
    return {"step_seconds": step, "encoding_seconds": encoding, **whole, "peak_gib": peak_gib(device)}


def main() -> None:
    options = _options()
    sizes = SMOKE if options.smoke else SMALL if options.small else FULL
    if options.compile_only:
        device = choose_device(options.device)
        seconds, _ = compiled_call(options.model, device, resolve_dtype("auto", device), sizes)
        print(json.dumps({"seconds": seconds}))
        return
    small = options.small or options.smoke
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSINIT_CACHE"] = f"{scratch}/cache"
        model = options.model if small else str(_architecture(Path(options.folder or f"{scratch}/sd21")))
        bench = Bench(options, sizes, model, Path(scratch))
        bench.ends -= time.monotonic() - began
        found = measure(bench)
    facts = {
        **machine(),
        "device": str(bench.device),
        "gpu": device_name(bench.device) if bench.device.type != "cpu" else None,
        "dtype": bench.dtype,
        "model": model if small else "Stable Diffusion 2.1-base's architecture, random weights",
        "seconds": round(time.monotonic() - began),
        **found,
    }
    facts["goals"] = [] if small else reached(facts, GOALS)
    print_report(facts)
    write_results(options.output or RESULTS / ("gpu-small.json" if small else "gpu.json"), facts)


def _architecture(folder: Path) -> Path:
    """The pipeline with random weights, made unless it is there."""
    if not (folder / "model_index.json").is_file():
        make_architecture(folder, SD21)
    return folder


def _flags(sizes: Sizes) -> list[str]:
    return ["--smoke"] if sizes is SMOKE else ["--small"] if sizes is SMALL else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="make (or find) the pipeline with random weights here, and keep it")
    parser.add_argument("--device", help="such as cuda; the best one if left out")
    parser.add_argument("--minutes", type=float, default=8.0, help="what does not fit into them is left out")
    parser.add_argument("--small", action="store_true", help="the bundled small model, for a processor")
    parser.add_argument("--smoke", action="store_true", help="the least of everything, and nothing compiled")
    parser.add_argument("--model", default="demo", help="of --small and --smoke: a folder, or demo")
    parser.add_argument("--compile-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="the JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
