"""Scale, orientation and the trajectory of v against numpy, and E(v) against the initial vector's own encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crossinit_batch.methods.embedding.initial_vector import encode_mean
from crossinit_batch.methods.embedding.losses import dump_losses, read_trajectory
from crossinit_batch.methods.embedding.scale_orientation import (
    TRAJECTORY,
    looks_through_encoder,
    orientation,
    scale,
    trajectory_point,
)
from crossinit_batch.model.base_model import BaseModel
from tests.helpers.models import located


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return BaseModel.load(located(pipeline_folder), torch.device("cpu"), "float32")


def _vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_scale_and_orientation_are_numpys() -> None:
    v, other = _vectors(3, 2, 32), _vectors(3, 2, 32, seed=1)
    one, two = v.numpy().astype(np.float64), other.numpy().astype(np.float64)
    norms = np.sqrt((one**2).sum(-1))
    np.testing.assert_allclose(scale(v), norms, rtol=1e-5)
    np.testing.assert_allclose(
        orientation(v, other), (one * two).sum(-1) / norms / np.sqrt((two**2).sum(-1)), rtol=1e-4
    )
    torch.testing.assert_close(orientation(v, -3 * v), -torch.ones(3, 2))


def test_e_of_v_alone_is_what_the_initial_vector_is_made_with(model: BaseModel) -> None:
    v = _vectors(3, 2, 32)
    together = model.encode_alone(v)
    assert together.shape == v.shape
    for number in range(3):
        torch.testing.assert_close(together[number], encode_mean(model, v[number]), rtol=1e-5, atol=1e-5)
    short = model.caption("{}", tokens=2).ids[:, :3].expand(3, -1)  # causal: what stands behind cannot matter
    torch.testing.assert_close(
        together, model.encode_text(short, torch.ones(3).long(), v)[:, 1:3], rtol=1e-4, atol=1e-5
    )


def test_a_trajectory_point_by_numpy(model: BaseModel) -> None:
    v, v_init = _vectors(2, 2, 32), _vectors(2, 32, seed=1)
    point = trajectory_point(model, v, v_init, through_encoder=True).numpy()
    encoded = model.encode_alone(v).numpy()
    for number in range(2):
        a, start, e = v[number].numpy(), v_init.numpy(), encoded[number]

        def cosines(x: np.ndarray, y: np.ndarray) -> float:
            return float(np.mean([x[j] @ y[j] / np.linalg.norm(x[j]) / np.linalg.norm(y[j]) for j in range(2)]))

        norms = [np.mean([np.linalg.norm(x[j]) for j in range(2)]) for x in (a, e)]
        assert point[number].tolist() == pytest.approx([norms[0], cosines(a, start), norms[1], cosines(a, e)], rel=1e-4)
    encodes = model.counters.text_encodes
    cheap = trajectory_point(model, v, v_init, through_encoder=False).numpy()
    assert model.counters.text_encodes == encodes
    np.testing.assert_array_equal(cheap[:, :2], point[:, :2])
    assert np.isnan(cheap[:, 2:]).all()


@pytest.mark.parametrize(("steps", "looks"), [(1, 1), (25, 25), (320, 32), (5000, 33)])
def test_the_encoder_is_looked_through_a_few_times(steps: int, looks: int) -> None:
    due = [step for step in range(steps) if looks_through_encoder(step, steps)]
    assert len(due) == looks and due[0] == 0


def test_a_loss_file_comes_back() -> None:
    trajectory = torch.tensor([[1.5, 1.0, 8.0, 0.25], [1.75, 0.5, torch.nan, torch.nan]])
    data = dump_losses(torch.tensor([[0.1, 0.0], [0.2, 4.0]]), trajectory)
    assert data.decode().splitlines() == [
        f"step,denoising_loss,distance,{','.join(TRAJECTORY)}",
        "1,0.1,0,1.5,1,8,0.25",
        "2,0.2,4,1.75,0.5,,",
    ]
    np.testing.assert_array_equal(read_trajectory(data), trajectory.numpy())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"step,denoising_loss,distance\n1,0.1,0\n",
        b"step,denoising_loss,distance,norm_v,cosine_v_init,norm_E_v,cosine_E_v\n",
        b"step,denoising_loss,distance,norm_v,cosine_v_init,norm_E_v,cosine_E_v\n1,2,3,4\n",
        b"step,denoising_loss,distance,norm_v,cosine_v_init,norm_E_v,cosine_E_v\n1,2,3,four,5,6,7\n",
        b"\xff\xfe",
    ],
)
def test_what_is_no_trajectory_is_none(data: bytes) -> None:
    assert read_trajectory(data) is None
