"""The cost model: what is estimated grows as the work does, and an earlier run's pace is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from results import a_plan

from crossinit_batch.cost import DECODING, LEARNING, Work, drawing, estimate
from crossinit_batch.device_speed import Device, remember

DEVICE = Device("cuda", "NVIDIA H200")
WORK = Work(embeddings=2, pictures=4, optimisation_samples=5120, denoising_samples=400)


def test_an_earlier_run_on_the_device_is_believed(pipeline_folder: Path) -> None:
    plan = a_plan()
    counted = estimate(plan, WORK, pipeline_folder, DEVICE)
    assert not counted.measured and counted.learning > 0 and counted.drawing > 0
    for work, seconds in ((LEARNING, 0.01), (drawing(plan), 0.02), (DECODING, 0.5)):
        remember(DEVICE, plan.model.fingerprint, plan.model.dtype, work, 1000 * seconds, 1000)
    found = estimate(plan, WORK, pipeline_folder, DEVICE)
    assert found.measured
    assert found.learning == pytest.approx(51.2) and found.drawing == pytest.approx(8 + 2)
    assert found.device_seconds == pytest.approx(61.2) and found.wall == pytest.approx(found.start + 61.2)


def test_the_estimate_grows_with_the_work_but_not_its_start(pipeline_folder: Path) -> None:
    plan, double = a_plan(), Work(4, 8, 10240, 800)
    one, two = (estimate(plan, work, pipeline_folder, DEVICE) for work in (WORK, double))
    assert two.device_seconds == pytest.approx(2 * one.device_seconds)
    assert two.start == one.start > 5
    assert estimate(plan, Work(0, 0, 0, 0), pipeline_folder, DEVICE).device_seconds == 0


def test_a_precision_left_to_the_program_is_the_devices(pipeline_folder: Path) -> None:
    plan = a_plan()
    left = plan.model_copy(update={"model": plan.model.model_copy(update={"dtype": "auto"})})
    remember(DEVICE, plan.model.fingerprint, "bfloat16", LEARNING, 10.0, 1000)
    assert estimate(left, Work(1, 0, 100, 0), pipeline_folder, DEVICE).learning == pytest.approx(1.0)
    processor = Device("cpu", "Some Processor")
    remember(processor, plan.model.fingerprint, "float32", LEARNING, 20.0, 1000)
    assert estimate(left, Work(1, 0, 100, 0), pipeline_folder, processor).learning == pytest.approx(2.0)


def test_larger_pictures_have_a_pace_of_their_own(pipeline_folder: Path) -> None:
    plan = a_plan()
    large = plan.model_copy(update={"render": plan.render.model_copy(update={"size": 512})})
    remember(DEVICE, plan.model.fingerprint, plan.model.dtype, drawing(plan), 1.0, 1000)
    assert not estimate(large, WORK, pipeline_folder, DEVICE).measured
