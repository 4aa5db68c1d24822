"""One person as diffusers' example does it: learn tokens for a picture, then draw prompts with a pipeline.

    python benchmarks/peer_textual_inversion.py --model FOLDER --pictures FOLDER --output FOLDER --prompt "a {} …" …

A stand-in for examples/textual_inversion/textual_inversion.py of diffusers, step for step as that script works where
nothing is asked of it: tokens are added to the tokenizer and the embedding table grows; a data loader opens, resizes
and mirrors the picture anew for each sample; the autoencoder encodes it in every step; AdamW has the whole table, whose
other rows are put back after each step; the loss is read in every step. What the script spends on accelerate, progress
bars and logs is left out, in its favour. With `--embedding FILE` nothing is learned, only drawn.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # before its import, which speaks of torchvision

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import save_file
from timed_process import Cost
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from crossinit_batch.model.libraries import quiet_libraries
from crossinit_batch.prompts import SLOT, TRAINING_TEMPLATES

PLACEHOLDER = "<person>"
_REPEATS = 100
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class FaceSamples(Dataset[dict[str, Tensor]]):
    """The pictures of a folder, a hundred times each: opened, squared and mirrored at random for every sample."""

    def __init__(self, folder: Path, tokenizer: Any, person: str, size: int) -> None:
        self.paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        self.tokenizer, self.person, self.size = tokenizer, person, size

    def __len__(self) -> int:
        return len(self.paths) * _REPEATS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image = Image.open(self.paths[index % len(self.paths)]).convert("RGB")
        image = Image.fromarray(np.array(image)).resize((self.size, self.size), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        text = random.choice(TRAINING_TEMPLATES["face"]).replace(SLOT, self.person)
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        pixels = torch.from_numpy((np.array(image) / 127.5 - 1.0).astype(np.float32)).permute(2, 0, 1)
        return {"input_ids": ids.input_ids[0], "pixel_values": pixels}


class PeerLearning:
    """The script's models, optimizer and data, and one `step` after the other.

    `data` is what the steps have spent on reading pictures.
    """

    def __init__(
        self,
        model: Path,
        pictures: Path,
        *,
        batch: int,
        vectors: int = 2,
        learning_rate: float = 5e-3,
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.device, self.dtype = torch.device(device), PRECISIONS[precision]
        with quiet_libraries():
            self.tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
            self.noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
            self.text_encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder", dtype=torch.float32)
            self.vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
            self.unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
            names = [PLACEHOLDER, *(f"{PLACEHOLDER}_{number}" for number in range(1, vectors))]
            self.tokenizer.add_tokens(names)
            self.text_encoder.resize_token_embeddings(len(self.tokenizer))
        self.rows = self.tokenizer.convert_tokens_to_ids(names)
        for module in (self.vae, self.unet, self.text_encoder):
            module.requires_grad_(False)
        with quiet_libraries():
            self.vae.to(self.device, dtype=self.dtype)
            self.unet.to(self.device, dtype=self.dtype)
        self.text_encoder.to(self.device).train()
        self.table = self.text_encoder.get_input_embeddings().weight.requires_grad_(True)
        (word,) = self.tokenizer.encode("person", add_special_tokens=False)
        with torch.no_grad():
            self.table[self.rows] = self.table[word].clone()
        self.original = self.table.detach().clone()
        self.optimizer = torch.optim.AdamW([self.table], lr=learning_rate, weight_decay=1e-2)
        size = int(self.unet.config.sample_size * 2 ** (len(self.vae.config.block_out_channels) - 1))
        samples = FaceSamples(pictures, self.tokenizer, " ".join(names), size)
        self.loader = DataLoader(samples, batch_size=batch, shuffle=True)
        self.batches = self._epochs()
        self.data = Cost()

    def _epochs(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> float:
        """One step of AdamW on the whole table; the loss."""
        began, worked = time.perf_counter(), time.process_time()
        batch = next(self.batches)
        self.data += Cost(time.perf_counter() - began, time.process_time() - worked)
        batch = {name: value.to(self.device) for name, value in batch.items()}
        latents = self.vae.encode(batch["pixel_values"].to(self.dtype)).latent_dist.sample().detach()
        latents = latents * self.vae.config.scaling_factor
        noise = torch.randn_like(latents)
        steps = self.noise_scheduler.config.num_train_timesteps
        timesteps = torch.randint(0, steps, (len(latents),), device=self.device)
        noisy = self.noise_scheduler.add_noise(latents, noise, timesteps)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            states = self.text_encoder(batch["input_ids"])[0].to(self.dtype)
        prediction = self.unet(noisy, timesteps, states).sample
        if self.noise_scheduler.config.prediction_type == "epsilon":
            target = noise
        else:
            target = self.noise_scheduler.get_velocity(latents, noise, timesteps)
        loss = functional.mse_loss(prediction.float(), target.float())
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._put_back_other_rows()
        return float(loss.detach())

    def _put_back_other_rows(self) -> None:
        others = torch.ones(len(self.tokenizer), dtype=torch.bool)
        others[min(self.rows) : max(self.rows) + 1] = False
        with torch.no_grad():
            self.table[others] = self.original[others]

    def save(self, path: Path) -> None:
        """The learned rows, as the script leaves them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({PLACEHOLDER: self.table.detach()[self.rows].cpu()}, path)


class PeerDrawing:
    """A pipeline that knows a learned embedding, and one call a prompt."""

    def __init__(self, model: Path, embedding: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        self.device = device
        with quiet_libraries():
            self.pipeline: Any = StableDiffusionPipeline.from_pretrained(
                model, torch_dtype=PRECISIONS[precision], safety_checker=None, requires_safety_checker=False
            )
            self.pipeline.load_textual_inversion(embedding)
        self.pipeline.scheduler = DPMSolverMultistepScheduler.from_config(self.pipeline.scheduler.config)
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(device)

    def draw(self, prompt: str, folder: Path, *, images: int, steps: int, guidance: float) -> None:
        """Draw `images` pictures of a prompt in one call, and save them as PNG."""
        made = self.pipeline(
            prompt.replace(SLOT, PLACEHOLDER),
            num_images_per_prompt=images,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(0),
        )
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(made.images):
            image.save(folder / f"{number:03d}.png")


def main() -> None:
    options = _options()
    embedding = options.embedding
    if embedding is None:
        learning = PeerLearning(
            options.model, options.pictures, batch=options.batch, device=options.device, precision=options.precision
        )
        for _ in range(options.steps):
            learning.step()
        embedding = options.output / "learned_embeds.safetensors"
        learning.save(embedding)
    drawing = PeerDrawing(options.model, embedding, device=options.device, precision=options.precision)
    for number, prompt in enumerate(options.prompt):
        folder = options.output / f"{number:02d}"
        drawing.draw(prompt, folder, images=options.images, steps=options.denoise_steps, guidance=options.guidance)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a folder in diffusers' layout")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder with the person's pictures alone")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--embedding", type=Path, help="draw with this embedding, and learn nothing")
    parser.add_argument("--steps", type=int, default=25, help="optimisation steps")
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument(
        "--prompt", action="append", default=[], help="with {} where the person stands; may be repeated"
    )
    parser.add_argument("--images", type=int, default=2, help="pictures a prompt")
    parser.add_argument("--denoise-steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
