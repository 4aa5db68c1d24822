"""What a GPU makes of it: the true Stable Diffusion 2.1-base architecture with random weights, in eight minutes.

    python benchmarks/gpu.py [--folder FOLDER] [--minutes 8] [--small] [--device cuda]

U-Net      forward, and forward and back to the text states, at several sizes: eager, by each way of attention,
           channels_last, compiled; in TFLOP/s of counted work, and as a part of the speed of large matrix products.
learning   seconds a step for 1, 4 and 8 identities at once, 8 samples each; what 320 and 25 steps of it come to,
           with the two encodes of the picture, is extrapolated from a few measured steps.
drawing    seconds a picture at 50 and 25 denoising steps with guidance, decoded and saved, by a run of the program;
           and what decoding a picture and making a file of it take alone.
compiling  seconds until the first compiled call is done, with an empty cache (both works at once, by a process each)
           and with a full one, and how far its gradient is off; then learning and drawing with it.
peer       the same learning and drawing the way of peer_textual_inversion.py, on the same device, at that script's
           usual float32 and in bfloat16.

What does not fit into the minutes is left out and named; what has been found is kept after every part. `--small` takes
the bundled small model, for machines without a GPU: it proves that the script works, and its figures say nothing of a
GPU. Prints tables; `results/gpu.json` (or `gpu-small.json`) keeps them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # before its import, which speaks of torchvision

import torch
from architectures import SD21, make_architecture
from gpu_parts import FULL, SMALL, SMOKE, Bench
from gpu_report import GOALS, print_report, reached
from machine import machine
from results_file import RESULTS, keep_results

from crossinit_batch.model.compilation import can_compile
from crossinit_batch.model.device import choose_device, device_name


def measure(bench: Bench, found: dict[str, Any]) -> None:
    """All parts into `found`, what matters most first; each with the seconds that it needs on an H200."""
    found["unet"] = bench.part("U-Net", 50, bench.unet)
    found["learning"] = bench.part("learning", 30, bench.learning) or []
    compiled = None
    if bench.sizes.compiles and can_compile(bench.device):
        compiled = bench.part("compiling", 150, bench.compiled)
    else:
        bench.left_out.append("compiling")
    if compiled:
        if found["unet"]:
            found["unet"]["speeds"] += compiled["speeds"]
        found["learning"].append(compiled["learning"])
    _peer_learning(bench, found, bench.dtype)
    for number, steps in enumerate(bench.sizes.denoise_steps):
        if compiled:
            _drawing(bench, found, steps, compiled=True)
        if number == 0:
            found["peer"]["drawing"] = bench.part("peer's drawing", 30, bench.peer_drawing)
        _drawing(bench, found, steps)
    found["finishing"] = bench.part("decoding and encoding", 15, bench.finishing)
    if bench.dtype != "float32":
        _peer_learning(bench, found, "float32")


def _peer_learning(bench: Bench, found: dict[str, Any], precision: str) -> None:
    row = bench.part(f"peer's learning in {precision}", 25, lambda: bench.peer_learning(precision))
    found["peer"]["learning"] += [row] if row else []


def _drawing(bench: Bench, found: dict[str, Any], steps: int, compiled: bool = False) -> None:
    name = f"drawing in {steps} steps{', compiled' if compiled else ''}"
    row = bench.part(name, 30, lambda: bench.drawing(steps, compiled))
    found["drawing"] += [row] if row else []


def main() -> None:
    options = _options()
    file = options.output or RESULTS / ("gpu-small.json" if options.small or options.smoke else "gpu.json")
    sizes = SMOKE if options.smoke else SMALL if options.small else FULL
    small = options.small or options.smoke
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSINIT_CACHE"] = f"{scratch}/cache"
        device = choose_device(options.device)
        if device.type == "cpu":
            torch.set_num_threads(1)  # as a worker computes there, and the peer then too
        model = options.model if small else str(_architecture(Path(options.folder or f"{scratch}/sd21"), device))
        bench = Bench(options, sizes, model, Path(scratch))
        bench.ends -= time.monotonic() - began
        found = _nothing_yet(bench, None if small else "Stable Diffusion 2.1-base's architecture, random weights")

        def keep() -> None:
            found["seconds"] = round(time.monotonic() - began)
            found["goals"] = [] if small else reached(found, GOALS)
            keep_results(file, found)

        bench.on_part = keep
        try:
            measure(bench, found)
        except KeyboardInterrupt:
            bench.left_out.append("what was to come when it was interrupted")
        finally:
            bench.stop_compiling()
            keep()
    print_report(found)
    print(f"kept in {file}")


def _nothing_yet(bench: Bench, model: str | None) -> dict[str, Any]:
    """What is known before anything is measured, and places for what will be."""
    return {
        **machine(),
        "device": str(bench.device),
        "gpu": device_name(bench.device) if bench.device.type != "cpu" else None,
        "dtype": bench.dtype,
        "model": model or bench.model,
        "seconds": 0,
        "unet": None,
        "learning": [],
        "drawing": [],
        "finishing": None,
        "peer": {"learning": [], "drawing": None},
        "compiling": bench.compiling,
        "left_out": bench.left_out,
        "goals": [],
    }


def _architecture(folder: Path, device: torch.device) -> Path:
    """The pipeline with random weights, made unless it is there."""
    if not (folder / "model_index.json").is_file():
        make_architecture(folder, SD21, str(device))
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="make (or find) the pipeline with random weights here, and keep it")
    parser.add_argument("--device", help="such as cuda; the best one if left out")
    parser.add_argument("--minutes", type=float, default=8.0, help="what does not fit into them is left out")
    parser.add_argument("--small", action="store_true", help="the bundled small model, for a processor")
    parser.add_argument("--smoke", action="store_true", help="the least of everything, and nothing compiled")
    parser.add_argument("--model", default="demo", help="of --small and --smoke: a folder, or demo")
    parser.add_argument("--output", type=Path, help="the JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
