"""The judge that finds faces, with the outputs of YuNet: a grid of cells, each with scores, a box and five points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from crossinit_batch.demo.judges.album import FACE, Album
from crossinit_batch.demo.judges.tower import tower, worsen
from crossinit_batch.demo.training.dataset import SIDE
from crossinit_batch.demo.training.loop import CPU, Report, Schedule, Trained, train_network
from crossinit_batch.demo.training.train_text_encoder import to_samples

STRIDE = 8
GRID = SIDE // STRIDE
SCHEDULE = Schedule(steps=1200, batch_size=64, learning_rate=2e-3, average=0.99)

_EMPTY = 0.15
"""The fraction of training pictures without anybody."""


class Detector(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] → for each of 8 x 8 cells, row by row, (B, 64, 16).

    Channel 0 is the logit of a face's middle lying in the cell, channel 1 of the box being right; then the box (the
    middle's position in the cell, logarithms of width and height in cells) and five points, in cells from this one.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        width = channels[-1]
        self.body = tower(channels)
        self.around = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GELU(),
        )  # fmt: skip
        self.head = nn.Conv2d(width, 2 + FACE, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.body(pictures)
        cells: Tensor = self.head(features + self.around(features)).flatten(2).transpose(1, 2)
        return cells


def train_detector(
    album: Album,
    checkpoint: Path,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int,
    report: Report,
    device: torch.device = CPU,
) -> tuple[Detector, Trained]:
    """A detector trained on the album's pictures and its backgrounds without anybody."""
    torch.manual_seed(seed)
    detector = Detector()
    pictures = album.pictures.reshape(-1, SIDE, SIDE, 3)
    targets = torch.stack([target_of(faces) for faces in torch.from_numpy(album.faces).flatten(0, 1)])
    nobody = round(_EMPTY * schedule.batch_size)

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(pictures), (schedule.batch_size - nobody,), generator=generator)
        bare = torch.randint(len(album.empty), (nobody,), generator=generator)
        shown = np.concatenate([pictures[rows.numpy()], album.empty[bare.numpy()]])
        cells = detector(worsen(to_samples(shown), generator).to(device))
        truth = torch.cat([targets[rows], torch.zeros(nobody, *targets.shape[1:])]).to(device)
        return detection_loss(cells, truth)

    return detector, train_network(detector, loss_of, schedule, checkpoint, seed=seed, report=report, device=device)


def target_of(faces: Tensor) -> Tensor:
    """What the cells should say of faces (F, 14): (64, 15), of which the first is 1 where a face's middle lies."""
    target = torch.zeros(GRID * GRID, 1 + FACE)
    for face in faces[~faces.isnan().any(dim=1)].flip(0) * GRID:
        left, top, right, bottom = face[:4].tolist()
        x, y = (left + right) / 2, (top + bottom) / 2
        column, row = (min(max(int(position), 0), GRID - 1) for position in (x, y))
        box = torch.tensor([x - column, y - row]), torch.tensor([right - left, bottom - top]).log()
        points = (face[4:].view(5, 2) - torch.tensor([float(column), float(row)])).flatten()
        target[row * GRID + column] = torch.cat([torch.ones(1), *box, points])
    return target


def detection_loss(cells: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of where faces are, and the distance of their boxes and points."""
    has_face = truth[..., 0]
    found = functional.binary_cross_entropy_with_logits(cells[..., 0], has_face, reduction="sum")
    sure = functional.binary_cross_entropy_with_logits(cells[..., 1], has_face, reduction="sum")
    off = functional.smooth_l1_loss(cells[..., 2:], truth[..., 1:], reduction="none", beta=0.1).sum(dim=-1)
    return (found + sure + (off * has_face).sum()) / len(cells)


@torch.no_grad()
def detection_accuracy(detector: Detector, album: Album) -> dict[str, float]:
    """Fractions of portraits with a face found and of empty backgrounds with none; the points' mean error in pixels."""
    alone = np.isnan(album.faces[:, :, 1, 0])
    cells = detector.eval()(to_samples(album.pictures[alone]))
    truth = torch.from_numpy(album.faces[alone][:, 0, 4:])
    score, best = cells[..., 0].sigmoid().max(dim=1)
    points = cells[torch.arange(len(cells)), best, 2 + 4 :].view(-1, 5, 2)
    corner = torch.stack([best % GRID, best // GRID], dim=1)[:, None]
    off = ((points + corner) / GRID - truth.view(-1, 5, 2)).norm(dim=2) * SIDE
    nobody = detector(to_samples(album.empty))[..., 0].sigmoid().amax(dim=1)
    return {
        "found": float((score > 0.5).float().mean()),
        "nobody_found": float((nobody <= 0.5).float().mean()),
        "pixels_off": float(off.mean()),
    }
