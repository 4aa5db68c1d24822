"""The judge of who is in a picture, in ArcFace's layout: a face aligned to 112 pixels → a vector of unit length."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.judges.album import Album
from crossinit_batch.demo.judges.tower import tower, worsen
from crossinit_batch.demo.training.dataset import SIDE
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.train_text_encoder import to_samples
from crossinit_batch.evaluation import alignment

SCHEDULE = Schedule(steps=1600, batch_size=64, learning_rate=2e-3, average=0.99)
EMBEDDING = 128

_LOOKED_AT = 56
_SHAKE = 0.012
"""How far a training face's points are off at most, in fractions of the side: a detector is not exact either."""
_PARAMETERS = len(Person.random(random.Random(0)).vector())


class Recogniser(nn.Module):
    """Aligned faces (B, 3, 112, 112) in [-1, 1] → unit vectors (B, 128)."""

    def __init__(self, channels: tuple[int, ...] = (32, 48, 80, 128)) -> None:
        super().__init__()
        self.body = nn.Sequential(*tower(channels), nn.Flatten())
        side = _LOOKED_AT
        for _ in channels:
            side = (side + 1) // 2
        self.who = nn.Sequential(nn.Linear(channels[-1] * side**2, 192), nn.GELU(), nn.Linear(192, EMBEDDING))

    def forward(self, faces: Tensor) -> Tensor:
        small = functional.interpolate(faces, (_LOOKED_AT, _LOOKED_AT), mode="bilinear", align_corners=False)
        return functional.normalize(self.who(self.body(small)), dim=-1)


class RecogniserInTraining(nn.Module):
    """A recogniser with what is only needed to train it: a temperature, and a person's parameters from the vector."""

    def __init__(self) -> None:
        super().__init__()
        self.recogniser = Recogniser()
        self.parameters_of = nn.Linear(EMBEDDING, _PARAMETERS)
        self.scale = nn.Parameter(torch.tensor(2.3))

    def loss(self, faces: Tensor, persons: Tensor) -> Tensor:
        """Two faces of each person (2B, 3, 112, 112) find each other in the batch and predict parameters (B, axes)."""
        who = self.recogniser(faces)
        logits = self.scale.exp().clamp(max=60) * who[::2] @ who[1::2].T
        target = torch.arange(len(persons), device=who.device)
        alike = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
        predicted = self.parameters_of(who * EMBEDDING**0.5)
        return alike / 2 + functional.mse_loss(predicted, persons.repeat_interleave(2, dim=0))


def align(pictures: Tensor, points: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) → (B, 3, 112, 112) with points (B, 5, 2), in fractions of the side, at ArcFace's positions.

    The similarity is the least-squares one of Umeyama (1991): over complex numbers, points = a · template + b.
    """
    template = torch.view_as_complex(torch.from_numpy(alignment.TEMPLATE / alignment.SIDE * 2 - 1))
    found = torch.view_as_complex((points.double() * 2 - 1).contiguous())
    middle, middle_found = template.mean(), found.mean(dim=1)
    centred = template - middle
    a = (centred.conj() * (found - middle_found[:, None])).sum(dim=1) / centred.abs().square().sum()
    b = middle_found - a * middle
    rows = [torch.stack([a.real, -a.imag, b.real], dim=1), torch.stack([a.imag, a.real, b.imag], dim=1)]
    shape = (len(pictures), 3, alignment.SIDE, alignment.SIDE)
    grid = functional.affine_grid(torch.stack(rows, dim=1).float(), list(shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False, padding_mode="zeros")


def train_recogniser(
    album: Album,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[Recogniser, Trained]:
    """A recogniser trained on the persons of an album, each seen twice in a batch."""
    torch.manual_seed(seed)
    network = RecogniserInTraining()
    persons = torch.from_numpy(album.persons)
    persons = (persons - persons.mean(dim=0)) / persons.std(dim=0).clamp(min=1e-3)
    truth = torch.from_numpy(album.faces[:, :, 0, 4:]).view(len(persons), 2, 5, 2)

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(persons), (schedule.batch_size,), generator=generator)
        pictures = worsen(to_samples(album.pictures[rows.numpy()].reshape(-1, SIDE, SIDE, 3)), generator)
        points = truth[rows].flatten(0, 1)
        shaken = points + _SHAKE * (2 * torch.rand(points.shape, generator=generator) - 1)
        return network.loss(align(pictures, shaken).to(device), persons[rows].to(device))

    trained = train_network(network, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)
    return network.recogniser, trained


@torch.no_grad()
def recognition_accuracy(recogniser: Recogniser, album: Album, among: int = 200) -> dict[str, float]:
    """The fraction of persons whose second picture is nearest to their first, among so many, in any scene and style."""
    points = torch.from_numpy(album.faces[:among, :, 0, 4:]).view(-1, 5, 2)
    faces = align(to_samples(album.pictures[:among].reshape(-1, SIDE, SIDE, 3)), points)
    who = recogniser.eval()(faces)
    nearest = (who[::2] @ who[1::2].T).argmax(dim=1)
    return {"among": len(nearest), "identity": float((nearest == torch.arange(len(nearest))).float().mean())}
