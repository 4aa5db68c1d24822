"""Which shard of a run this process does: as asked for, or from a launcher's or scheduler's environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crossinit_batch.errors import RequestError
from crossinit_batch.plan.shard import Shard

COUNT_VARIABLE = "CROSSINIT_SHARDS"
"""How many shards there are, where a scheduler gives its tasks only their number."""


@dataclass(frozen=True)
class Launch:
    """One of the processes that a launcher has started: its shard, and its local rank on this machine."""

    shard: Shard
    local_rank: int
    launcher: str


def find_launch(environ: Mapping[str, str]) -> Launch | None:
    """The rank among the processes of `accelerate launch`, torchrun or srun, or None where there is no launcher."""
    if "RANK" in environ and "WORLD_SIZE" in environ:
        shard = _shard(environ, "RANK", "WORLD_SIZE")
        return Launch(shard, _number(environ, "LOCAL_RANK", 0), "WORLD_SIZE (accelerate launch, torchrun)")
    if "SLURM_PROCID" not in environ or "SLURM_NTASKS" not in environ or _is_batch_script(environ):
        return None
    count = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environ else "SLURM_NTASKS"
    shard = _shard(environ, "SLURM_PROCID", count)
    if shard.count == 1:
        return None
    return Launch(shard, _number(environ, "SLURM_LOCALID", 0), "SLURM_NTASKS (srun)")


def find_shard(environ: Mapping[str, str]) -> Shard | None:
    """The shard of an array task of Slurm or an indexed Kubernetes job, or None where there is neither."""
    if "SLURM_ARRAY_TASK_ID" in environ:
        return _slurm_array(environ)
    if "JOB_COMPLETION_INDEX" in environ:
        if COUNT_VARIABLE not in environ:
            raise RequestError(
                "JOB_COMPLETION_INDEX is set, but not how many there are",
                f"Set {COUNT_VARIABLE} to the job's `completions`, or say --shard; --shard 1/1 does everything.",
            )
        return _shard(environ, "JOB_COMPLETION_INDEX", COUNT_VARIABLE)
    return None


def _is_batch_script(environ: Mapping[str, str]) -> bool:
    """Whether we run straight from an sbatch script: then Slurm's task number is 0 and nobody does the others."""
    return "SLURM_JOB_ID" in environ and "SLURM_STEP_ID" not in environ


def _slurm_array(environ: Mapping[str, str]) -> Shard:
    """--array=0-15, 1-16 or 0-30:2 alike; a list such as 1,5,7 has no even steps and is refused."""
    task, count = _number(environ, "SLURM_ARRAY_TASK_ID"), _number(environ, "SLURM_ARRAY_TASK_COUNT")
    first, last = _number(environ, "SLURM_ARRAY_TASK_MIN", 0), _number(environ, "SLURM_ARRAY_TASK_MAX", -1)
    step = max(_number(environ, "SLURM_ARRAY_TASK_STEP", 1), 1)
    index, rest = divmod(task - first, step)
    uneven = last >= 0 and (last - first) // step + 1 != count
    if rest or uneven or not 0 <= index < count:
        raise RequestError(
            f"Slurm's array has {count} tasks and this is number {task} from {first} in steps of {step}, "
            "which is no even row",
            "Submit it as --array=0-15 or with an even step, or say --shard.",
        )
    return Shard(index, count)


def _shard(environ: Mapping[str, str], index: str, count: str) -> Shard:
    shard = Shard(_number(environ, index), _number(environ, count))
    if not 0 <= shard.index < shard.count:
        raise RequestError(
            f"{index} is {shard.index} and {count} is {shard.count}, which is no part of a whole",
            f"Unset {index} to run alone, or say --shard.",
        )
    return shard


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"-?\d{1,9}", text.strip(), re.ASCII):
        raise RequestError(f"{name} is {text!r} and should be a number", f"Unset {name}, or say --shard.")
    return int(text)
