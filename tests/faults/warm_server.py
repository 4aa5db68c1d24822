"""A process that has imported everything and loaded a small model, and forks into the command line when told to.

So a run that is to be killed starts in milliseconds and dies by a real signal. Its worker processes are forked too; the
program itself starts new interpreters, as in `end_to_end/test_workers.py`. Each line of input is a request (JSON: args,
environment, log, kill_after); its one answer is what the process ended with.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from crossinit_batch import cli
from crossinit_batch.model.base_model import BaseModel, Counters
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings
from crossinit_batch.storage import fault_points


def warm_up(model: str) -> None:
    """Import what a run imports, and keep the model's weights, which are frozen, for all who are forked from here."""
    import crossinit_batch.console.tables
    import crossinit_batch.engines.local
    import crossinit_batch.engines.serve
    import crossinit_batch.report.verify
    import crossinit_batch.report.write
    import crossinit_batch.runner.run  # noqa: F401

    load = BaseModel.load
    source = fetched_model(ModelSettings(id=model))
    warm = load(source, torch.device("cpu"), "float32")

    def remembered(wanted: Any, device: Any, dtype: str, counters: Counters | None = None) -> BaseModel:
        if (wanted.fingerprint, str(device), dtype) != (source.fingerprint, "cpu", "float32"):
            return load(wanted, device, dtype, counters)
        return replace(warm, counters=counters or Counters())

    BaseModel.load = remembered  # type: ignore[assignment]


def fork_workers() -> None:
    """Have worker processes forked, with no more of the run's open files than a new process would have."""
    from crossinit_batch.engines import worker_process as hand

    begin: Callable[[Connection, str, bytes, int], None] = hand.begin

    def begin_alone(connection: Connection, serve: str, brief: bytes, parent: int) -> None:
        for path in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError):
                number, held = int(path.name), str(path.readlink())
                if number not in (0, 1, 2, connection.fileno()) and held.startswith(("socket:", "/")):
                    os.close(number)  # the lock of the folder, other workers' lines and the run's end of this one
        begin(connection, serve, brief, parent)

    hand.begin = begin_alone
    context = multiprocessing.get_context("fork")
    hand.multiprocessing.get_context = lambda _method: context  # type: ignore[attr-defined]


def become(request: dict[str, Any]) -> None:
    """Be the command line, in the forked process, until it ends."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    os.fsync = lambda _descriptor: None  # a killed process leaves what it wrote to the system; test_store has the rest
    fork_workers()
    code = 1
    try:
        fault_points.arm(os.environ.get(fault_points.VARIABLE, ""))
        sys.argv = ["crossinit", *request["args"]]
        cli.main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end_of(child: int, kill_after: float | None) -> int:
    """What a child ends with; it is killed after so many seconds.

    Only its parent can do so safely: until it is waited for here, its number is no other process's.
    """
    if kill_after is not None:
        ends = os.pidfd_open(child)
        if not select.select([ends], [], [], kill_after)[0]:
            os.kill(child, signal.SIGKILL)
        os.close(ends)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    warm_up(sys.argv[1])
    answers.write("ready\n")
    for line in sys.stdin:
        request = json.loads(line)
        Path(request["log"]).parent.mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if not child:
            become(request)
        answers.write(f"{end_of(child, request['kill_after'])}\n")


if __name__ == "__main__":
    main()
