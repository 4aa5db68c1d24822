"""A worker process: loads the models once on its device and does the batches that it is handed, one at a time."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from typing import Any

from crossinit_batch.engines.messages import Brief, Lost, Ready, Refused, Stop, Stopped, TaskDone
from crossinit_batch.errors import CrossinitError, DeviceLost, Interrupted
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.device import choose_device
from crossinit_batch.plan.task import Task
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.stopping import StopRequest
from crossinit_batch.worker.worker import Worker

Inbox = queue.SimpleQueue[Task | None]


def serve(connection: Connection, brief: Brief) -> None:
    """The whole life of a worker process, once it has begun (`process_start`)."""
    stop = StopRequest()
    # SIGTERM may come to us alone.
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.ask(number))
    line = _Line(connection)
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox, stop), daemon=True).start()
    try:
        _work(line, brief, inbox, stop)
    except Interrupted as interrupted:
        line.send(Stopped(interrupted.message))
    except DeviceLost as error:
        line.send(Lost(error.message))
        sys.exit(1)
    except CrossinitError as error:
        line.send(Refused(error))
    except Exception as error:
        if os.environ.get("CROSSINIT_DEBUG"):
            raise
        line.send(Lost(f"{type(error).__name__}: {error}".partition("\n")[0]))
        sys.exit(1)


def _work(line: _Line, brief: Brief, inbox: Inbox, stop: StopRequest) -> None:
    """Do tasks until there are no more; Interrupted where asked to stop."""
    counters = Counters()
    store = Store(brief.output)
    store.work_under(brief.claim)
    context = RunContext(
        plan=brief.plan,
        store=store,
        report=line.send,
        stop=stop,
        allow_pickle=brief.allow_pickle,
        facts=brief.facts,
        scores_only=brief.source is None,
    )
    worker = Worker(context, brief.source, choose_device(brief.device), counters)
    line.send(Ready(replace(counters)))
    while (task := inbox.get()) is not None:
        if stop:
            raise Interrupted("stopped between two batches")
        before = replace(counters)
        worker.do(task)
        line.send(TaskDone(_difference(counters, before)))
    if stop:
        raise Interrupted("stopped between two batches")


def _difference(after: Counters, before: Counters) -> Counters:
    then = asdict(before)
    return Counters(**{name: value - then[name] for name, value in asdict(after).items()})


class _Line:
    """The way to the parent, for any thread; a worker whose parent is gone ends at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Any) -> None:
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            os._exit(1)


def _listen(connection: Connection, inbox: Inbox, stop: StopRequest) -> None:
    """Take what the parent says; its end is ours, in the middle of a step too, since nobody waits for it."""
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Stop):
                stop.ask(message.number)
                inbox.put(None)
            else:
                inbox.put(message)
    except (EOFError, OSError):
        os._exit(1)
