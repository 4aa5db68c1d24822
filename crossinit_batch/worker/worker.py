"""One device: loads the models once and does one batch of jobs after another, whatever the engine."""

from __future__ import annotations

import gc
import os
from functools import cached_property

import torch
from torch import Tensor

from crossinit_batch.errors import CrossinitError, DeviceLost, Interrupted, JobError, ModelError, OutputLost
from crossinit_batch.evaluation.judges import Judges
from crossinit_batch.events import JobFailed, Note, Warned
from crossinit_batch.methods.embedding.initial_vector import InitialVector, initial_vector
from crossinit_batch.model.allocator import keep_freed_memory
from crossinit_batch.model.base_model import BaseModel, Counters
from crossinit_batch.model.sampling import encode_prompt
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.plan import JobBatch
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.retry import retries_told
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.draw import PictureBatch
from crossinit_batch.worker.learn import import_batch, learn_batch, store_initial
from crossinit_batch.worker.model_setup import fit_to_plan
from crossinit_batch.worker.score import Scorer, Vector
from crossinit_batch.worker.timings import Pace, keep_start


class Worker:
    """Holds the models and what is computed once from them; no state that matters, the store has that."""

    def __init__(
        self, context: RunContext, source: ModelSource | None, device: torch.device, counters: Counters
    ) -> None:
        """`source` is None where nothing is to be learned or drawn."""
        self.context, self.source, self.device, self.counters = context, source, device, counters
        self._initial: dict[str, InitialVector] = {}
        self._empty: Tensor | None = None
        self._faces: dict[str, list[Vector]] = {}
        if device.type == "cpu":
            keep_freed_memory()

    @cached_property
    def model(self) -> BaseModel:
        """The base model, loaded when something is to be learned or drawn."""
        assert self.source is not None
        model = BaseModel.load(self.source, self.device, self.context.plan.model.dtype, self.counters)
        keep_start(self.context, self.device)
        fit_to_plan(model, self.context)
        self._warn_of_cut_prompts(model)
        return model

    @cached_property
    def judges(self) -> Judges:
        """The judges, loaded when something is to be scored."""
        assert self.context.plan.judges is not None
        return Judges.load(self.context.plan.judges, self.device)

    def do(self, batch: JobBatch) -> None:
        """Do what is left of a batch. Whatever fails is reported and does not stop the others.

        Interrupted passes where asked to stop, OutputLost where no other batch could be stored either, DeviceLost where
        none could be done in this process, and ModelError where none could be done at all.
        """
        with retries_told(self.context.report, lambda: bool(self.context.stop)):
            self._do(batch)

    def _do(self, batch: JobBatch) -> None:
        stage: str = batch.work
        try:
            if not self._is_drawn(batch):
                if not all(self.context.inventory.states[job.key].has_initial for job in self.context.jobs_of(batch)):
                    store_initial(self.context.store, self._initial_vector(batch.method))
                if batch.work == "learn":
                    learn_batch(self.context, self.model, batch, self._initial_vector(batch.method))
                elif batch.work == "import":
                    import_batch(self.context, self.model, batch)
                stage = "render"
                PictureBatch(self.context, self.model, batch, self._empty_states()).draw()
            if self.context.plan.judges is not None:
                stage = "evaluate"
                pace = Pace(self.context, self.device)
                Scorer(self.context, self.judges, self.counters, self._faces, pace).score(batch)
        except (Interrupted, DeviceLost, ModelError):
            raise
        except OutputLost as error:
            self._fail(batch, stage, error.message, error.hint)
            raise
        except CrossinitError as error:
            self._fail(batch, stage, error.message, error.hint)
        except torch.OutOfMemoryError:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            hint = "Lower `compute: identities_per_batch` or `images_per_batch`, then `crossinit resume`."
            self._fail(batch, stage, "the device ran out of memory", hint)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            reason = f"reading or writing failed: {where}{reason_of(error)}"
            self._fail(batch, stage, reason, "Mend that, then `crossinit resume`.")
        except Exception as error:  # whatever it is, the other batches go on
            if _is_device_loss(error):
                raise DeviceLost(str(error).partition("\n")[0]) from None
            if os.environ.get("CROSSINIT_DEBUG"):
                raise
            hint = "This is an error of crossinit's own: please report it, with the output under CROSSINIT_DEBUG=1."
            self._fail(batch, stage, f"{type(error).__name__}: {error}", hint)

    def _is_drawn(self, batch: JobBatch) -> bool:
        """Whether only scores can be missing, or only they are asked for."""
        inventory = self.context.inventory
        return self.context.scores_only or all(
            inventory.is_drawn(inventory.states[job.key]) for job in self.context.jobs_of(batch)
        )

    def _fail(self, batch: JobBatch, stage: str, reason: str, hint: str) -> None:
        """Report every job of the batch that had something left to do."""
        for job in self.context.jobs_of(batch):
            if not self.context.inventory.is_done(self.context.inventory.states[job.key]):
                self.context.report(JobFailed(*job.key, stage, reason, hint))

    def _initial_vector(self, method: str) -> InitialVector:
        """The method's initial vector, once a worker."""
        if method not in self._initial:
            found, how = initial_vector(self.model, self.context.plan.method(method).learned.init)
            if how == "recomputed":
                self.context.report(Warned("a cached initial vector was damaged and has been computed again"))
            norms = ", ".join(f"{float(row.norm()):.2f}" for row in found.v_init)
            self.context.report(Note(f"{method}: initial vector {found.digest[:16]} ({how}), norms {norms}"))
            self._initial[method] = found
        return self._initial[method]

    def _empty_states(self) -> Tensor:
        """The states of the negative prompt, once a worker."""
        if self._empty is None:
            self._empty = encode_prompt(self.model, self.context.plan.render.negative_prompt.replace("{}", ""), None)
        return self._empty

    def _warn_of_cut_prompts(self, model: BaseModel) -> None:
        """Say which prompts are longer than the text encoder reads, and what of them is lost."""
        for prompt in self.context.plan.prompts:
            try:
                cut = model.caption(prompt.text, tokens=2).cut
            except JobError:
                continue
            if cut:
                self.context.report(Warned(f"prompt {prompt.text!r} is too long; this is cut off: {cut!r}"))


def _is_device_loss(error: Exception) -> bool:
    """Whether the accelerator itself failed: after that every call to it in this process fails too."""
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
