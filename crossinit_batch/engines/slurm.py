"""A run as an array job of Slurm: the script that every task of it executes, and its submission to sbatch."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from crossinit_batch.errors import RequestError

_BODY = """\
# The signal comes to this shell alone, so long before the end; the run saves within seconds and ends with 75.
trap 'kill -TERM "$run" 2>/dev/null' TERM
{command} &
run=$!
wait "$run"
code=$?
while [ "$code" -gt 128 ] && kill -0 "$run" 2>/dev/null; do  # the trap has ended `wait`, and the run goes on
    wait "$run"
    code=$?
done
if [ "$code" -gt 128 ]; then  # it may have ended between the two; its own code is remembered
    wait "$run"
    own=$?
    [ "$own" -eq 127 ] || code=$own
fi
if [ "$code" -eq 75 ]; then
    # This task alone begins again, and goes on where it was.
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""


@dataclass(frozen=True)
class SlurmOptions:
    """Options for sbatch; `extra` are further arguments, passed unchanged."""

    tasks: int
    name: str
    log: str
    partition: str | None = None
    time: str | None = None
    gpus: int | None = None
    cpus: int | None = None
    notice: int = 120
    extra: tuple[str, ...] = ()


def script_text(command: Sequence[str], options: SlurmOptions) -> str:
    """The array script; RequestError for a value that no line of it can hold. A pure function."""
    wanted = [
        f"--job-name={options.name}",
        f"--array=0-{options.tasks - 1}",
        f"--output={options.log}",
        "--open-mode=append",
        "--requeue",
        f"--signal=B:TERM@{options.notice}",
        *([f"--partition={options.partition}"] if options.partition is not None else []),
        *([f"--time={options.time}"] if options.time is not None else []),
        *([f"--gpus-per-task={options.gpus}"] if options.gpus else []),
        *(["--ntasks=1"] if options.gpus else []),
        *([f"--cpus-per-task={options.cpus}"] if options.cpus else []),
        *options.extra,
    ]
    for value in (*wanted, *command):
        if not value.isprintable():
            raise RequestError(f"{value!r} has a line break or a control character", "Write it without.")
    lines = ["#!/bin/bash", *(f"#SBATCH {shlex.quote(value)}" for value in wanted), "", ""]
    return "\n".join(lines) + _BODY.format(command=shlex.join(command))


def submit_script(text: str) -> str:
    """Submit a script to sbatch; the job's number, or RequestError with sbatch's message."""
    try:
        done = subprocess.run(["sbatch", "--parsable"], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise RequestError(
            "there is no sbatch on this machine", "Submit from a login node of the cluster, or use --print."
        ) from None
    if done.returncode:
        raise RequestError(f"sbatch refused the job: {done.stderr.strip() or done.returncode}", "Mend that option.")
    return done.stdout.strip().partition(";")[0]
