"""The true Stable Diffusion 2.1-base architecture with random weights, through the whole program.

    python benchmarks/sd21_architecture.py [--folder FOLDER] [--dtype float32] [--device cpu] [--part whole|half]

Makes a pipeline folder of the real sizes (866 M U-Net, 340 M text encoder, 84 M autoencoder) in half precision.
`whole` runs a manifest of one drawn face on it (two optimisation steps at batch 1, one two-step picture of
512 x 512); `half` loads the U-Net in bfloat16 and takes one step forward and backward on latents of 8 x 8, since a
processor without bfloat16 instructions would take hours for the whole. Prints seconds and peak memory of each phase;
`results/sd21_architecture-<part>.json` keeps them. Random weights draw nothing, but cost what real ones do.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from architectures import SD21, make_architecture
from machine import machine
from results_file import RESULTS, write_results


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSINIT_CACHE"] = f"{scratch}/cache"
        model = Path(options.folder or f"{scratch}/sd21")
        if not (model / "model_index.json").is_file():
            began = time.monotonic()
            sizes = make_architecture(model, SD21)
            print(f"made {model} in {time.monotonic() - began:.0f} s: {sizes}")
        phases = Phases()
        if options.part == "whole":
            measure_whole(model, Path(scratch), options.dtype, options.device, phases)
        else:
            measure_half(model, options.device, phases)
    facts = {
        **machine(),
        **torch_facts(),
        "dtype": options.dtype if options.part == "whole" else "bfloat16",
        "phases": phases.rows,
    }
    write_results(RESULTS / f"sd21_architecture-{options.part}.json", facts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="make (or find) the pipeline here and keep it")
    parser.add_argument("--part", default="whole", choices=["whole", "half"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", help="such as cpu or cuda; the best one if left out")
    return parser.parse_args()


class Phases:
    """Seconds and the process's peak memory at the end of each phase, printed as they pass."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        self.latest = time.monotonic()

    def end(self, phase: str) -> None:
        now = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        self.rows[phase] = {"seconds": round(now - self.latest, 2), "peak_gib": round(peak, 2)}
        print(f"{phase:32} {now - self.latest:8.1f} s   peak so far {peak:5.1f} GiB", flush=True)
        self.latest = now


def measure_whole(model: Path, scratch: Path, dtype: str, device: str | None, phases: Phases) -> None:
    """Run one face on the model, and note time and memory whenever a phase ends."""
    from crossinit_batch.demo.faces import write_faces
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.events import ArtifactDone, DenoiseStepDone, Event, ImagesDone, Note, RunStarted, StepDone
    from crossinit_batch.manifest.load import load_manifest
    from crossinit_batch.runner.run import run_manifest
    from crossinit_batch.worker.stopping import StopRequest

    photograph = write_faces(1, scratch / "faces")[0]
    manifest = scratch / "manifest.yaml"
    manifest.write_text(
        f"version: 1\nmodel: {{id: {model.resolve()}, dtype: {dtype}}}\noutput: out\n"
        f"identities: [{{id: one, images: {photograph}}}]\n"
        "methods: [{name: two-steps, use: cross-init, steps: 2, batch_size: 1}]\n"
        "prompts: ['a photo of a {} person']\nrender: {images_per_prompt: 1, steps: 2}\n"
        "compute: {images_per_batch: 1}\n"
    )

    def report(event: Event) -> None:
        match event:
            case RunStarted():
                phases.end("hash model, plan")
            case Note():
                phases.end("load model, initial vector")
            case StepDone():
                phases.end("encode pictures, step 1" if event.step == 1 else "step 2")
            case ArtifactDone():
                phases.end("store embedding")
            case DenoiseStepDone():
                phases.end("encode prompts, denoise step 1" if event.step == 1 else "denoise step 2")
            case ImagesDone():
                phases.end("decode, store picture")

    result = run_manifest(load_manifest(manifest), report, StopRequest(), RunOptions(device))
    if result.exit_code:
        raise SystemExit(f"the run failed: {result.failures}")


def measure_half(model: Path, device: str | None, phases: Phases) -> None:
    """Load the U-Net in bfloat16, and take the loss of small latents forward and back to v."""
    import torch

    from crossinit_batch.methods.embedding.initial_vector import initial_vector
    from crossinit_batch.methods.embedding.settings import InitSettings
    from crossinit_batch.model.base_model import BaseModel
    from crossinit_batch.model.device import choose_device
    from crossinit_batch.model.source import fetched_model
    from crossinit_batch.settings import ModelSettings

    source = fetched_model(ModelSettings(id=str(model.resolve())))
    phases.end("hash model")
    loaded = BaseModel.load(source, choose_device(device), "bfloat16")
    phases.end("load model")
    start, _ = initial_vector(loaded, InitSettings())
    phases.end("initial vector")
    v = start.v_init.to(loaded.device)[None].requires_grad_()
    caption = loaded.caption("a photo of a face of {} person", tokens=v.shape[1])
    states = loaded.encode_text(caption.ids, torch.tensor([caption.slot]), v)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(loaded.device)
    loss = loaded.predict_noise(noise, torch.tensor([500], device=loaded.device), states).square().mean()
    phases.end("forward, 8 x 8 latents")
    loss.backward()
    phases.end("backward to v")
    if not (torch.isfinite(loss) and v.grad is not None and torch.isfinite(v.grad).all() and v.grad.any()):
        raise SystemExit("loss or gradient is not finite, or no gradient reached v")


def torch_facts() -> dict[str, object]:
    """The threads that torch computes with, and the most GPU memory that it held."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "gpu_peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
    }


if __name__ == "__main__":
    main()
