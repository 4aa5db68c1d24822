"""The command that submits a run to a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crossinit_batch.console.terminal import out, tell
from crossinit_batch.errors import RequestError


def submit(
    manifest: Annotated[Path, typer.Argument(help="A manifest, in a folder that the cluster's machines see.")],
    slurm: Annotated[bool, typer.Option("--slurm", help="As an array job of Slurm.")] = False,
    tasks: Annotated[int, typer.Option(min=1, max=100000, help="Array tasks; each does a part.")] = 1,
    partition: Annotated[str | None, typer.Option(help="Slurm's partition.")] = None,
    time: Annotated[str | None, typer.Option(help="Time limit of a task, such as 04:00:00.")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs of a task.")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of a task.")] = None,
    notice: Annotated[int, typer.Option(min=20, max=3600, help="Seconds before its end that a task saves.")] = 120,
    log: Annotated[str | None, typer.Option(help="Log file; %A is the job, %a the task.")] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--sbatch", help="An argument for sbatch; may be repeated.")
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Option("--run", help="An argument for `crossinit run`; may be repeated.")
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Show the script; submit nothing.")] = False,
) -> None:
    """Submit a run as an array job.

    A task that is stopped before its end saves and is queued again, alone. The last task to end writes the report.
    """
    if not slurm:
        raise RequestError("submit does not know where to", "Add --slurm.")
    from crossinit_batch.engines.slurm import SlurmOptions, script_text, submit_script
    from crossinit_batch.manifest.load import load_manifest

    loaded = load_manifest(manifest)
    command = [sys.executable, "-m", "crossinit_batch", "run", str(manifest.resolve()), *(arguments or ())]
    options = SlurmOptions(
        tasks=tasks,
        name=f"crossinit-{loaded.name}",
        log=log or str(Path.cwd() / f"crossinit-{manifest.stem.replace('%', '%%')}-%A_%a.log"),
        partition=partition,
        time=time,
        gpus=gpus,
        cpus=cpus,
        notice=notice,
        extra=tuple(extra or ()),
    )
    text = script_text(command, options)
    if print_only:
        out().write(text)
        return
    number = submit_script(text)
    tell(f"Submitted job {number} of {tasks} tasks. How far it is: crossinit status {loaded.output}")
