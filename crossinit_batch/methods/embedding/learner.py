"""Learning embeddings: the initial vector once, then v of a batch of identities, and each one's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from crossinit_batch import layout
from crossinit_batch.errors import JobError
from crossinit_batch.events import Note, Reporter, Warned
from crossinit_batch.methods.denoising import Subject, encoded_subject
from crossinit_batch.methods.embedding.artifact import Embedding
from crossinit_batch.methods.embedding.conditioning import anchor_of
from crossinit_batch.methods.embedding.formats import EmbeddingFile
from crossinit_batch.methods.embedding.initial_vector import InitialVector, initial_vector
from crossinit_batch.methods.embedding.losses import dump_losses
from crossinit_batch.methods.embedding.optimization import STATE, Optimization, Progress
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.methods.learner import Learned, Learner, OnStep, Prepared, Trainer
from crossinit_batch.model.base_model import BaseModel


class EmbeddingTrainer(Trainer):
    """An optimisation of v from an initial vector."""

    STATE = STATE

    def __init__(self, optimization: Optimization, start: InitialVector) -> None:
        self.optimization, self.start = optimization, start

    @property
    def step(self) -> int:
        return self.optimization.step

    def run(self, on_step: OnStep) -> bool:
        return self.optimization.run(on_step)

    def state(self) -> dict[str, Tensor]:
        return self.optimization.snapshot().tensors()

    def result(self, number: int) -> Learned:
        final, start = self.optimization.snapshot(), self.start
        failed_at = int(final.failed_at[number])
        if failed_at >= 0:
            raise JobError(
                f"the loss was not finite at step {failed_at + 1}",
                "Lower the learning rate, or use `dtype: float32`.",
            )
        v, losses = final.v[number], final.losses[:, number]
        embedding = Embedding(EmbeddingFile(v, anchor=anchor_of(self.optimization.settings, start)))
        facts = {
            "steps": final.step,
            "loss_last_10": float(losses[-10:, 0].mean()),
            **embedding.facts(),
            "norm_initial": [float(row.norm()) for row in start.v_init],
            "cosine_to_initial": [float(cosine) for cosine in torch.cosine_similarity(v, start.v_init)],
            layout.PREPARED_FACT: layout.prepared_file(start.digest),
        }
        return Learned(embedding, facts, {layout.LOSSES_FILE: dump_losses(losses, final.trajectory[:, number])})


class EmbeddingLearner(Learner):
    """Embeddings on a worker's base model."""

    trainer_type = EmbeddingTrainer

    def __init__(self, model: BaseModel, settings: EmbeddingSettings, name: str, seed: int, report: Reporter) -> None:
        super().__init__(model, settings, name, seed, report)
        self.settings = settings

    @cached_property
    def start(self) -> InitialVector:
        """The initial vector, from the cache or computed."""
        found, how = initial_vector(self.model, self.settings.init)
        if how == "recomputed":
            self.report(Warned("a cached initial vector was damaged and has been computed again"))
        norms = ", ".join(f"{float(row.norm()):.2f}" for row in found.v_init)
        self.report(Note(f"{self.name}: initial vector {found.digest[:16]} ({how}), norms {norms}"))
        return found

    @property
    def prepared(self) -> Prepared:
        files = {layout.prepared_file(self.start.digest): self.start.dump()}
        return Prepared(f"initial-{self.start.digest[:16]}", files)

    def subject(self, identity: str, photographs: Sequence[Image.Image]) -> Subject:
        return encoded_subject(self.model, identity, photographs, self.settings.crop)

    def trainer(
        self, subjects: Sequence[Subject], state: Mapping[str, Tensor] | None, fill_to: int
    ) -> EmbeddingTrainer:
        progress = Progress(**state) if state is not None else None
        anchor = anchor_of(self.settings, self.start)
        optimization = Optimization(
            self.model, subjects, self.start.v_init, self.settings, self.seed, progress, anchor, fill_to
        )
        return EmbeddingTrainer(optimization, self.start)
