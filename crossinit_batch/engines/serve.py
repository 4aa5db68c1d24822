"""A worker process: loads the models once on its device and does the batches that it receives, one at a time."""

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
    """Run a worker process, from `process_start` to its end."""
    stop = StopRequest()
    # SIGTERM may reach this process alone.
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.ask(number))
    parent = _ParentPipe(connection)
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox, stop), daemon=True).start()
    try:
        _work(parent, brief, inbox, stop)
    except Interrupted as interrupted:
        parent.send(Stopped(interrupted.message))
    except DeviceLost as error:
        parent.send(Lost(error.message))
        sys.exit(1)
    except CrossinitError as error:
        parent.send(Refused(error))
    except Exception as error:
        if os.environ.get("CROSSINIT_DEBUG"):
            raise
        parent.send(Lost(f"{type(error).__name__}: {error}".partition("\n")[0]))
        sys.exit(1)


def _work(parent: _ParentPipe, brief: Brief, inbox: Inbox, stop: StopRequest) -> None:
    """Do tasks until there are no more; Interrupted where asked to stop."""
    counters = Counters()
    store = Store(brief.output)
    store.work_under(brief.claim)
    context = RunContext(
        plan=brief.plan,
        store=store,
        report=parent.send,
        stop=stop,
        allow_pickle=brief.allow_pickle,
        facts=brief.facts,
        scores_only=brief.source is None,
    )
    worker = Worker(context, brief.source, choose_device(brief.device), counters)
    parent.send(Ready(replace(counters)))
    while (task := inbox.get()) is not None:
        if stop:
            raise Interrupted("stopped between two batches")
        before = replace(counters)
        worker.do(task)
        parent.send(TaskDone(_difference(counters, before)))
    if stop:
        raise Interrupted("stopped between two batches")


def _difference(after: Counters, before: Counters) -> Counters:
    then = asdict(before)
    return Counters(**{name: value - then[name] for name, value in asdict(after).items()})


class _ParentPipe:
    """Sends messages to the parent, from any thread; a worker whose parent is gone ends at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Any) -> None:
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            os._exit(1)


def _listen(connection: Connection, inbox: Inbox, stop: StopRequest) -> None:
    """Receive the parent's messages; where the parent has ended, end at once, even in the middle of a step."""
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
