"""One device: loads the models once and does one batch of jobs after another, whatever the engine."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cached_property

import torch

from crossinit_batch.errors import CrossinitError, DeviceLost, Interrupted, ModelError, OutputLost
from crossinit_batch.events import JobFailed
from crossinit_batch.model.allocator import keep_freed_memory
from crossinit_batch.model.base_model import BaseModel, Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.task import Task
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.retry import retries_told
from crossinit_batch.worker.artifacts import import_artifacts
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.draw import Drawing
from crossinit_batch.worker.learn import Learning
from crossinit_batch.worker.model_setup import set_up, warn_of_cut_prompts
from crossinit_batch.worker.score import Scoring
from crossinit_batch.worker.timings import keep_start

LoadModel = Callable[[ModelSource, torch.device, str, Counters], BaseModel]


class Worker:
    """Holds the models and what is computed once from them; no state that matters, the store has that."""

    def __init__(
        self,
        context: RunContext,
        source: ModelSource | None,
        device: torch.device,
        counters: Counters,
        load_model: LoadModel | None = None,
    ) -> None:
        """`source` is None where nothing is to be learned or drawn; `load_model` loads it instead of BaseModel."""
        self.context, self.source, self.device, self.counters = context, source, device, counters
        self._load_model = load_model
        self.scoring = Scoring(context, device, counters)
        if device.type == "cpu":
            keep_freed_memory()

    @cached_property
    def model(self) -> BaseModel:
        """The base model, loaded when something is to be learned or drawn."""
        assert self.source is not None
        load = self._load_model or BaseModel.load
        model = load(self.source, self.device, self.context.plan.model.dtype, self.counters)
        keep_start(self.context, self.device)
        set_up(model, self.context)
        warn_of_cut_prompts(model, self.context)
        return model

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.context, self.model)

    @cached_property
    def drawing(self) -> Drawing:
        return Drawing(self.context, self.model)

    def do(self, task: Task) -> None:
        """Do what is left of a task. Whatever fails is reported and does not stop the others.

        Raises Interrupted where asked to stop, OutputLost where no other task could be stored either, DeviceLost where
        none could be done in this process, and ModelError where none could be done at all.
        """
        with retries_told(self.context.report, lambda: bool(self.context.stop)):
            self._do(task)

    def _do(self, task: Task) -> None:
        plan = self.context.plan
        stage: str = task.batch.work
        try:
            if not (self.context.scores_only or task.is_drawn(plan)):
                if not all(state.has_prepared for state in task.states):
                    self.learning.prepare(task.batch.method)
                if task.batch.work == "learn":
                    self.learning.learn(task)
                elif task.batch.work == "import":
                    import_artifacts(self.context, self.model, task)
                stage = "render"
                self.drawing.draw(task)
            if plan.judges is not None:
                stage = "evaluate"
                self.scoring.score(task)
        except (Interrupted, DeviceLost, ModelError):
            raise
        except OutputLost as error:
            self._fail(task, stage, error.message, error.hint)
            raise
        except CrossinitError as error:
            self._fail(task, stage, error.message, error.hint)
        except torch.OutOfMemoryError:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            hint = "Lower `compute: identities_per_batch` or `images_per_batch`, then `crossinit resume`."
            self._fail(task, stage, "the device ran out of memory", hint)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            reason = f"reading or writing failed: {where}{reason_of(error)}"
            self._fail(task, stage, reason, "Mend that, then `crossinit resume`.")
        except Exception as error:  # whatever it is, the other batches go on
            if _is_device_loss(error):
                raise DeviceLost(str(error).partition("\n")[0]) from None
            if os.environ.get("CROSSINIT_DEBUG"):
                raise
            hint = "This is an error of crossinit's own: please report it, with the output under CROSSINIT_DEBUG=1."
            self._fail(task, stage, f"{type(error).__name__}: {error}", hint)

    def _fail(self, task: Task, stage: str, reason: str, hint: str) -> None:
        """Report every job of the task that had something left to do."""
        for state in task.states:
            if not state.is_done(self.context.plan):
                self.context.report(JobFailed(*state.job.key, stage, reason, hint))


def _is_device_loss(error: Exception) -> bool:
    """Whether the accelerator itself failed: after that every call to it in this process fails too."""
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
