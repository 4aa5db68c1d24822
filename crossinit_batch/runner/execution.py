"""Carrying out a frozen plan, or a shard of it: do its batches, and write what a run ends with."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from crossinit_batch import layout
from crossinit_batch.engines.dispatch import run_batches
from crossinit_batch.engines.placement import Placement, RunOptions
from crossinit_batch.errors import CrossinitError, Interrupted, OutputLost
from crossinit_batch.events import ArtifactDone, Event, ImagesDone, JobFailed, Note, Reporter, RunFinished, RunInterrupted, RunStarted, ScoresDone
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.device import described_device
from crossinit_batch.model.device_speed import cores
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.batches import idle_workers
from crossinit_batch.plan.estimate import expected_of
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.plan.task import JobState
from crossinit_batch.report.failures import failure_rows, read_failures, unresolved, write_failures
from crossinit_batch.runner.close import assemble, assemble_again, closing
from crossinit_batch.runner.shard_records import (
    ShardRecord,
    all_have_ended,
    forget_record,
    plan_digest,
    read_records,
    write_record,
)
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.context import RunContext, machine_facts
from crossinit_batch.worker.stopping import StopRequest


@dataclass(frozen=True)
class RunResult:
    """How a run ended: the folder as it stands, what failed, and how many of our jobs are not done.

    Where only scores were asked for, `undone` is 0. A shard that did not come last has `assembled` nothing: gallery
    and report are written by the last one.
    """

    store: Store
    inventory: Inventory
    failures: tuple[JobFailed, ...]
    undone: int
    assembled: bool = True

    @property
    def exit_code(self) -> int:
        return 1 if self.undone or self.failures else 0


@dataclass
class _Tally:
    """Passes events on and remembers what failed and how much was made."""

    report: Reporter
    failures: list[JobFailed] = field(default_factory=list)
    embeddings: int = 0
    images: int = 0
    scores: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case JobFailed():
                self.failures.append(event)
            case ArtifactDone():
                self.embeddings += 1
            case ImagesDone():
                self.images += event.images
            case ScoresDone():
                self.scores += event.images
        self.report(event)


class Execution:
    """One run, or one shard, of a frozen plan in a folder that is held; without a `source` only of its scores."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        source: ModelSource | None,
        placement: Placement,
        report: Reporter,
        stop: StopRequest,
        options: RunOptions,
    ) -> None:
        self.store, self.plan, self.source, self.placement = store, plan, source, placement
        self.shard, self.stop, self.options = placement.shard, stop, options
        self.tally = _Tally(report)
        self.began = time.monotonic()

    def run(self, inventory: Inventory) -> RunResult:
        """Do what `inventory` leaves to do, and close; Interrupted where asked to stop."""
        store, tally = self.store, self.tally
        swept = store.sweep(alone=self.shard is None)
        _drop_checkpoints(store, self.plan, inventory)
        if self.shard is not None:
            forget_record(store, self.shard)
        ours = self._ours(inventory)
        tally(self._started(ours, inventory))
        for line in _changes(inventory, ours):
            tally(Note(line))
        if idle := self._idle_cores(inventory):
            tally(Note(idle))
        left = inventory.pending_of(batches_of(self.plan, self.shard))
        if waiting := idle_workers(self.plan, left, len(self.placement.devices)):
            tally(Note(waiting))
        if expected := self._expected(inventory):
            tally(Note(expected))
        if swept:
            tally(Note(f"removed {swept} temporary files of a run that was killed"))
        facts = machine_facts(self.placement.label, self.plan.model.dtype)
        context = RunContext(
            self.plan, store, inventory, tally, self.stop, self.options.allow_pickle, facts, self.source is None
        )
        with self.stop.listening(self._out_of_time):
            try:
                counters = run_batches(context, self.source, self.placement, self.options.stuck_after * 60)
            except Interrupted as interrupted:
                self._interrupted(interrupted)
                raise
            except OutputLost:
                with contextlib.suppress(OSError, CrossinitError):
                    self._keep_failures("the output folder took nothing more")
                raise
        return self._close(ours, self._summary(counters))

    def _ours(self, inventory: Inventory) -> list[JobState]:
        """The jobs of this run, or of this shard, as they stand."""
        if self.shard is None:
            return list(inventory.states.values())
        batches = batches_of(self.plan, self.shard)
        return [inventory.states[batch.method, identity] for batch in batches for identity in batch.identities]

    def _close(self, ours: list[JobState], summary: str) -> RunResult:
        """Write the last files, or as a shard say that we have ended and let the last shard write them."""
        seconds = time.monotonic() - self.began
        if self.shard is None:
            done = assemble(self.store, self.plan, self._failures_before() + self.tally.failures, {"Last run": summary})
            inventory, failures, assembled = done.inventory, done.failures, True
        else:
            inventory = take_inventory(self.store, self.plan)
            failures = tuple(unresolved(inventory, self.tally.failures))
            with closing(self.store):
                self._record(failures, ended=True, summary=summary)
            assembled = inventory.finished or all_have_ended(read_records(self.store, self.plan), self.shard)
            if assembled:
                inventory = assemble_again(self.store, self.plan).inventory
        skipped = sum(state.has_embedding for state in ours)
        tally = self.tally
        made = (tally.embeddings, tally.images)
        tally(RunFinished(self.store.url, *made, len(failures), skipped, seconds, tally.scores))
        missing = sum(not inventory.is_done(inventory.states[state.job.key]) for state in ours)
        return RunResult(self.store, inventory, failures, missing if self.source else 0, assembled)

    def _failures_before(self) -> list[JobFailed]:
        """What a run before failed to learn or draw and is not there yet, where we only score, which mends none."""
        if self.source is not None:
            return []
        inventory = take_inventory(self.store, self.plan)
        found = [failure for failure in read_failures(self.store) if failure.stage != "evaluate"]
        states = [inventory.states.get((failure.method, failure.identity)) for failure in found]
        return [
            failure
            for failure, state in zip(found, states, strict=True)
            if state is not None and not inventory.is_drawn(state)
        ]

    def _record(self, failures: tuple[JobFailed, ...], *, ended: bool, summary: str) -> None:
        assert self.shard is not None
        record = ShardRecord(
            plan=plan_digest(self.plan),
            index=self.shard.index,
            count=self.shard.count,
            ended=ended,
            seconds=round(time.monotonic() - self.began, 3),
            summary=summary,
            failures=tuple(failure_rows(failures)),
        )
        write_record(self.store, self.shard, record)

    def _summary(self, counters: Counters) -> str:
        """What the run took, in one line of the report."""
        work = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in asdict(counters).items() if value)
        return f"{time.monotonic() - self.began:.0f} s on {self.placement.label}: {work or 'nothing to do'}"

    def _interrupted(self, interrupted: Interrupted) -> None:
        """Keep what failed so far, and say that we were stopped."""
        with closing(self.store):
            self._keep_failures(interrupted.message)
        self._tell_stop(interrupted.message)

    def _keep_failures(self, why: str) -> None:
        """Write what has failed before the run's end came."""
        if self.shard is None:
            write_failures(self.store, self.tally.failures)
        else:
            self._record(tuple(self.tally.failures), ended=False, summary=why)

    def _tell_stop(self, saved: str) -> None:
        signal = self.stop.signal.name if self.stop.signal else ""
        self.tally(RunInterrupted(self.store.url, signal, saved))

    def _idle_cores(self, inventory: Inventory) -> str:
        """What to say to somebody whose CPU could do more; empty where there is nothing to say."""
        used = len(self.placement.devices) * self.plan.compute.threads
        alone = self.shard is None and self.placement.first_device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ
        if not alone or used >= cores() or inventory.finished:
            return ""
        return (
            f"computing on {used} of {cores()} cores: `--workers {cores()}` does that many batches at once; "
            f"`compute: {{threads: {cores()}}}` does each faster, with other last bits"
        )

    def _expected(self, inventory: Inventory) -> str:
        """How long our part will take, empty where nothing of it is left or the model is not needed."""
        if self.source is None:
            return ""
        device = described_device(self.placement.first_device, self.plan.compute.threads)
        batches = batches_of(self.plan, self.shard)
        expected = expected_of(inventory, batches, self.source.folder, device, self.placement.crew)
        return expected.summary if expected.device_seconds else ""

    def _out_of_time(self) -> None:
        self._tell_stop("time ran out in the middle of a step, which is given up; the last checkpoint stands")

    def _started(self, ours: list[JobState], inventory: Inventory) -> RunStarted:
        """What this run begins with; where only scores are asked for, nothing else counts."""
        plan, made = self.plan, ours if self.source else []
        judged = [inventory.pictures_to_judge(state) if not self.source else plan.pictures_a_job for state in ours]
        steps = sum(
            plan.method(state.job.method).learned.steps
            for state in made
            if not state.has_embedding and state.job.source is None
        )
        return RunStarted(
            name=f"{plan.name}, shard {self.shard}" if self.shard else plan.name,
            output=self.store.url,
            model=plan.model.label,
            device=self.placement.label,
            dtype=plan.model.dtype,
            embeddings=len(made),
            embeddings_done=sum(state.has_embedding for state in made),
            images=len(made) * plan.pictures_a_job,
            images_done=sum(len(state.pictures) for state in made),
            steps=steps,
            scores=sum(judged) if plan.judges else 0,
            scores_done=sum(inventory.pictures_scored(state) for state in ours),
        )


def _changes(inventory: Inventory, ours: list[JobState]) -> list[str]:
    """What has become of an earlier run's results where the request has changed: kept, redone and why, or orphaned."""
    stale = [state for state in ours if state.embedding == "stale"]
    lines = []
    if stale:
        kept, why = sum(state.has_embedding for state in ours), Counter(state.why for state in stale)
        reasons = "; ".join(f"{number} x {reason}" for reason, number in why.most_common(3))
        more = "; …" if len(why) > 3 else ""
        lines.append(f"{kept} embeddings are kept, {len(stale)} are made again: {reasons}{more}")
    if inventory.orphans:
        lines.append(f"{len(inventory.orphans)} results that are not asked for any more are kept as they are")
    return lines


def _drop_checkpoints(store: Store, plan: Plan, inventory: Inventory) -> None:
    """Remove the checkpoints of batches that are learned already, or that only an earlier plan had."""
    states = inventory.states
    wanted = {
        layout.checkpoint(batch.digest)
        for batch in plan.batches
        if not all(states[batch.method, identity].has_embedding for identity in batch.identities)
    }
    for name in inventory.checkpoints:
        if name not in wanted:
            store.remove(name)
