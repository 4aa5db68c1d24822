"""The small world's judges: who is in a picture and what is seen in it, learned apart from the pipeline.

They see other persons than the pipeline did, drawn from a seed of their own, and nothing of its weights.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from crossinit_batch.demo.dataset import SIDE
from crossinit_batch.demo.drawing import draw
from crossinit_batch.demo.person import Person
from crossinit_batch.demo.scene import CHOICES, Scene
from crossinit_batch.demo.train_text_encoder import to_samples
from crossinit_batch.demo.training_loop import CPU, Report, Schedule, Trained, train_network

SCHEDULE = Schedule(steps=1000, batch_size=48, learning_rate=2e-3, average=0.99)
PERSONS = 5000
EMBEDDING = 128
SEED = 1000
"""What is added to a training's seed, so that judges see other persons than the pipeline."""
ATTRIBUTES = {**CHOICES, "company": ("alone", "in company")}
"""What the classifiers tell apart, and the words of each."""

_PARAMETERS = len(Person.random(random.Random(0)).vector())


@dataclass(frozen=True)
class Album:
    """Two pictures each of some persons: pictures (N, 2, 64, 64, 3), labels (N, 2, attributes), persons (N, axes)."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    persons: NDArray[np.float32]


class Judge(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] → a unit vector of who it is (B, 128), and scores of each attribute."""

    def __init__(self, channels: tuple[int, ...] = (32, 48, 80, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in channels:
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
            layers += [nn.Conv2d(after, after, 3, padding=1), nn.GELU()] if before > 3 else []
            before = after
        self.body = nn.Sequential(*layers, nn.Flatten())
        size = before * (SIDE // 2 ** len(channels)) ** 2
        self.who = nn.Sequential(nn.Linear(size, 256), nn.GELU(), nn.Linear(256, EMBEDDING))
        self.parameters_of = nn.Linear(EMBEDDING, _PARAMETERS)
        self.what = nn.ModuleList(nn.Linear(size, len(words)) for words in ATTRIBUTES.values())
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, pictures: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        features = self.body(pictures)
        return functional.normalize(self.who(features), dim=-1), tuple(head(features) for head in self.what)


def make_album(folder: Path, count: int, *, seed: int) -> Album:
    """Draw an album into the folder, or read the one that is there."""
    file = folder / f"album-{count}-{seed}.npz"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"album, seed {seed}")
        persons = [Person.random(rng) for _ in range(count)]
        scenes = [[Scene.random(rng, company=0.05) for _ in range(2)] for _ in persons]
        pairs = list(zip(persons, scenes, strict=True))
        pictures = [[np.asarray(draw(person, scene, SIDE)) for scene in two] for person, two in pairs]
        partial = file.with_suffix(".partial.npz")
        np.savez(
            partial,
            pictures=np.array(pictures),
            labels=np.array([[labels_of(scene) for scene in two] for two in scenes]),
            persons=np.array([person.vector() for person in persons], dtype=np.float32),
        )
        partial.replace(file)
    with np.load(file) as stored:
        return Album(stored["pictures"], stored["labels"], stored["persons"])


def labels_of(scene: Scene) -> list[int]:
    """The number of each attribute's word in a scene."""
    numbers = [words.index(getattr(scene, name)) for name, words in CHOICES.items()]
    return [*numbers, int(scene.companion is not None)]


def train_judge(
    album: Album,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[Judge, Trained]:
    """The trained judge: one person's two pictures find each other in a batch, parameters and attributes are told."""
    torch.manual_seed(seed)
    judge = Judge()
    persons = torch.from_numpy(album.persons)
    persons = (persons - persons.mean(dim=0)) / persons.std(dim=0).clamp(min=1e-3)

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(persons), (schedule.batch_size,), generator=generator)
        pictures = to_samples(album.pictures[rows.numpy()].reshape(-1, SIDE, SIDE, 3)).to(device)
        labels = torch.from_numpy(album.labels[rows.numpy()].reshape(2 * len(rows), -1)).to(device)
        who, what = judge(pictures)
        logits = judge.scale.exp().clamp(max=60) * who[::2] @ who[1::2].T
        target = torch.arange(len(rows), device=device)
        alike = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
        told = functional.mse_loss(
            judge.parameters_of(who * EMBEDDING**0.5), persons[rows].repeat_interleave(2, dim=0).to(device)
        )
        seen = sum(
            (functional.cross_entropy(scores, labels[:, k]) for k, scores in enumerate(what)),
            torch.zeros((), device=device),
        )
        return alike / 2 + told + seen

    return judge, train_network(judge, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)


@torch.no_grad()
def look(judge: Judge, pictures: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Identity embeddings (N, 128) and the number of each attribute's likeliest word (N, attributes)."""
    who, what = [], []
    for first in range(0, len(pictures), 128):
        one, scores = judge.eval()(to_samples(pictures[first : first + 128]))
        who.append(one)
        what.append(torch.stack([score.argmax(dim=1) for score in scores], dim=1))
    return torch.cat(who), torch.cat(what)


class Recogniser(nn.Module):
    """A judge's identity half in ArcFace's layout: (B, 3, 112, 112), (x - 127.5) / 127.5 → unit vectors (B, 128)."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, pictures: Tensor) -> Tensor:
        small = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False)
        who: Tensor = self.judge(small)[0]
        return who


class Classifiers(nn.Module):
    """A judge's other half with the same input: scores (B, words) of each attribute, in the order of `ATTRIBUTES`."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        small = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False)
        what: tuple[Tensor, ...] = self.judge(small)[1]
        return what


def export_judges(judge: Judge, folder: Path) -> list[Path]:
    """Write `recogniser.onnx` and `attributes.onnx`; RequestError where the package onnx is missing."""
    from crossinit_batch.errors import RequestError

    folder.mkdir(parents=True, exist_ok=True)
    halves: list[tuple[str, nn.Module, list[str]]] = [
        ("recogniser", Recogniser(judge), ["embedding"]),
        ("attributes", Classifiers(judge), list(ATTRIBUTES)),
    ]
    for name, half, outputs in halves:
        try:
            torch.onnx.export(
                half.eval(),
                (torch.zeros(1, 3, 112, 112),),
                folder / f"{name}.onnx",
                input_names=["input"],
                output_names=outputs,
                dynamic_axes={entry: {0: "batch"} for entry in ("input", *outputs)},
                opset_version=17,
                dynamo=False,
            )
        except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
            raise RequestError(f"the judges cannot be exported: {error}", "Install onnx: pip install onnx") from None
    return [folder / f"{name}.onnx" for name, _, _ in halves]


def accuracy(judge: Judge, album: Album, among: int = 200) -> dict[str, float]:
    """Shares right on an album: who (first photograph to the second, among `among` persons), and each attribute."""
    who, what = look(judge, album.pictures.reshape(-1, SIDE, SIDE, 3))
    first, second = who[::2][:among], who[1::2][:among]
    found = ((first @ second.T).argmax(dim=1) == torch.arange(len(first))).float().mean()
    right = (what == torch.from_numpy(album.labels.reshape(len(what), -1))).float().mean(dim=0)
    return {"identity": float(found), **dict(zip(ATTRIBUTES, right.tolist(), strict=True))}
