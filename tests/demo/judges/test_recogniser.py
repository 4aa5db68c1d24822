"""The recogniser in ArcFace's layout: alignment, training loss, file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from crossinit_batch.demo.judges.album import make_album
from crossinit_batch.demo.judges.export import export_recogniser
from crossinit_batch.demo.judges.recogniser import Recogniser, RecogniserInTraining, align, recognition_accuracy
from crossinit_batch.evaluation.alignment import TEMPLATE
from crossinit_batch.evaluation.networks import Network


def test_aligned_points_lie_where_arcface_has_them() -> None:
    turn = np.radians(25)
    template = TEMPLATE / 112
    middle = template.mean(axis=0)
    matrix = 0.5 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (template - middle) @ matrix.T + (0.45, 0.55)
    picture = torch.zeros(5, 3, 200, 200)
    for number, (x, y) in enumerate(points * 200):
        rows, columns = torch.meshgrid(torch.arange(200.0) + 0.5, torch.arange(200.0) + 0.5, indexing="ij")
        picture[number] = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
    faces = align(picture, torch.from_numpy(points).float().expand(5, 5, 2))
    assert faces.shape == (5, 3, 112, 112)
    for number, (x, y) in enumerate(TEMPLATE):
        row, column = divmod(int(faces[number, 0].argmax()), 112)
        assert (column + 0.5, row + 0.5) == pytest.approx((x, y), abs=1)


def test_the_loss_falls_when_a_persons_two_faces_are_alike() -> None:
    torch.manual_seed(0)
    network = RecogniserInTraining()
    one, other = (torch.randn(4, 3, 112, 112) for _ in range(2))
    persons = torch.zeros(4, network.parameters_of.out_features)
    same = torch.stack([one, one], dim=1).flatten(0, 1)
    crossed = torch.stack([one, one.roll(1, dims=0)], dim=1).flatten(0, 1)
    assert network.loss(same, persons) < network.loss(crossed, persons)
    assert torch.isfinite(network.loss(torch.stack([one, other], dim=1).flatten(0, 1), persons))


def test_its_file_keeps_half_of_the_bytes_and_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recogniser = Recogniser().eval()
    file = export_recogniser(recogniser, tmp_path)
    weights = sum(parameter.numel() for parameter in recogniser.parameters())
    assert file.stat().st_size < 2.2 * weights
    kinds = {numpy_helper.to_array(weight).dtype for weight in onnx.load(file).graph.initializer if weight.dims}
    assert np.dtype(np.float16) in kinds
    faces = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    (who,) = Network(file.read_bytes(), file.name)(faces).values()
    with torch.no_grad():
        expected = recogniser(torch.from_numpy(faces))
    assert np.linalg.norm(who) == pytest.approx(1, abs=1e-5)
    assert float((who * expected.numpy()).sum()) > 0.9999


def test_accuracy_is_of_second_pictures_among_so_many(tmp_path: Path) -> None:
    figures = recognition_accuracy(Recogniser(), make_album(tmp_path, 5, seed=3), among=4)
    assert figures["among"] == 4 and 0 <= figures["identity"] <= 1
