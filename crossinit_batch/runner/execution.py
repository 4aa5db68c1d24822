"""Carrying out a frozen plan, or a shard of it: announce it, do its batches, and close."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from crossinit_batch import layout
from crossinit_batch.engines.dispatch import run_tasks
from crossinit_batch.engines.placement import Placement, RunOptions
from crossinit_batch.errors import CrossinitError, Interrupted, OutputLost
from crossinit_batch.events import (
    ArtifactDone,
    Event,
    ImagesDone,
    JobFailed,
    Note,
    Reporter,
    RunFinished,
    RunInterrupted,
    ScoresDone,
)
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.plan.task import JobState
from crossinit_batch.report.failures import failure_rows, read_failures, unresolved, write_failures
from crossinit_batch.runner.announce import Announcement
from crossinit_batch.runner.close import close, close_again, closing
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
    """How a run ended: the folder as it is, what failed, and how many of our jobs are not done.

    Where only scores were asked for, `undone` is 0. A shard that did not come last has `closed` nothing: gallery and
    report are written by the last one.
    """

    store: Store
    inventory: Inventory
    failures: tuple[JobFailed, ...]
    undone: int
    closed: bool = True

    @property
    def exit_code(self) -> int:
        return 1 if self.undone or self.failures else 0


@dataclass
class _RunCounts:
    """Passes events on and remembers what failed and how much was made."""

    report: Reporter
    failures: list[JobFailed] = field(default_factory=list)
    artifacts: int = 0
    images: int = 0
    scores: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case JobFailed():
                self.failures.append(event)
            case ArtifactDone():
                self.artifacts += 1
            case ImagesDone():
                self.images += event.images
            case ScoresDone():
                self.scores += event.images
        self.report(event)


class Execution:
    """One run, or one shard, of a frozen plan in a locked folder; without a `source` it only scores."""

    def __init__(
        self,
        store: Store,
        source: ModelSource | None,
        placement: Placement,
        report: Reporter,
        stop: StopRequest,
        options: RunOptions,
    ) -> None:
        self.store, self.source, self.placement = store, source, placement
        self.shard, self.stop, self.options = placement.shard, stop, options
        self.counts = _RunCounts(report)
        self.began = time.monotonic()

    def run(self, inventory: Inventory) -> RunResult:
        """Do what `inventory` leaves to do, and close; Interrupted where asked to stop."""
        plan, report = inventory.plan, self.counts
        swept = self._clean(inventory)
        announcement = Announcement(inventory, self.source, self.placement)
        report(announcement.started(self.store.url))
        for line in announcement.notes():
            report(Note(line))
        if swept:
            report(Note(f"removed {swept} temporary files of a run that was killed"))
        facts = machine_facts(self.placement.label, plan.model.dtype)
        context = RunContext(
            plan, self.store, report, self.stop, self.options.allow_pickle, facts, scores_only=self.source is None
        )
        tasks = [inventory.task(batch) for batch in inventory.pending_of(batches_of(plan, self.shard))]
        with self.stop.listening(self._out_of_time):
            try:
                counters = run_tasks(
                    context, inventory, tasks, self.source, self.placement, self.options.worker_timeout
                )
            except Interrupted as interrupted:
                self._interrupted(inventory, interrupted)
                raise
            except OutputLost:
                with contextlib.suppress(OSError, CrossinitError):
                    self._keep_failures(inventory, "the output folder took nothing more")
                raise
        return self._close(inventory, announcement.ours, self._summary(counters))

    def _clean(self, inventory: Inventory) -> int:
        """Remove what killed runs left, unneeded checkpoints, this shard's old record; the count of temporary files."""
        swept = self.store.sweep(alone=self.shard is None)
        wanted = {
            layout.checkpoint(batch.digest)
            for batch in inventory.plan.batches
            if not all(state.has_artifact for state in inventory.task(batch).states)
        }
        for name in inventory.checkpoints:
            if name not in wanted:
                self.store.remove(name)
        if self.shard is not None:
            forget_record(self.store, self.shard)
        return swept

    def _close(self, begun: Inventory, ours: Sequence[JobState], summary: str) -> RunResult:
        """Write the last files, or record that this shard has ended and let the last one write them."""
        seconds, counts = time.monotonic() - self.began, self.counts
        inventory = begun.again(self.store, begun.pending_of(begun.plan.batches))
        if self.shard is None:
            failures = self._failures_before(inventory) + counts.failures
            failed, closed = close(self.store, inventory, failures, {"Last run": summary}).failures, True
        else:
            failed = tuple(unresolved(inventory, counts.failures))
            with closing(self.store):
                self._record(inventory, failed, ended=True, summary=summary)
            # Listed after our own record is there: of shards that end together the last to write sees all.
            inventory = replace(inventory, files=self.store.listing())
            records = read_records(self.store, inventory.plan, inventory.files)
            closed = inventory.finished or all_have_ended(records, self.shard)
            if closed:
                close_again(self.store, inventory)
        skipped = sum(state.has_artifact for state in ours)
        made = (counts.artifacts, counts.images)
        kind = inventory.plan.artifact
        counts(RunFinished(self.store.url, *made, len(failed), skipped, seconds, counts.scores, kind))
        missing = sum(not inventory.is_done(inventory.states[state.job.key]) for state in ours)
        return RunResult(self.store, inventory, failed, missing if self.source else 0, closed)

    def _failures_before(self, inventory: Inventory) -> list[JobFailed]:
        """What an earlier run failed to learn or draw and is still missing, where this run only scores."""
        if self.source is not None:
            return []
        found = [failure for failure in read_failures(self.store) if failure.stage != "evaluate"]
        states = [inventory.states.get((failure.method, failure.identity)) for failure in found]
        return [
            failure
            for failure, state in zip(found, states, strict=True)
            if state is not None and not inventory.is_drawn(state)
        ]

    def _record(self, inventory: Inventory, failures: Sequence[JobFailed], *, ended: bool, summary: str) -> None:
        assert self.shard is not None
        record = ShardRecord(
            plan=plan_digest(inventory.plan),
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

    def _interrupted(self, inventory: Inventory, interrupted: Interrupted) -> None:
        """Record what failed so far, and report the interruption."""
        with closing(self.store):
            self._keep_failures(inventory, interrupted.message)
        self._report_stop(interrupted.message)

    def _keep_failures(self, inventory: Inventory, why: str) -> None:
        """Write the failures of a run that ends early."""
        if self.shard is None:
            write_failures(self.store, self.counts.failures)
        else:
            self._record(inventory, self.counts.failures, ended=False, summary=why)

    def _report_stop(self, saved: str) -> None:
        signal = self.stop.signal.name if self.stop.signal else ""
        self.counts(RunInterrupted(self.store.url, signal, saved))

    def _out_of_time(self) -> None:
        self._report_stop("time ran out in the middle of a step, which is given up; the last checkpoint stands")
