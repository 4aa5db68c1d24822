"""The engine of several devices: a process each, started afresh, handed one batch after another, replaced if it dies.

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
from crossinit_batch.engines.worker_process import Hand
from crossinit_batch.errors import Interrupted
from crossinit_batch.events import Event, JobFailed, Note, Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.plan import JobBatch
from crossinit_batch.plan.schedule import longest_first
from crossinit_batch.plan.task import Task
from crossinit_batch.worker.context import RunContext

MOST_ATTEMPTS = 3
"""Workers that a batch may cost before it is set aside as failed."""
MOST_DEATHS = 3
"""Deaths in a row, with no batch done between, after which a device is given up, unless it is the last."""
GRACE = 7.0
"""Seconds that workers have to save and end once the run is asked to stop."""
_LOOK_EVERY = 0.2


def run_team(context: RunContext, briefs: Sequence[Brief], batches: Sequence[JobBatch], silence: float) -> Counters:
    """Do the batches with a worker process for each brief; the counters of what that took, summed.

    A worker that says nothing for `silence` seconds while it has work is taken for stuck and replaced. Interrupted
    where asked to stop, with every worker's work saved, or cut off where that took longer than GRACE.
    """
    team = _Team(context, briefs, batches, silence)
    try:
        return team.work()
    finally:
        team.disband()


class _Team:
    """The workers, the batches that wait, and what happened to both."""

    def __init__(
        self, context: RunContext, briefs: Sequence[Brief], batches: Sequence[JobBatch], silence: float
    ) -> None:
        self.context, self.silence = context, silence
        self.inventory: Inventory = context.inventory
        self.waiting = deque(longest_first(context.plan, batches))
        self.hands = [Hand(brief) for brief in briefs[: max(len(batches), 1)]]
        self.attempts: Counter[JobBatch] = Counter()
        self.counters = Counters()
        self._told: set[object] = set()

    def work(self) -> Counters:
        """Until every batch is done or set aside."""
        while self.waiting or any(hand.task for hand in self.hands):
            if self.context.stop:
                self._halt()
            self.context.store.check_lease()
            self._hand_out()
            self._listen(_LOOK_EVERY)
            self._end_stuck()
            self._bury()
        return self.counters

    def disband(self) -> None:
        """Let idle workers go, and end the others."""
        for hand in self.hands:
            hand.dismiss()

    def _hand_out(self) -> None:
        """A batch for every worker that has none; a new worker where there is none for a batch that waits."""
        for hand in self.hands:
            if not self.waiting or hand.task is not None:
                continue
            if not hand.is_alive:
                hand.start()
            if hand.is_ready:
                batch = self.waiting.popleft()
                keys = [(batch.method, identity) for identity in batch.identities]
                hand.give(Task(batch, tuple(self.inventory.states[key] for key in keys)))

    def _listen(self, seconds: float) -> None:
        """Take what workers say, waiting for the first word no longer than that."""
        lines = {hand.connection: hand for hand in self.hands if hand.connection is not None}
        if not lines:
            time.sleep(seconds)
        for connection in wait(list(lines), seconds):
            hand = lines[connection]  # type: ignore[index]
            for message in hand.messages():
                self._take(hand, message)

    def _take(self, hand: Hand, message: object) -> None:
        match message:
            case Ready(counters):
                hand.is_ready = True
                self._count(counters)
            case TaskDone(counters):
                hand.task, hand.deaths = None, 0
                self._count(counters)
            case Stopped() | Lost():
                hand.last_words = message
            case Refused(error):
                raise error
            case _:
                self._pass_on(message)  # type: ignore[arg-type]

    def _pass_on(self, event: Event) -> None:
        """Report an event of a worker; what every worker says, or says again on a second attempt, only once."""
        match event:
            case Note() | Warned():
                about: object = event
            case JobFailed():
                about = (event.method, event.identity)
            case _:
                about = None
        if about is None or about not in self._told:
            self._told.add(about)
            self.context.report(event)

    def _count(self, more: Counters) -> None:
        for field in fields(Counters):
            setattr(self.counters, field.name, getattr(self.counters, field.name) + getattr(more, field.name))

    def _end_stuck(self) -> None:
        for hand in self.hands:
            busy = hand.task is not None or not hand.is_ready
            if busy and hand.is_alive and self.silence and hand.silent_for > self.silence:
                hand.kill(f"said nothing for {self.silence:.0f} s and was ended")

    def _bury(self) -> None:
        """Take the work of dead workers back; a device where they keep dying is given up, unless it is the last."""
        dead = [hand for hand in self.hands if hand.has_died]
        if dead:
            with contextlib.suppress(OSError):
                self.context.store.sweep(alone=False)  # what they were writing
        for hand in dead:
            for message in hand.messages():  # what it said before
                self._take(hand, message)
            task, how, was_ready = hand.task, hand.how_it_ended, hand.is_ready
            hand.clear()
            hand.deaths += 1
            if task is not None:
                self._take_back(task.batch, hand.brief.device, how)
            else:
                self.context.report(Warned(f"the worker on {hand.brief.device} {how} before it had work"))
            others = len(self.hands) > 1
            if hand.deaths >= MOST_DEATHS and (others or not was_ready):
                self._give_up(hand, how)

    def _take_back(self, batch: JobBatch, device: str, how: str) -> None:
        """Have a batch done again, after all others, or set it aside where it has cost too many workers."""
        self.inventory = take_inventory(self.context.store, self.context.plan)
        self.attempts[batch] += 1
        who = ", ".join(batch.identities)
        if self.attempts[batch] < MOST_ATTEMPTS:
            self.context.report(
                Warned(f"the worker on {device} {how} over {batch.method}: {who}; another one does it again")
            )
            self.waiting.append(batch)
        else:
            self._fail(batch, f"{MOST_ATTEMPTS} workers died over it; the last one {how}")

    def _fail(self, batch: JobBatch, reason: str) -> None:
        for identity in batch.identities:
            state = self.inventory.states[batch.method, identity]
            if not self.inventory.is_done(state):
                stage = "render" if state.has_embedding else batch.work
                hint = "Where memory ran out, lower `compute: identities_per_batch`; then `crossinit resume`."
                self._pass_on(JobFailed(batch.method, identity, stage, reason, hint))

    def _give_up(self, hand: Hand, how: str) -> None:
        """Go on without a device; with none left, whatever waits has failed."""
        self.hands.remove(hand)
        self.context.report(
            Warned(f"{hand.brief.device} is given up: {hand.deaths} workers in a row died there; the last one {how}")
        )
        if not self.hands:
            while self.waiting:
                self._fail(self.waiting.popleft(), f"no device is left to do it; the last worker {how}")

    def _halt(self) -> None:
        """Have every worker save and end, then say where they were; Interrupted."""
        asked = self.context.stop.signal
        assert asked is not None
        for hand in self.hands:
            if hand.task is None:  # it has nothing to save
                hand.dismiss()
            else:
                hand.ask_to_stop(asked)
        deadline = time.monotonic() + GRACE
        while any(hand.is_alive for hand in self.hands) and time.monotonic() < deadline:
            self._listen(_LOOK_EVERY)
        late = [hand for hand in self.hands if hand.is_alive]
        for hand in late:
            hand.kill("took too long to stop")
        self._listen(0)
        words = [hand.last_words.message for hand in self.hands if isinstance(hand.last_words, Stopped)]
        words += [f"the worker on {hand.brief.device} had to be ended; its last checkpoint stands" for hand in late]
        raise Interrupted("; ".join(dict.fromkeys(words)) or "stopped between two batches")
