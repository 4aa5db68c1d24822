"""The detector's grid, read back by the code that reads YuNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossinit_batch.demo.judges.album import make_album
from crossinit_batch.demo.judges.detector import Detector, detection_accuracy, detection_loss, target_of
from crossinit_batch.demo.judges.export import YuNetLayout, export_detector
from crossinit_batch.evaluation.detection import FaceDetector
from crossinit_batch.evaluation.networks import Network


class _Fixed(torch.nn.Module):
    """A detector whose answer is fixed, whatever it is shown."""

    def __init__(self, cells: torch.Tensor) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.cells + 0 * pictures.mean()


def test_a_target_read_as_yunet_is_read_gives_the_faces_back(tmp_path: Path) -> None:
    faces = torch.from_numpy(make_album(tmp_path, 12, seed=4).faces).flatten(0, 1)
    both = next(few for few in faces if not few.isnan().any())
    target = target_of(both)
    cells = torch.cat([40 * target[:, :1] - 20, 40 * target[:, :1] - 20, target[:, 1:]], dim=1)[None]
    named = _Named(YuNetLayout(_Fixed(cells)))  # type: ignore[arg-type]
    found = FaceDetector(named, 0.5).find(Image.new("RGB", (128, 128)))  # type: ignore[arg-type]
    assert len(found) == 2
    for truth in both.numpy() * 128:
        nearest = min(found, key=lambda face: abs(face.box[0] - truth[0]))
        assert nearest.box == pytest.approx([truth[0], truth[1], truth[2] - truth[0], truth[3] - truth[1]], abs=1e-3)
        assert nearest.landmarks.ravel() == pytest.approx(truth[4:], abs=1e-3)


class _Named:
    """A module with the outputs of YuNet, as a network of a file."""

    name, size, outputs = "fixed", (64, 64), ("cls_8", "obj_8", "bbox_8", "kps_8")

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def __call__(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        values = self.module(torch.from_numpy(samples))
        return {name: value.numpy() for name, value in zip(self.outputs, values, strict=True)}


def test_the_loss_is_least_for_the_truth_and_counts_cells_and_boxes(tmp_path: Path) -> None:
    faces = torch.from_numpy(make_album(tmp_path, 2, seed=1).faces).flatten(0, 1)
    truth = torch.stack([target_of(few) for few in faces])
    sure = torch.cat([40 * truth[..., :1] - 20, 40 * truth[..., :1] - 20, truth[..., 1:]], dim=-1)
    assert detection_loss(sure, truth) < 1e-5
    moved = sure.clone()
    moved[..., 2] += 0.5
    assert detection_loss(moved, truth) > 0.3
    assert detection_loss(-sure, truth) > 10


def test_it_is_written_in_yunets_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = Detector().eval()
    file = export_detector(detector, tmp_path)
    network = Network(file.read_bytes(), file.name)
    assert network.outputs == ("cls_8", "obj_8", "bbox_8", "kps_8") and network.size == (64, 64)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        cls, _, box, _ = YuNetLayout(detector)(torch.from_numpy(pixels))
    outputs = network(pixels)
    assert outputs["cls_8"] == pytest.approx(cls.numpy(), abs=5e-3)
    assert outputs["bbox_8"] == pytest.approx(box.numpy(), abs=5e-3)


def test_accuracy_is_of_portraits_and_of_empty_backgrounds(tmp_path: Path) -> None:
    album = make_album(tmp_path, 8, seed=2)
    figures = detection_accuracy(Detector(), album)
    assert set(figures) == {"found", "nobody_found", "pixels_off"}
    assert all(0 <= figures[name] <= 1 for name in ("found", "nobody_found"))
