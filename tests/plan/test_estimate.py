"""The cost model: what is estimated grows as the work does, and an earlier run's pace is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossinit_batch.evaluation.judges import weight_bytes
from crossinit_batch.model.device_speed import Device, remember
from crossinit_batch.plan import estimate as workers
from crossinit_batch.plan.batches import with_batches
from crossinit_batch.plan.estimate import (
    DECODING,
    START,
    Work,
    Workers,
    drawing,
    estimate,
    expected_of,
    judging,
    work_left,
)
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.judges import planned_judges
from crossinit_batch.plan.plan import Plan
from crossinit_batch.settings import DEMO_EVALUATION, EvaluationSettings, IdentitySettings
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan

DEVICE, PROCESSOR = Device("cuda", "NVIDIA H200"), Device("cpu", "Some Processor")
WORK = Work(artifacts=2, learning={"learning": 5120}, pictures=4, denoising_samples=400)
NOTHING = Work(0, {}, 0, 0)


def paced(plan: Plan, device: Device, **seconds: float) -> None:
    """An earlier run on the device has left these seconds a piece."""
    names = {
        "learning": "learning",
        "drawing": drawing(plan),
        "decoding": DECODING,
        "judging": judging(plan.judges),
    }
    for work, one in seconds.items():
        remember(device, plan.model.fingerprint, plan.model.dtype, names[work], 1000 * one, 1000)


def judged_plan() -> Plan:
    return a_plan().model_copy(update={"judges": planned_judges(DEMO_EVALUATION)})


def test_an_earlier_run_on_the_device_is_believed(pipeline_folder: Path) -> None:
    plan = a_plan()
    counted = estimate(plan, [WORK], pipeline_folder, DEVICE)
    assert not counted.measured and counted.learning > 0 and counted.drawing > 0 and counted.judging == 0
    paced(plan, DEVICE, learning=0.01, drawing=0.02, decoding=0.5)
    found = estimate(plan, [WORK], pipeline_folder, DEVICE)
    assert found.measured
    assert found.learning == pytest.approx(51.2) and found.drawing == pytest.approx(8 + 2)
    assert found.device_seconds == pytest.approx(61.2) and found.wall == pytest.approx(found.start + 61.2)


def test_the_estimate_grows_with_the_work_but_not_its_start(pipeline_folder: Path) -> None:
    plan, double = a_plan(), Work(4, {"learning": 10240}, 8, 800)
    one, two = (estimate(plan, [work], pipeline_folder, DEVICE) for work in (WORK, double))
    assert two.device_seconds == pytest.approx(2 * one.device_seconds)
    assert two.start == one.start > 5
    assert estimate(plan, [NOTHING], pipeline_folder, DEVICE).device_seconds == 0
    assert estimate(plan, [], pipeline_folder, DEVICE).device_seconds == 0


def test_a_start_that_was_seen_is_believed(pipeline_folder: Path) -> None:
    plan = a_plan()
    remember(DEVICE, plan.model.fingerprint, plan.model.dtype, START, 21.0, 1)
    assert estimate(plan, [WORK], pipeline_folder, DEVICE).start == pytest.approx(21)
    assert 21 < estimate(plan, [WORK, WORK], pipeline_folder, DEVICE, Workers(2, 2)).start < 25


def test_workers_divide_the_batches_and_the_last_one_counts(pipeline_folder: Path) -> None:
    plan = a_plan()
    paced(plan, DEVICE, learning=0.01, drawing=0.02, decoding=0.5)
    works = [Work(1, {"learning": samples}, 0, 0) for samples in (8000, 8000, 1000)]
    alone = estimate(plan, works, pipeline_folder, DEVICE)
    assert (alone.workers, alone.device_seconds, alone.longest) == (1, pytest.approx(170), pytest.approx(170))
    two = estimate(plan, works, pipeline_folder, DEVICE, Workers(2, 2))
    assert (two.workers, two.device_seconds, two.longest) == (2, pytest.approx(170), pytest.approx(90))
    many = estimate(plan, [*works, NOTHING], pipeline_folder, DEVICE, Workers(8, 8))
    assert (many.workers, many.longest) == (3, pytest.approx(80)), "there is no more to hand out"
    assert many.start == two.start > alone.start, "worker processes import at once, after the run's own"


def test_workers_that_share_a_device_wait_for_each_other(
    pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan()
    monkeypatch.setattr(workers, "cores", lambda: 2)
    works = [Work(1, {"learning": 1000}, 0, 0)] * 4
    for device, places in ((DEVICE, Workers(4, 2)), (PROCESSOR, Workers(4, 1))):
        paced(plan, device, learning=0.01)
        assert estimate(plan, works, pipeline_folder, device, places).longest == pytest.approx(20)


def test_judging_counts_where_there_are_judges(pipeline_folder: Path, tmp_path: Path) -> None:
    plan = judged_plan()
    inventory = take_inventory(Store(str(tmp_path)), plan)
    assert work_left(inventory).judgements == work_left(inventory).pictures == 4
    counted = estimate(plan, [work_left(inventory)], pipeline_folder, PROCESSOR)
    assert 4 * 0.02 < counted.judging < 4
    paced(plan, PROCESSOR, learning=0.01, drawing=0.02, decoding=0.5)
    assert not estimate(plan, [work_left(inventory)], pipeline_folder, PROCESSOR).measured
    paced(plan, PROCESSOR, judging=2.0)
    found = estimate(plan, [work_left(inventory)], pipeline_folder, PROCESSOR)
    assert found.measured and found.judging == pytest.approx(8) and "judging 8 s" in found.summary


def test_learning_in_the_output_does_not_pass_the_encoder(pipeline_folder: Path, tmp_path: Path) -> None:
    plan = a_plan(methods=("cross-init", "cross-init-fast"))
    slow, fast = plan.methods
    assert slow.settings
    there = replace(slow, settings=slow.settings.model_copy(update={"place": "output"}))
    outer = "learning-in-the-output"
    plan = plan.model_copy(update={"methods": (there, fast)})
    work = work_left(take_inventory(Store(str(tmp_path)), plan))
    assert work.learning == {outer: 2 * 320 * 8, "learning": 2 * 25 * 8}
    alike = Work(4, {"learning": work.optimisation_samples}, 0, 0)
    outside = Work(4, work.learning, 0, 0)
    for device in (DEVICE, PROCESSOR):
        inside, out = (estimate(plan, [one], pipeline_folder, device).learning for one in (alike, outside))
        assert 0.3 * inside < out < inside
    paced(plan, DEVICE, learning=0.01, drawing=0.02, decoding=0.5)
    assert not estimate(plan, [outside], pipeline_folder, DEVICE).measured, "that pace is not known yet"


def test_the_estimate_in_a_line(pipeline_folder: Path) -> None:
    plan = a_plan()
    paced(plan, PROCESSOR, learning=0.01, drawing=0.02, decoding=0.001)
    one = estimate(plan, [WORK], pipeline_folder, PROCESSOR).summary
    assert "1 worker on Some Processor (start 5 s, learning 51 s, drawing 8 s)" in one
    some = estimate(plan, [WORK, WORK], pipeline_folder, DEVICE, Workers(2, 2)).summary
    assert some.startswith("estimate by counted operations: ") and "2 workers on NVIDIA H200 (start 13 s; " in some


def test_the_size_of_judges_is_known_where_they_are(tmp_path: Path) -> None:
    faces, clip = weight_bytes(DEMO_EVALUATION)
    assert 1e6 < faces < 3e6 and 1e6 < clip < 5e6
    assert weight_bytes(DEMO_EVALUATION.model_copy(update={"identity": None})) == (0, clip)
    (tmp_path / "detection.onnx").write_bytes(b"x" * 100)
    (tmp_path / "recognition.onnx").write_bytes(b"x" * 200)
    pack = EvaluationSettings(identity=IdentitySettings(weights=f"insightface:{tmp_path}"), prompt=None)
    assert weight_bytes(pack) == (300, 0)


def test_what_is_left_is_counted_batch_by_batch(pipeline_folder: Path, tmp_path: Path) -> None:
    plan = a_plan()
    plan = plan.model_copy(update={"compute": plan.compute.model_copy(update={"identities_per_batch": 1})})
    paced(plan, DEVICE, learning=0.01, drawing=0.001, decoding=0.001)
    inventory = take_inventory(Store(str(tmp_path)), plan)
    batches = with_batches(plan, inventory.pending, None).batches
    assert [work_left(inventory, batch).artifacts for batch in batches] == [1, 1]
    assert expected_of(inventory, batches, pipeline_folder, DEVICE, Workers(2, 2)).longest == pytest.approx(
        25.6 + 0.2 + 0.002
    )
    assert expected_of(inventory, batches[:1], pipeline_folder, DEVICE, Workers(2, 2)).workers == 1


def test_a_precision_left_to_the_program_is_the_devices(pipeline_folder: Path) -> None:
    plan = a_plan()
    left = plan.model_copy(update={"model": plan.model.model_copy(update={"dtype": "auto"})})
    remember(DEVICE, plan.model.fingerprint, "bfloat16", "learning", 10.0, 1000)
    assert estimate(left, [Work(1, {"learning": 100}, 0, 0)], pipeline_folder, DEVICE).learning == pytest.approx(1.0)
    remember(PROCESSOR, plan.model.fingerprint, "float32", "learning", 20.0, 1000)
    assert estimate(left, [Work(1, {"learning": 100}, 0, 0)], pipeline_folder, PROCESSOR).learning == pytest.approx(2.0)


def test_larger_pictures_have_a_pace_of_their_own(pipeline_folder: Path) -> None:
    plan = a_plan()
    large = plan.model_copy(update={"render": plan.render.model_copy(update={"size": 512})})
    remember(DEVICE, plan.model.fingerprint, plan.model.dtype, drawing(plan), 1.0, 1000)
    assert not estimate(large, [WORK], pipeline_folder, DEVICE).measured
