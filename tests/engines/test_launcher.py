"""Which part of a run is ours, from options and from what launchers and schedulers set."""

from __future__ import annotations

import pytest

from crossinit_batch.engines.launcher import find_launch, find_shard
from crossinit_batch.errors import RequestError
from crossinit_batch.plan.shard import Shard, parse_shard


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(0, 1)), ("3/16", Shard(2, 16)), (" 16/16 ", Shard(15, 16))])
def test_a_shard_is_counted_from_one(text: str, shard: Shard) -> None:
    assert parse_shard(text) == shard
    assert str(shard) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "3", "0/16", "17/16", "-1/2", "1/0", "a/b", "1/2/3", "1.0/2", "¹/²", "1/9999999999"]
)
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="is no part of a whole") as caught:
        parse_shard(text)
    assert "3/16" in caught.value.hint


def test_the_parts_of_all_parts_are_all_parts() -> None:
    assert sorted(Shard(i, 3).split(j, 4).index for i in range(3) for j in range(4)) == list(range(12))
    assert Shard(2, 3).split(3, 4) == Shard(11, 12)


def slurm_array(task: int, first: int, last: int, step: int, count: int) -> dict[str, str]:
    words = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{word}": str(number) for word, number in words.items()}


@pytest.mark.parametrize(("first", "last", "step"), [(0, 15, 1), (1, 16, 1), (0, 30, 2), (5, 35, 5), (7, 7, 1)])
def test_a_slurm_array_divides_a_run_whatever_its_numbers(first: int, last: int, step: int) -> None:
    tasks = range(first, last + 1, step)
    shares = [find_shard(slurm_array(task, first, last, step, len(tasks))) for task in tasks]
    assert shares == [Shard(index, len(tasks)) for index in range(len(tasks))]


@pytest.mark.parametrize(
    "environ",
    [
        slurm_array(5, 1, 7, 1, 3),  # --array=1,5,7
        slurm_array(1, 1, 7, 1, 3),
        slurm_array(3, 0, 30, 2, 16),
        slurm_array(9, 0, 7, 1, 8),
        {"SLURM_ARRAY_TASK_ID": "1"},
        {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"},
    ],
)
def test_an_array_that_is_no_even_row_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        find_shard(environ)
    assert "--shard" in caught.value.hint


def test_an_indexed_job_of_kubernetes_says_how_many_there_are() -> None:
    assert find_shard({"JOB_COMPLETION_INDEX": "2", "CROSSINIT_SHARDS": "5"}) == Shard(2, 5)
    with pytest.raises(RequestError, match="not how many there are") as caught:
        find_shard({"JOB_COMPLETION_INDEX": "2"})
    assert "CROSSINIT_SHARDS" in caught.value.hint
    with pytest.raises(RequestError, match="JOB_COMPLETION_INDEX is 5 and CROSSINIT_SHARDS is 5"):
        find_shard({"JOB_COMPLETION_INDEX": "5", "CROSSINIT_SHARDS": "5"})


def test_alone_there_is_no_part() -> None:
    assert find_shard({}) is None
    assert find_launch({}) is None
    assert find_launch({"RANK": "1"}) is None


def test_torchrun_and_accelerate_launch_number_their_processes() -> None:
    launch = find_launch({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"})
    assert launch is not None
    assert (launch.shard, launch.local_rank) == (Shard(5, 8), 1)
    with pytest.raises(RequestError, match="RANK is 8 and WORLD_SIZE is 8"):
        find_launch({"RANK": "8", "WORLD_SIZE": "8"})


SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}


def test_srun_numbers_its_tasks() -> None:
    launch = find_launch(SRUN)
    assert launch is not None
    assert (launch.shard, launch.local_rank) == (Shard(3, 4), 1)
    smaller = find_launch({**SRUN, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"})  # srun -n 2 in a job of 4 tasks
    assert smaller is not None and smaller.shard == Shard(1, 2)
    assert find_launch({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}) is not None


def test_an_sbatch_script_of_several_tasks_that_runs_us_once_has_us_do_everything() -> None:
    """Slurm calls the script itself task 0 of 4; the other three are nowhere."""
    script = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
    assert find_launch(script) is None


def test_one_task_of_one_is_no_launch() -> None:
    assert find_launch({**SRUN, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) is None
