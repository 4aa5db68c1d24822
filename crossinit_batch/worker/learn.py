"""Learning a batch of jobs by their method: photographs → subjects → training → artifacts with their receipts."""

from __future__ import annotations

import contextlib
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from crossinit_batch import layout
from crossinit_batch.errors import Interrupted, JobError
from crossinit_batch.events import CheckpointSaved, JobFailed, StepDone, Warned
from crossinit_batch.methods.learner import Learner, Trainer
from crossinit_batch.methods.method import LearningWork
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.plan.photographs import opened_photograph
from crossinit_batch.plan.plan import Job, JobBatch
from crossinit_batch.plan.task import Task
from crossinit_batch.storage.tensor_file import TensorFileError
from crossinit_batch.worker.artifacts import store_artifact, store_prepared
from crossinit_batch.worker.checkpoint import dump_checkpoint, load_checkpoint
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.model_setup import check_compiled_learning
from crossinit_batch.worker.timings import Timings

_REPORT_EVERY_ON_GPU = 10
"""Steps between two reads of the loss on a GPU: each read waits for the device."""


@dataclass(frozen=True)
class _Batch:
    """What a batch trains: its jobs that have a subject, how long each learns, and where its checkpoint is."""

    method: str
    jobs: list[Job]
    subjects: list[Any]
    work: LearningWork
    checkpoint: str

    @property
    def digests(self) -> list[str]:
        return [job.digest for job in self.jobs]

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(job.identity for job in self.jobs)


@dataclass
class Learning:
    """Learns the batches of a run; a method's learner, and what it prepares, exists once a worker."""

    context: RunContext
    model: BaseModel
    learners: dict[str, Learner] = field(default_factory=dict)

    def learner(self, name: str) -> Learner:
        """The learner of a method of the plan."""
        if name not in self.learners:
            plan = self.context.plan
            method = plan.learned_method(name)
            kind: type[Learner] = pkgutil.resolve_name(method.method.learner)
            self.learners[name] = kind(self.model, method.settings, name, plan.seed, self.context.report)
        return self.learners[name]

    def prepare(self, name: str) -> None:
        """Publish what a method's artifacts start from, where it is not there."""
        store_prepared(self.context.store, self.learner(name).prepared)

    def learn(self, task: Task) -> None:
        """Learn the artifacts of a batch that are not there yet and store them; Interrupted where asked to stop.

        All jobs of it take part even where some are done already, since batch mates decide the last bits.
        """
        missing = {state.job for state in task.states if not state.has_artifact}
        if not missing:
            return
        began = time.monotonic()
        learner, method = self.learner(task.batch.method), self.context.plan.learned_method(task.batch.method)
        batch = self._batch(task, missing, learner, method.work)
        if not missing & set(batch.jobs):
            return
        compiles = method.method.compiles
        with contextlib.nullcontext() if compiles else self.model.plain_unet():
            trainer = self._trainer(batch, learner, task.batch)
            self._train(batch, trainer)
        seconds = (time.monotonic() - began) / len(batch.jobs)
        store_prepared(self.context.store, learner.prepared)
        run = {**self.context.run_facts(seconds), **self.model.reduced("learning")}
        for number, job in enumerate(batch.jobs):
            if job in missing:
                self._store(job, trainer, number, run)
        self.context.store.remove(batch.checkpoint)

    def _batch(self, task: Task, missing: set[Job], learner: Learner, work: LearningWork) -> _Batch:
        """The jobs of a task with a subject each; those whose photographs cannot be used fail."""
        jobs, subjects = [], []
        for job in task.jobs:
            try:
                subjects.append(self._subject(job, learner))
                jobs.append(job)
            except JobError as error:
                if job in missing:
                    self.context.report(JobFailed(*job.key, "photograph", error.message, error.hint))
                else:
                    what = self.context.plan.method(job.method).artifact.name
                    message = f"{error.message}; its {what} is done, but its batch mates learn without it"
                    self.context.report(Warned(message))
        return _Batch(task.batch.method, jobs, subjects, work, layout.checkpoint(task.batch.digest))

    def _subject(self, job: Job, learner: Learner) -> Any:
        photographs = self.context.plan.identity(job.identity).photographs
        return learner.subject(job.identity, [opened_photograph(photograph) for photograph in photographs])

    def _trainer(self, batch: _Batch, learner: Learner, frozen: JobBatch) -> Trainer:
        """The batch's trainer, going on from its checkpoint where there is one."""
        state = self._load_checkpoint(batch, learner)
        fill_to = self._largest(frozen) if self.model.compiled_learning is not None else 0
        samples = max(fill_to, len(batch.subjects)) * batch.work.batch_size
        check_compiled_learning(self.model, self.context, samples)
        return learner.trainer(batch.subjects, state, fill_to)

    def _largest(self, batch: JobBatch) -> int:
        """The identities of the method's largest batch."""
        same = [one for one in self.context.plan.batches if one.method == batch.method and one.work == batch.work]
        return max(len(one.identities) for one in same)

    def _load_checkpoint(self, batch: _Batch, learner: Learner) -> dict[str, Tensor] | None:
        data = self.context.store.read(batch.checkpoint)
        if data is None:
            return None
        try:
            state = load_checkpoint(data, batch.checkpoint, learner.trainer_type.STATE, batch.digests)
        except TensorFileError:
            state = None
        if state is None:
            what = self.context.plan.method(batch.method).artifact.plural
            message = f"{batch.checkpoint} is damaged or belongs to other jobs; these {what} start again"
            self.context.report(Warned(message))
        return state

    def _train(self, batch: _Batch, trainer: Trainer) -> None:
        """Run to the last step, with a checkpoint now and then and at the end; Interrupted where asked to stop."""
        context, steps = self.context, batch.work.steps
        look_every = 1 if self.model.device.type == "cpu" else _REPORT_EVERY_ON_GPU
        compute, saved, reported = context.plan.compute, time.monotonic(), trainer.step

        def save() -> None:
            nonlocal saved
            context.store.write(batch.checkpoint, dump_checkpoint(trainer.state(), trainer.STATE, batch.digests))
            saved = time.monotonic()

        def is_due(step: int) -> bool:
            late = time.monotonic() - saved >= compute.checkpoint_minutes * 60
            return (late or step % compute.checkpoint_every == 0) and step < steps and not context.stop

        def on_step(step: int, loss: Callable[[], float]) -> bool:
            nonlocal reported
            if step % look_every == 0 or step == steps:
                context.report(StepDone(batch.method, batch.identities, step, steps, loss(), step - reported))
                reported = step
            if is_due(step):
                save()
                context.report(CheckpointSaved(batch.method, batch.identities, step))
            return not context.stop

        timings = Timings(context, self.model.device)
        began, done = timings.clock(), trainer.step
        finished = trainer.run(on_step)
        samples = (trainer.step - done) * len(batch.jobs) * batch.work.batch_size
        timings.add(batch.work.rate, timings.clock() - began, samples)
        timings.keep()
        save()
        if not finished:
            raise Interrupted(f"stopped at step {trainer.step} of {steps}")

    def _store(self, job: Job, trainer: Trainer, number: int, run: dict[str, Any]) -> None:
        """Store one learned artifact with its receipt, or report why there is none."""
        try:
            store_artifact(self.context, job, trainer.result(number), run)
        except JobError as error:
            self.context.report(JobFailed(*job.key, "optimisation", error.message, error.hint))
