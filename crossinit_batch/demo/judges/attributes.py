"""The judge of what is seen in a picture: expression, background, accessory, style, company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from crossinit_batch.demo.judges.album import ATTRIBUTES, Album
from crossinit_batch.demo.judges.tower import tower, worsen
from crossinit_batch.demo.training.dataset import SIDE
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.train_text_encoder import to_samples

SCHEDULE = Schedule(steps=1000, batch_size=64, learning_rate=2e-3, average=0.99)


class Classifiers(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] → scores (B, words) of each attribute, in the order of `ATTRIBUTES`."""

    def __init__(self, channels: tuple[int, ...] = (24, 48, 64, 96)) -> None:
        super().__init__()
        self.body = nn.Sequential(*tower(channels), nn.Flatten())
        size = channels[-1] * (SIDE // 2 ** len(channels)) ** 2
        self.heads = nn.ModuleList(nn.Linear(size, len(words)) for words in ATTRIBUTES.values())

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        features = self.body(pictures)
        return tuple(head(features) for head in self.heads)


def train_classifiers(
    album: Album,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[Classifiers, Trained]:
    """Classifiers trained on single pictures of the album."""
    torch.manual_seed(seed)
    classifiers = Classifiers()
    pictures = album.pictures.reshape(-1, SIDE, SIDE, 3)
    labels = torch.from_numpy(album.labels.reshape(len(pictures), -1))

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(pictures), (schedule.batch_size,), generator=generator)
        scores = classifiers(worsen(to_samples(pictures[rows.numpy()]), generator).to(device))
        truth = labels[rows].to(device)
        parts = [functional.cross_entropy(score, truth[:, k]) for k, score in enumerate(scores)]
        return torch.stack(parts).sum()

    trained = train_network(classifiers, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)
    return classifiers, trained


@torch.no_grad()
def seen_by(classifiers: Classifiers, pictures: NDArray[np.uint8]) -> Tensor:
    """The number of each attribute's likeliest word (N, attributes) in pictures (N, 64, 64, 3)."""
    parts = []
    for first in range(0, len(pictures), 128):
        scores = classifiers.eval()(to_samples(pictures[first : first + 128]))
        parts.append(torch.stack([score.argmax(dim=1) for score in scores], dim=1))
    return torch.cat(parts)


def attribute_accuracy(classifiers: Classifiers, album: Album) -> dict[str, float]:
    """The fraction of an album's pictures in which each attribute is recognised."""
    seen = seen_by(classifiers, album.pictures.reshape(-1, SIDE, SIDE, 3))
    right = (seen == torch.from_numpy(album.labels.reshape(len(seen), -1))).float().mean(dim=0)
    return dict(zip(ATTRIBUTES, right.tolist(), strict=True))
