"""The speed of a device: a look at it, a table, and what earlier runs have left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crossinit_batch.model import device_speed
from crossinit_batch.model.device_speed import (
    Device,
    Speed,
    asked_threads,
    cores,
    observed,
    present_device,
    remember,
    typical_speed,
)
from crossinit_batch.model.flops import Count

DEVICE = Device("cuda", "NVIDIA H200")


def test_a_processor_starts_and_computes_and_a_gpu_does_both_at_once() -> None:
    count = Count(flops=1e9, numbers=1e6, kernels=100)
    speed = Speed(flops=1e10, bandwidth=1e9, kernel=1e-3)
    computed = 8 * (0.1 + device_speed._PASSES * 4e6 / 1e9)
    assert speed.seconds(count, 8) == pytest.approx(0.1 + computed)
    gpu = Speed(flops=1e10, bandwidth=float("inf"), kernel=1e-3, overlaps=True)
    assert gpu.seconds(count, 8) == pytest.approx(0.8)
    assert gpu.seconds(count, 1) == pytest.approx(0.1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not handed out on this system")
def test_cores_are_those_that_a_scheduler_allows() -> None:
    allowed = os.sched_getaffinity(0)
    assert cores() == len(allowed) >= 1
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_this_processor_is_looked_at() -> None:
    device = present_device()
    speed = typical_speed(Device("cpu", device.name, device.threads))
    assert device.name and 1e8 < speed.flops < 1e14 and 1e8 < speed.bandwidth < 1e13


def test_cards_are_known_by_name_and_unknown_ones_are_slow() -> None:
    known = [typical_speed(Device("cuda", name)).flops for name in ("NVIDIA H200", "NVIDIA A100-SXM4-80GB", "Tesla T4")]
    assert known == sorted(known, reverse=True)
    assert typical_speed(Device("cuda", "Another Card")).flops < known[1]


def test_a_card_is_found_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "0000:01:00.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   50\n")
    monkeypatch.setattr(device_speed, "_GPU_INFORMATION", str(tmp_path))
    assert present_device() == Device("cuda", "NVIDIA H200")
    modules = "crossinit_batch.model.device_speed, crossinit_batch.plan.estimate"
    loaded = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded]).returncode == 0


def test_threads_are_as_torch_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert asked_threads(1) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert asked_threads(5) == 5


def test_what_a_run_took_is_found_by_the_next_plan(own_cache: Path) -> None:
    assert observed(DEVICE, "f" * 64, "bfloat16") == {}
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=30.0, pieces=1000)
    remember(DEVICE, "f" * 64, "bfloat16", "drawing-native", seconds=5.0, pieces=1000)
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=20.0, pieces=1000)
    assert observed(DEVICE, "f" * 64, "bfloat16") == {"learning": 0.02, "drawing-native": 0.005}
    for other in ((Device("cpu", "NVIDIA H200"), "f" * 64, "bfloat16"), (DEVICE, "e" * 64, "bfloat16"),
                  (DEVICE, "f" * 64, "float32")):  # fmt: skip
        assert observed(*other) == {}


def test_what_is_too_short_to_say_anything_is_not_kept(own_cache: Path) -> None:
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=0.1, pieces=3)
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=10, pieces=0)
    assert not list(own_cache.iterdir())


def test_a_damaged_note_and_a_cache_that_cannot_be_written_do_no_harm(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=30.0, pieces=1000)
    (note,) = (own_cache / "pace").iterdir()
    for text in ("{", "[1]", '{"learning": "fast"}', '{"learning": null}'):
        note.write_text(text)
        assert observed(DEVICE, "f" * 64, "bfloat16") == {}
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CROSSINIT_CACHE", str(tmp_path / "file"))
    remember(DEVICE, "f" * 64, "bfloat16", "learning", seconds=30.0, pieces=1000)
