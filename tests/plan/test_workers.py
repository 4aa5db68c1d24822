"""How many workers, on how many devices, and who waits for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.model import device_speed
from crossinit_batch.model.device_speed import Device
from crossinit_batch.plan import estimate as workers
from crossinit_batch.plan.estimate import Workers, likely_device, likely_workers

CPU, GPU = Device("cpu", "Some Processor"), Device("cuda", "NVIDIA H200")


def test_workers_take_turns_where_there_are_more_than_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 4)
    assert [Workers(8, 1).turns(CPU, busy) for busy in (1, 4, 6)] == [1, 1, 1.5]
    assert Workers(4, 1).turns(Device("cpu", "Some Processor", threads=4), 3) == 3
    assert [Workers(8, 4).turns(GPU, busy) for busy in (1, 4, 8)] == [1, 1, 2]


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text("Model: NVIDIA H200\n")
    monkeypatch.setattr(device_speed, "_GPU_INFORMATION", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_run_would_have_a_worker_a_device(four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert likely_workers(None, None) == Workers(4, 4)
    assert likely_workers("cuda:0,cuda:1", None) == Workers(2, 2)
    assert likely_workers("cuda:0,cuda:1", 6) == Workers(6, 2) and likely_workers(None, 2) == Workers(2, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert likely_workers(None, None) == Workers(2, 2)


def test_a_cpu_is_one_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device_speed, "_GPU_INFORMATION", str(tmp_path))
    assert likely_workers(None, None) == Workers(1, 1) and likely_workers(None, 2) == Workers(2, 1)


def test_the_device_is_the_one_that_is_named(four_gpus: None) -> None:
    assert likely_device(None, 1) == GPU == likely_device("cuda:1", 1)
    assert likely_device("cpu", 1).kind == "cpu"
