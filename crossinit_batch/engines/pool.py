"""The engine of several devices: a pool of processes, each sent one task after another, replaced if it dies.

No process group and no shared memory: every worker has a pipe of its own, so that one that dies breaks nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import fields
from multiprocessing.connection import wait

from crossinit_batch.engines.messages import Brief, Lost, Ready, Refused, Stopped, TaskDone
from crossinit_batch.engines.worker_process import WorkerProcess
from crossinit_batch.errors import Interrupted
from crossinit_batch.events import Event, JobFailed, Note, Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import JobBatch
from crossinit_batch.plan.schedule import longest_first
from crossinit_batch.plan.task import Task
from crossinit_batch.worker.context import RunContext

MOST_ATTEMPTS = 3
"""Workers that may die over a batch before it counts as failed."""
MOST_DEATHS = 3
"""Deaths in a row, with no batch done between, after which a device is dropped, unless it is the last."""
STOP_TIMEOUT = 7.0
"""Seconds that workers have to save and end once the run is asked to stop."""
_LOOK_EVERY = 0.2


def run_pool(
    context: RunContext,
    inventory: Inventory,
    briefs: Sequence[Brief],
    tasks: Sequence[Task],
    worker_timeout: float,
) -> Counters:
    """Do the tasks with a worker process for each brief; the counters of what that took, summed.

    A worker that sends nothing for `worker_timeout` seconds while it has work is replaced. Interrupted where asked to
    stop, with every worker's work saved, or the worker killed where that took longer than STOP_TIMEOUT.
    """
    pool = _Pool(context, inventory, briefs, tasks, worker_timeout)
    try:
        return pool.work()
    finally:
        pool.shut_down()


class _Pool:
    """The worker processes, the tasks that wait, and what happened to both."""

    def __init__(
        self,
        context: RunContext,
        inventory: Inventory,
        briefs: Sequence[Brief],
        tasks: Sequence[Task],
        worker_timeout: float,
    ) -> None:
        self.context, self.inventory, self.worker_timeout = context, inventory, worker_timeout
        by_batch = {task.batch: task for task in tasks}
        self.waiting = deque(by_batch[batch] for batch in longest_first(context.plan, list(by_batch)))
        self.workers = [WorkerProcess(brief) for brief in briefs[: max(len(tasks), 1)]]
        self.attempts: Counter[JobBatch] = Counter()
        self.counters = Counters()
        self._reported: set[object] = set()

    def work(self) -> Counters:
        """Run until every task is done or has failed."""
        while self.waiting or any(worker.task for worker in self.workers):
            if self.context.stop:
                self._stop_workers()
            self.context.store.check_lease()
            self._assign()
            self._listen(_LOOK_EVERY)
            self._end_stuck()
            self._replace_dead()
        return self.counters

    def shut_down(self) -> None:
        """Let idle workers end, and kill the others."""
        for worker in self.workers:
            worker.dismiss()

    def _assign(self) -> None:
        """Give each ready worker a waiting task; start workers that are not running."""
        for worker in self.workers:
            if not self.waiting or worker.task is not None:
                continue
            if not worker.is_alive:
                worker.start()
            if worker.is_ready:
                worker.give(self.waiting.popleft())

    def _listen(self, seconds: float) -> None:
        """Receive messages of workers, waiting for the first no longer than that."""
        connections = {worker.connection: worker for worker in self.workers if worker.connection is not None}
        if not connections:
            time.sleep(seconds)
        for connection in wait(list(connections), seconds):
            worker = connections[connection]  # type: ignore[index]
            for message in worker.messages():
                self._handle(worker, message)

    def _handle(self, worker: WorkerProcess, message: object) -> None:
        match message:
            case Ready(counters):
                worker.is_ready = True
                self._count(counters)
            case TaskDone(counters):
                worker.task, worker.deaths = None, 0
                self._count(counters)
            case Stopped() | Lost():
                worker.exit_message = message
            case Refused(error):
                raise error
            case _:
                self._pass_on(message)  # type: ignore[arg-type]

    def _pass_on(self, event: Event) -> None:
        """Report an event of a worker; one that all workers, or several attempts, repeat only once."""
        match event:
            case Note() | Warned():
                about: object = event
            case JobFailed():
                about = (event.method, event.identity)
            case _:
                about = None
        if about is None or about not in self._reported:
            self._reported.add(about)
            self.context.report(event)

    def _count(self, more: Counters) -> None:
        for field in fields(Counters):
            setattr(self.counters, field.name, getattr(self.counters, field.name) + getattr(more, field.name))

    def _end_stuck(self) -> None:
        for worker in self.workers:
            busy = worker.task is not None or not worker.is_ready
            if busy and worker.is_alive and self.worker_timeout and worker.silent_seconds > self.worker_timeout:
                worker.kill(f"said nothing for {self.worker_timeout:.0f} s and was ended")

    def _replace_dead(self) -> None:
        """Requeue the tasks of dead workers; a device where they keep dying is dropped, unless it is the last."""
        dead = [worker for worker in self.workers if worker.has_died]
        if dead:
            with contextlib.suppress(OSError):
                self.context.store.sweep(alone=False)  # unfinished files
        for worker in dead:
            for message in worker.messages():  # sent before it died
                self._handle(worker, message)
            task, how, was_ready = worker.task, worker.how_it_ended, worker.is_ready
            worker.clear()
            worker.deaths += 1
            if task is not None:
                self._requeue(task.batch, worker.brief.device, how)
            else:
                self.context.report(Warned(f"the worker on {worker.brief.device} {how} before it had work"))
            others = len(self.workers) > 1
            if worker.deaths >= MOST_DEATHS and (others or not was_ready):
                self._drop_device(worker, how)

    def _requeue(self, batch: JobBatch, device: str, how: str) -> None:
        """Have a batch done again, after all others, or fail it where too many workers died over it."""
        self.inventory = self.inventory.again(self.context.store, [batch])
        self.attempts[batch] += 1
        who = ", ".join(batch.identities)
        if self.attempts[batch] < MOST_ATTEMPTS:
            self.context.report(
                Warned(f"the worker on {device} {how} over {batch.method}: {who}; another one does it again")
            )
            self.waiting.append(self.inventory.task(batch))
        else:
            self._fail(batch, f"{MOST_ATTEMPTS} workers died over it; the last one {how}")

    def _fail(self, batch: JobBatch, reason: str) -> None:
        for state in self.inventory.task(batch).states:
            if not self.inventory.is_done(state):
                stage = "render" if state.has_artifact else batch.work
                hint = "Where memory ran out, lower `compute: identities_per_batch`; then `crossinit resume`."
                self._pass_on(JobFailed(*state.job.key, stage, reason, hint))

    def _drop_device(self, worker: WorkerProcess, how: str) -> None:
        """Go on without a device; with none left, all waiting tasks fail."""
        self.workers.remove(worker)
        self.context.report(
            Warned(
                f"{worker.brief.device} is given up: {worker.deaths} workers in a row died there; the last one {how}"
            )
        )
        if not self.workers:
            while self.waiting:
                self._fail(self.waiting.popleft().batch, f"no device is left to do it; the last worker {how}")

    def _stop_workers(self) -> None:
        """Have every worker save and end, then raise Interrupted with where they were."""
        asked = self.context.stop.signal
        assert asked is not None
        for worker in self.workers:
            if worker.task is None:  # it has nothing to save
                worker.dismiss()
            else:
                worker.ask_to_stop(asked)
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(worker.is_alive for worker in self.workers) and time.monotonic() < deadline:
            self._listen(_LOOK_EVERY)
        late = [worker for worker in self.workers if worker.is_alive]
        for worker in late:
            worker.kill("took too long to stop")
        self._listen(0)
        messages = [worker.exit_message.message for worker in self.workers if isinstance(worker.exit_message, Stopped)]
        messages += [
            f"the worker on {worker.brief.device} had to be ended; its last checkpoint stands" for worker in late
        ]
        raise Interrupted("; ".join(dict.fromkeys(messages)) or "stopped between two batches")
