"""One worker process as the run's process sees it: its pipe, its task, how it ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from crossinit_batch.engines.messages import Brief, Lost, Stop, Stopped
from crossinit_batch.engines.process_start import begin
from crossinit_batch.plan.task import Task

SERVE = "crossinit_batch.engines.serve:serve"
"""The function that a worker process runs, by its name: what it imports takes long, and only the worker needs it."""
_THREADS = "OMP_NUM_THREADS"
_IDLE_STOP_TIMEOUT = 2.0
"""Seconds for a worker that has nothing to do to end by itself."""


class WorkerProcess:
    """The worker process of one device: started, ended or dead, and restarted."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.deaths = 0
        self.clear()

    def clear(self) -> None:
        """Reset to having no process."""
        self.process: SpawnProcess | None = None
        self.connection: Connection | None = None
        self.task: Task | None = None
        self.is_ready = False
        self.exit_message: Stopped | Lost | None = None
        self._killed_because = ""
        self._last_message_at = time.monotonic()

    def start(self) -> None:
        """Start a worker: a new interpreter, since a forked one would share the parent's threads and CUDA context."""
        spawn = multiprocessing.get_context("spawn")
        self.connection, worker_end = spawn.Pipe()
        name = f"crossinit worker on {self.brief.device}"
        work = pickle.dumps(self.brief)
        self.process = spawn.Process(target=begin, args=(worker_end, SERVE, work, os.getpid()), name=name, daemon=True)
        with _environment(_THREADS, self.brief.plan.compute.threads):
            self.process.start()
        worker_end.close()  # so that our end closes with the worker's
        self._last_message_at = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def has_died(self) -> bool:
        return self.process is not None and not self.process.is_alive()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._last_message_at

    @property
    def how_it_ended(self) -> str:
        """How a dead worker ended, as the end of a sentence that begins with it."""
        if self._killed_because:
            return self._killed_because
        if isinstance(self.exit_message, Stopped):
            return "was stopped from outside"
        if isinstance(self.exit_message, Lost):
            return f"gave up ({self.exit_message.reason})"
        code = self.process.exitcode if self.process else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def give(self, task: Task) -> None:
        """Send a task; that a worker has just died is noticed later."""
        self.task = task
        self._last_message_at = time.monotonic()
        self._send(task)

    def ask_to_stop(self, number: int) -> None:
        self._send(Stop(number))

    def messages(self) -> Iterator[object]:
        """All messages since the last call."""
        while self.connection is not None:
            try:
                if not self.connection.poll():
                    return
                message = self.connection.recv()
            except (EOFError, OSError):
                self.connection.close()
                self.connection = None
                return
            self._last_message_at = time.monotonic()
            yield message

    def kill(self, because: str) -> None:
        """End the worker at once."""
        self._killed_because = because
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def dismiss(self) -> None:
        """End the worker; an idle one gets a moment to end by itself."""
        if self.process is not None and self.is_ready and self.task is None:
            self._send(None)
            self.process.join(_IDLE_STOP_TIMEOUT)
        if self.is_alive:
            self.kill("was not needed any more")
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _send(self, message: object) -> None:
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.send(message)


@contextlib.contextmanager
def _environment(name: str, value: int) -> Iterator[None]:
    """A number in the environment while open, where the user has set none: torch reads it when it is loaded."""
    if name in os.environ:
        yield
        return
    os.environ[name] = str(value)
    try:
        yield
    finally:
        del os.environ[name]
