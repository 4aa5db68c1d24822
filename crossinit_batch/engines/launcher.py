"""Which part of a run is this process's: asked for, or read from what a launcher or scheduler has set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crossinit_batch.errors import RequestError

COUNT_VARIABLE = "CROSSINIT_SHARDS"
"""How many shards there are, where a scheduler tells its tasks only their number."""


@dataclass(frozen=True)
class Share:
    """Part `index` (from 0) of `count` equal parts of a run."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    @property
    def part(self) -> str:
        """Its name in the output folder."""
        return f"shard-{self.index + 1}-of-{self.count}"

    def split(self, index: int, count: int) -> Share:
        """Part `index` of `count` equal parts of this one."""
        return Share(self.index * count + index, self.count * count)


@dataclass(frozen=True)
class Launch:
    """A process among others that a launcher has started: its part, and its number on this machine."""

    share: Share
    local_rank: int
    launcher: str


def parse_share(text: str) -> Share:
    """The share of an option like 3/16; RequestError for anything else."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    number, count = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise RequestError(f"--shard {text!r} is no part of a whole", "Write it like 3/16: the third of sixteen.")
    return Share(number - 1, count)


def find_launch(environ: Mapping[str, str]) -> Launch | None:
    """The place among the processes of `accelerate launch`, torchrun or srun, or None where there is no launcher."""
    if "RANK" in environ and "WORLD_SIZE" in environ:
        share = _share(environ, "RANK", "WORLD_SIZE")
        return Launch(share, _number(environ, "LOCAL_RANK", 0), "WORLD_SIZE (accelerate launch, torchrun)")
    if "SLURM_PROCID" not in environ or "SLURM_NTASKS" not in environ or _is_batch_script(environ):
        return None
    count = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environ else "SLURM_NTASKS"
    share = _share(environ, "SLURM_PROCID", count)
    if share.count == 1:
        return None
    return Launch(share, _number(environ, "SLURM_LOCALID", 0), "SLURM_NTASKS (srun)")


def find_share(environ: Mapping[str, str]) -> Share | None:
    """The part that an array task of Slurm or an indexed Kubernetes job has, or None where there is neither."""
    if "SLURM_ARRAY_TASK_ID" in environ:
        return _slurm_array(environ)
    if "JOB_COMPLETION_INDEX" in environ:
        if COUNT_VARIABLE not in environ:
            raise RequestError(
                "JOB_COMPLETION_INDEX is set, but not how many there are",
                f"Set {COUNT_VARIABLE} to the job's `completions`, or say --shard; --shard 1/1 does everything.",
            )
        return _share(environ, "JOB_COMPLETION_INDEX", COUNT_VARIABLE)
    return None


def _is_batch_script(environ: Mapping[str, str]) -> bool:
    """Whether we run straight from an sbatch script: then Slurm's task number is 0 and nobody does the others."""
    return "SLURM_JOB_ID" in environ and "SLURM_STEP_ID" not in environ


def _slurm_array(environ: Mapping[str, str]) -> Share:
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
    return Share(index, count)


def _share(environ: Mapping[str, str], index: str, count: str) -> Share:
    share = Share(_number(environ, index), _number(environ, count))
    if not 0 <= share.index < share.count:
        raise RequestError(
            f"{index} is {share.index} and {count} is {share.count}, which is no part of a whole",
            f"Unset {index} to run alone, or say --shard.",
        )
    return share


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"-?\d{1,9}", text.strip(), re.ASCII):
        raise RequestError(f"{name} is {text!r} and should be a number", f"Unset {name}, or say --shard.")
    return int(text)
