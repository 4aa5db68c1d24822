"""The true Stable Diffusion 2.1-base architecture with random weights, through the whole program.

    python benchmarks/sd21_architecture.py [--folder FOLDER] [--dtype bfloat16] [--device cpu]

Makes a pipeline folder of the real sizes (866 M U-Net, 340 M text encoder, 84 M autoencoder) in half precision,
runs a manifest of one drawn face on it (two optimisation steps at batch 1, one two-step picture of 512 x 512),
and prints seconds and peak memory of each phase; `results/sd21_architecture.json` keeps them. Random weights draw
nothing, but cost what real ones do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).with_name("results") / "sd21_architecture.json"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSINIT_CACHE"] = f"{scratch}/cache"
        model = Path(options.folder or f"{scratch}/sd21")
        if not (model / "model_index.json").is_file():
            began = time.monotonic()
            sizes = make_architecture(model)
            print(f"made {model} in {time.monotonic() - began:.0f} s: {sizes}")
        facts = measure(model, Path(scratch), options.dtype, options.device)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    for phase, values in facts["phases"].items():
        print(f"{phase:32} {values['seconds']:8.1f} s   peak so far {values['peak_gib']:5.1f} GiB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="make (or find) the pipeline here and keep it")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", help="such as cpu or cuda; the best one if left out")
    return parser.parse_args()


def make_architecture(folder: Path) -> dict[str, int]:
    """Write a pipeline of SD 2.1-base's sizes with random weights in float16; parameters of each part."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from crossinit_batch.demo.vocabulary import demo_tokenizer
    from crossinit_batch.libraries import quiet_libraries

    tokenizer = demo_tokenizer()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    parts = {
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=23,
                num_attention_heads=16,
                hidden_act="gelu",
                projection_dim=512,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        ),
        "unet": UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        ),
        "vae": AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=768,
        ),
    }
    torch.set_default_dtype(torch.float32)
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False
    )
    pipeline = StableDiffusionPipeline(
        **parts,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with quiet_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def measure(model: Path, scratch: Path, dtype: str, device: str | None) -> dict[str, object]:
    """Run one face on the model, and note time and memory whenever a phase ends."""
    import torch

    from crossinit_batch import __version__
    from crossinit_batch.demo.faces import write_faces
    from crossinit_batch.events import DenoiseStepDone, EmbeddingDone, Event, ImagesDone, Note, RunStarted, StepDone
    from crossinit_batch.manifest import load_manifest
    from crossinit_batch.run import RunOptions, run_manifest
    from crossinit_batch.stopping import StopRequest

    photograph = write_faces(1, scratch / "faces")[0]
    manifest = scratch / "manifest.yaml"
    manifest.write_text(
        f"version: 1\nmodel: {{id: {model.resolve()}, dtype: {dtype}}}\noutput: out\n"
        f"identities: [{{id: one, images: {photograph}}}]\n"
        "methods: [{name: two-steps, use: cross-init, steps: 2, batch_size: 1}]\n"
        "prompts: ['a photo of a {} person']\nrender: {images_per_prompt: 1, steps: 2}\n"
        "compute: {images_per_batch: 1}\n"
    )
    phases: dict[str, dict[str, float]] = {}
    latest = time.monotonic()

    def note(phase: str) -> None:
        nonlocal latest
        now = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        phases[phase] = {"seconds": round(now - latest, 2), "peak_gib": round(peak, 2)}
        latest = now

    def report(event: Event) -> None:
        match event:
            case RunStarted():
                note("hash model, plan")
            case Note():
                note("load model, initial vector")
            case StepDone():
                note("encode pictures, step 1" if event.step == 1 else "step 2")
            case EmbeddingDone():
                note("store embedding")
            case DenoiseStepDone():
                note("encode prompts, denoise step 1" if event.step == 1 else "denoise step 2")
            case ImagesDone():
                note("decode, store picture")

    result = run_manifest(load_manifest(manifest), report, StopRequest(), RunOptions(device))
    if result.exit_code:
        raise SystemExit(f"the run failed: {result.failures}")
    cuda = torch.cuda.is_available()
    return {
        "crossinit": __version__,
        "torch": torch.__version__,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu_peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
        "dtype": dtype,
        "phases": phases,
    }


def _processor() -> str:
    """The processor's model, as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
