"""The text encoder, trained as CLIP was: captions and pictures that belong together find each other in a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from crossinit_batch.demo.training.dataset import Dataset
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.vocabulary import CONTEXT_LENGTH

WIDTH = 128
SCHEDULE = Schedule(steps=700, batch_size=160, learning_rate=1.5e-3)

_LONGEST = 40
"""Tokens read in training; the encoder is causal, so what follows the end of a text does not change it."""


def build_text_encoder(tokenizer: Any) -> CLIPTextModel:
    """A CLIP text encoder of 4 layers with small token embeddings, as OpenAI's start."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        hidden_act="gelu",
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


_LARGEST_SCALE = 25.0
"""CLIP's is 100; a smaller one makes the outputs for two persons differ by more than a few percent."""


class PictureTower(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] → embeddings (B, width): six convolutions, position kept to the end."""

    def __init__(self, width: int, channels: Sequence[int] = (24, 48, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, after in enumerate(channels):
            layers += [
                nn.Conv2d(before, after, 4 if number == 0 else 3, stride=2, padding=1),
                nn.GroupNorm(8, after),
                nn.GELU(),
            ]
            before = after
        self.body = nn.Sequential(*layers, nn.Conv2d(before, before, 3, padding=1), nn.GELU())
        self.head = nn.Linear(before * (64 // 2 ** len(channels)) ** 2, width)

    def forward(self, pictures: Tensor) -> Tensor:
        embedding: Tensor = self.head(self.body(pictures).flatten(1))
        return embedding


class ClipPair(nn.Module):
    """A text encoder and a picture tower with one temperature; the encoder's output itself is the text's embedding."""

    def __init__(self, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.tower = PictureTower(WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def embed_texts(self, ids: Tensor) -> Tensor:
        """Unit vectors (B, width) of token ids (B, length)."""
        return functional.normalize(self.text_encoder(input_ids=ids).pooler_output, dim=-1)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Unit vectors (B, width) of pictures (B, 3, 64, 64) in [-1, 1]."""
        return functional.normalize(self.tower(pictures), dim=-1)

    def loss(self, ids: Tensor, pictures: Tensor) -> Tensor:
        """Cross-entropy of each text among the pictures and each picture among the texts."""
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        logits = scale * self.embed_texts(ids) @ self.embed_pictures(pictures).T
        target = torch.arange(len(ids), device=logits.device)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def tokenize(tokenizer: Any, texts: Sequence[str], length: int = CONTEXT_LENGTH) -> Tensor:
    """Token ids (B, length), padded as the pipeline pads."""
    batch = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    ids: Tensor = batch.input_ids
    return ids


def to_samples(pictures: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) → (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def train_text_encoder(
    data: Dataset,
    tokenizer: Any,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[ClipPair, Trained]:
    """The trained pair, on pictures with one of their captions each."""
    torch.manual_seed(seed)
    pair = ClipPair(build_text_encoder(tokenizer))
    ids = torch.stack([tokenize(tokenizer, entry.captions, _LONGEST).short() for entry in data.examples])

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(ids), (schedule.batch_size,), generator=generator)
        which = torch.randint(ids.shape[1], rows.shape, generator=generator)
        chosen = ids[rows, which].long()
        longest = int((chosen != tokenizer.pad_token_id).sum(dim=1).max()) + 1
        return pair.loss(chosen[:, :longest].to(device), to_samples(data.pictures[rows.numpy()]).to(device))

    return pair, train_network(pair, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)


@torch.no_grad()
def matched(pair: ClipPair, data: Dataset, tokenizer: Any) -> float:
    """The fraction of pictures whose own caption is the nearest of all captions given."""
    ids = tokenize(tokenizer, [entry.captions[0] for entry in data.examples], _LONGEST)
    texts, pictures = pair.eval().embed_texts(ids), pair.embed_pictures(to_samples(data.pictures))
    return float(((pictures @ texts.T).argmax(dim=1) == torch.arange(len(ids))).float().mean())
