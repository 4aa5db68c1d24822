"""One worker process as the run's process sees it: its pipe, its task, its life and death."""

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
"""The function that is a worker's life, by its name: what it imports takes long, and only the worker needs it."""
_THREADS = "OMP_NUM_THREADS"
_PATIENCE = 2.0
"""Seconds for a worker that has nothing to do to end by itself."""


class Hand:
    """A place for a worker on one device; the worker in it is started, ends or dies, and is replaced."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.deaths = 0
        self.clear()

    def clear(self) -> None:
        """No worker is here."""
        self.process: SpawnProcess | None = None
        self.connection: Connection | None = None
        self.task: Task | None = None
        self.is_ready = False
        self.last_words: Stopped | Lost | None = None
        self._verdict = ""
        self._heard = time.monotonic()

    def start(self) -> None:
        """Start a worker: a new interpreter, since a forked one would share the parent's threads and CUDA context."""
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        name = f"crossinit worker on {self.brief.device}"
        work = pickle.dumps(self.brief)
        self.process = spawn.Process(target=begin, args=(theirs, SERVE, work, os.getpid()), name=name, daemon=True)
        with _environment(_THREADS, self.brief.plan.compute.threads):
            self.process.start()
        theirs.close()  # so that our end closes with the worker's
        self._heard = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def has_died(self) -> bool:
        return self.process is not None and not self.process.is_alive()

    @property
    def silent_for(self) -> float:
        """Seconds since the worker said something."""
        return time.monotonic() - self._heard

    @property
    def how_it_ended(self) -> str:
        """How a dead worker ended, as the end of a sentence that begins with it."""
        if self._verdict:
            return self._verdict
        if isinstance(self.last_words, Stopped):
            return "was stopped from outside"
        if isinstance(self.last_words, Lost):
            return f"gave up ({self.last_words.reason})"
        code = self.process.exitcode if self.process else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def give(self, task: Task) -> None:
        """Hand over a task; a worker that has just died is found out later."""
        self.task = task
        self._heard = time.monotonic()
        self._send(task)

    def ask_to_stop(self, number: int) -> None:
        self._send(Stop(number))

    def messages(self) -> Iterator[object]:
        """All that the worker has said since the last look."""
        while self.connection is not None:
            try:
                if not self.connection.poll():
                    return
                message = self.connection.recv()
            except (EOFError, OSError):
                self.connection.close()
                self.connection = None
                return
            self._heard = time.monotonic()
            yield message

    def kill(self, verdict: str) -> None:
        """End the worker at once."""
        self._verdict = verdict
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def dismiss(self) -> None:
        """End the worker, which is given a moment to do so by itself where it has nothing to do."""
        if self.process is not None and self.is_ready and self.task is None:
            self._send(None)
            self.process.join(_PATIENCE)
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
