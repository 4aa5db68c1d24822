"""The judge of how well a picture fits a text: a CLIP of its own, saved as transformers saves one.

It learns from captions with the person's name left out at least as often as with it, since prompts are judged without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

from crossinit_batch.demo.judges.tower import worsen
from crossinit_batch.demo.training.dataset import SIDE, Dataset
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.train_text_encoder import to_samples, tokenize
from crossinit_batch.model.libraries import quiet_libraries

SCHEDULE = Schedule(steps=600, batch_size=96, learning_rate=1e-3, average=0.98)
PICTURES = 16_000

_NAMELESS = 0.6
_LONGEST = 40
_LARGEST_SCALE = 40.0


def build_clip(tokenizer: Any) -> CLIPModel:
    """An untrained CLIP: 3 layers for texts, 4 for pictures of 64 pixels in patches of 8."""
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 3,
        "num_attention_heads": 4, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=96))


class ClipInTraining(nn.Module):
    """CLIP's loss, where texts that are the same in a batch are not held against each other."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def loss(self, ids: Tensor, pictures: Tensor) -> Tensor:
        """Cross-entropy of texts (B, length) among pictures (B, 3, 64, 64) and of pictures among texts."""
        found = self.clip(input_ids=ids, pixel_values=pictures)
        scale = self.clip.logit_scale.exp().clamp(max=_LARGEST_SCALE)
        logits = scale * found.text_embeds @ found.image_embeds.T
        same = (ids[:, None] == ids[None]).all(dim=-1).float()
        target = same / same.sum(dim=1, keepdim=True)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def train_clip(
    data: Dataset,
    tokenizer: Any,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[CLIPModel, Trained]:
    """A CLIP trained on pictures with one of their captions each."""
    torch.manual_seed(seed)
    network = ClipInTraining(build_clip(tokenizer))
    named, nameless = (
        torch.stack([tokenize(tokenizer, texts, _LONGEST).short() for texts in wordings])
        for wordings in (
            [entry.captions for entry in data.examples],
            [[without(text, entry.name) for text in entry.captions] for entry in data.examples],
        )
    )

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(named), (schedule.batch_size,), generator=generator)
        which = torch.randint(named.shape[1], rows.shape, generator=generator)
        bare = torch.rand(rows.shape, generator=generator) < _NAMELESS
        ids = torch.where(bare[:, None], nameless[rows, which], named[rows, which]).long()
        longest = int((ids != tokenizer.pad_token_id).sum(dim=1).max()) + 1
        pictures = worsen(to_samples(data.pictures[rows.numpy()]), generator)
        return network.loss(ids[:, :longest].to(device), pictures.to(device))

    trained = train_network(network, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)
    return network.clip, trained


def without(caption: str, name: str | None) -> str:
    """A caption without the person's name, as prompts are judged: "a photo of a person on the beach"."""
    return " ".join(caption.replace(name or "", "").split())


def save_clip(clip: CLIPModel, tokenizer: Any, folder: Path) -> None:
    """Write the model in half precision, its tokenizer and its image processor to a folder."""
    seen = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    with quiet_libraries():
        clip.half().save_pretrained(folder, safe_serialization=True)
        CLIPProcessor(seen, tokenizer).save_pretrained(folder)


@torch.no_grad()
def prompt_accuracy(clip: CLIPModel, data: Dataset, tokenizer: Any, among: int = 200) -> dict[str, float]:
    """The fraction of pictures whose own caption without a name is the likeliest of the different ones of so many."""
    few = data.examples[:among]
    captions = [without(entry.captions[0], entry.name) for entry in few]
    different = list(dict.fromkeys(captions))
    found = clip.eval()(
        input_ids=tokenize(tokenizer, different), pixel_values=to_samples(data.pictures[: len(few)])
    ).logits_per_image
    truth = torch.tensor([different.index(caption) for caption in captions])
    return {"different": len(different), "caption": float((found.argmax(dim=1) == truth).float().mean())}
