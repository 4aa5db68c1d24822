"""Where a run goes."""

from __future__ import annotations

import pytest

from crossinit_batch.engines import placement
from crossinit_batch.engines.placement import Placement, RunOptions, place
from crossinit_batch.errors import RequestError
from crossinit_batch.plan.estimate import Workers
from crossinit_batch.plan.shard import Shard


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four devices, none of which is touched."""
    monkeypatch.setattr(placement, "all_devices", lambda: tuple(f"cuda:{number}" for number in range(4)))
    monkeypatch.setattr(placement, "known_device", lambda name: name)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "all_devices", lambda: ("cpu",))


def test_every_device_gets_a_worker_process() -> None:
    assert place(RunOptions(), {}) == Placement(("cuda:0", "cuda:1", "cuda:2", "cuda:3"), True, None)


def test_one_device_is_used_in_this_process_unless_workers_are_asked_for(no_gpu: None) -> None:
    assert place(RunOptions(), {}) == Placement(("cpu",), False, None)
    assert place(RunOptions(device="cpu"), {}) == Placement(("cpu",), False, None)
    assert place(RunOptions(workers=1), {}) == Placement(("cpu",), True, None)
    assert place(RunOptions(workers=3), {}) == Placement(("cpu",) * 3, True, None)


def test_devices_and_workers_can_be_chosen() -> None:
    assert place(RunOptions(devices="cuda:0, cuda:3"), {}).devices == ("cuda:0", "cuda:3")
    assert place(RunOptions(devices="cuda:0,cuda:3", workers=3), {}).devices == ("cuda:0", "cuda:3", "cuda:0")
    assert place(RunOptions(workers=2), {}).devices == ("cuda:0", "cuda:1")
    assert place(RunOptions(workers=6), {}).workers == Workers(6, devices=4)
    assert place(RunOptions(workers=6), {}).sharing == 2 and place(RunOptions(), {}).sharing == 1
    assert place(RunOptions(workers=6), {}).label == "2 x cuda:0, 2 x cuda:1, cuda:2, cuda:3"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (RunOptions(device="cpu", workers=2), "--device names the one device"),
        (RunOptions(device="cpu", devices="cpu"), "--device names the one device"),
        (RunOptions(devices="cpu,cuda:0"), "of different kinds"),
        (RunOptions(shard="4/3"), "no part of a whole"),
    ],
)
def test_what_contradicts_itself_is_refused(options: RunOptions, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        place(options, {})
    assert caught.value.hint


TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}


def test_a_process_of_a_launcher_takes_its_part_and_its_device() -> None:
    assert place(RunOptions(), TORCHRUN) == Placement(("cuda:1",), False, Shard(5, 8))
    assert place(RunOptions(device="cpu"), TORCHRUN).devices == ("cpu",)


@pytest.mark.usefixtures("no_gpu")
def test_where_a_process_sees_one_device_it_takes_that() -> None:
    assert place(RunOptions(), TORCHRUN).devices == ("cpu",)


@pytest.mark.parametrize("options", [RunOptions(devices="cuda:0"), RunOptions(workers=2)])
def test_a_launcher_and_our_own_workers_do_not_go_together(options: RunOptions) -> None:
    for environ in (TORCHRUN, {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}):
        with pytest.raises(RequestError, match="--devices and --workers do not go with it") as caught:
            place(options, environ)
        assert "each process takes its part" in caught.value.hint


ARRAY = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"}


def test_an_array_task_uses_all_its_devices() -> None:
    placed = place(RunOptions(), ARRAY)
    assert (placed.shard, len(placed.devices), placed.shard_name) == (Shard(1, 3), 4, "shard-2-of-3")
    assert place(RunOptions(workers=2), ARRAY).supervised


def test_the_option_goes_before_what_the_scheduler_says() -> None:
    assert place(RunOptions(shard="1/5"), ARRAY).shard == Shard(0, 5)
    assert place(RunOptions(shard="1/5"), {"JOB_COMPLETION_INDEX": "3"}).shard == Shard(0, 5)


def test_a_launcher_in_an_array_task_splits_its_part() -> None:
    assert place(RunOptions(), {**ARRAY, **TORCHRUN}).shard == Shard(1 * 8 + 5, 3 * 8)
    assert place(RunOptions(shard="2/2"), TORCHRUN).shard == Shard(8 + 5, 16)


def test_an_index_of_kubernetes_counts_what_the_launcher_counts() -> None:
    environ = {"JOB_COMPLETION_INDEX": "1", "CROSSINIT_SHARDS": "2", **TORCHRUN}
    assert place(RunOptions(), environ).shard == Shard(5, 8)
