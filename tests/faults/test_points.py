"""A process that is killed at any moment of any write, and run again, leaves what an uninterrupted one leaves.

Battery rows 1 and 8. The kills are real: SIGKILL, at each fault point, each time the process comes by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.fault_points import VARIABLE, Point
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import SmallRun, small_values
from tests.faults.warm import Warm
from tests.helpers.buckets import s3_environment
from tests.helpers.tree import tree_of

ON_DISKS = [point for point in Point if not point.endswith(("-put", "-create"))]
IN_BUCKETS = [point for point in Point if point.endswith(("-put", "-create", "-remove"))]


@pytest.fixture
def smallest(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """One person, one method, one picture, a checkpoint at each of two steps."""
    values: dict[str, Any] = small_values(pipeline_folder, ("ada",), prompts=["a photo of a {} person"])
    values["methods"] = [{"name": "quick", "use": "cross-init-fast", "steps": 2, "batch_size": 1}]
    values["compute"] = {"identities_per_batch": 1, "images_per_batch": 1, "checkpoint_every": 1}
    values["render"] = {"images_per_prompt": 1, "steps": 1}
    return SmallRun(photographs.parent, values)


def content(store: Store) -> dict[str, str]:
    """The whole tree; the manifest's own copy names the output."""
    return {**tree_of(store), layout.MANIFEST: ""}


def uninterrupted(warm: Warm, run: SmallRun, environment: dict[str, str]) -> dict[str, str]:
    """The content that a run leaves when nobody kills it."""
    whole = run.at(f"{run.values['output']}-whole")
    assert warm.run("run", str(whole.save()), "--device", "cpu", environment=environment).code == 0
    return content(whole.store)


def kills_at(
    warm: Warm, run: SmallRun, expected: dict[str, str], point: Point, numbers: range, environment: dict[str, str]
) -> int:
    """Kill a run when it comes to a point for the 1st time, another at the 2nd (...), until one gets through, and
    run each again; how many were killed."""
    for kills, number in enumerate(numbers):
        cut = run.at(f"{run.values['output']}-{point}-{number}")
        again = ["run", str(cut.save()), "--device", "cpu"]
        ended = warm.run(*again, environment={**environment, VARIABLE: f"{point}:{number}"})
        if not ended.killed:
            assert ended.code == 0, ended.text
            return kills
        found = verify(cut.store)
        assert found.findings == (), (point, number, found)  # whatever has a receipt is whole
        if number % 2 and layout.PLAN in cut.store.listing():
            again = ["resume", cut.output, "--device", "cpu"]
        ended = warm.run(*again, environment=environment)
        assert ended.code == 0, (point, number, ended.text)
        assert content(cut.store) == expected, (point, number)
        if cut.store.is_local:
            assert not [path for path in Path(cut.output).rglob("*") if ".tmp-" in path.name], (point, number)
        assert not [name for name in cut.store.listing() if name.startswith((layout.LEASES, layout.CHECKPOINTS))]
    raise AssertionError(f"{point} is passed for ever")


def some(points: list[Point], every: int) -> list[tuple[Point, range]]:
    """Every point, each with some of the times that it is passed, other ones at each point."""
    return [(point, range(1 + index % every, 200, every)) for index, point in enumerate(points)]


def test_a_run_on_a_disk_survives_sigkill_at_every_point(warm: Warm, smallest: SmallRun) -> None:
    expected = uninterrupted(warm, smallest, {})
    kills = {point: kills_at(warm, smallest, expected, point, numbers, {}) for point, numbers in some(ON_DISKS, 5)}
    assert all(number >= (0 if "remove" in point else 2) for point, number in kills.items()), kills


def test_a_run_in_a_bucket_survives_sigkill_at_every_point(
    warm: Warm, smallest: SmallRun, s3: str, s3_server: str
) -> None:
    environment, far = s3_environment(s3_server), smallest.at(f"{s3}/out")
    expected = uninterrupted(warm, far, environment)
    kills = {
        point: kills_at(warm, far, expected, point, numbers, environment) for point, numbers in some(IN_BUCKETS, 11)
    }
    assert all(number >= (1 if "put" in point else 0) for point, number in kills.items()), kills


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("point", ON_DISKS)
def test_every_single_time_on_a_disk(warm: Warm, smallest: SmallRun, point: Point) -> None:
    expected = uninterrupted(warm, smallest, {})
    assert kills_at(warm, smallest, expected, point, range(1, 200), {}) >= (2 if "remove" in point else 12)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("point", IN_BUCKETS)
def test_every_single_time_in_a_bucket(warm: Warm, smallest: SmallRun, s3: str, s3_server: str, point: Point) -> None:
    environment, far = s3_environment(s3_server), smallest.at(f"{s3}/out")
    kills = kills_at(warm, far, uninterrupted(warm, far, environment), point, range(1, 200), environment)
    assert kills >= (12 if "put" in point else 2)
