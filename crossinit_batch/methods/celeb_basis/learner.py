"""Learning coefficients in the basis of names: AdamW on the unit sphere, their moving average, and its vectors."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from crossinit_batch import layout
from crossinit_batch.digest import seed_of
from crossinit_batch.errors import JobError
from crossinit_batch.events import Note, Reporter
from crossinit_batch.methods.celeb_basis.basis import NameBasis, name_basis
from crossinit_batch.methods.celeb_basis.method import CelebBasisSettings
from crossinit_batch.methods.denoising import DenoisingLoss, Subject, encoded_subject
from crossinit_batch.methods.embedding.artifact import Embedding
from crossinit_batch.methods.embedding.conditioning import Captions
from crossinit_batch.methods.embedding.formats import EmbeddingFile
from crossinit_batch.methods.learner import Learned, Learner, OnStep, Prepared, Trainer
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import repeating_exactly
from crossinit_batch.prompts import TRAINING_TEMPLATES


class CelebBasisTrainer(Trainer):
    """u (N, columns, k) is trained; x = u / ||u|| are the coefficients, z the vectors, `ema` the average of x.

    The released code updates the average once a sample, so `batch_size` times a step.
    """

    STATE = ("u", "exp_avg", "exp_avg_sq", "ema", "losses", "failed_at")

    def __init__(
        self,
        model: BaseModel,
        subjects: Sequence[Subject],
        basis: NameBasis,
        settings: CelebBasisSettings,
        seed: int,
        state: Mapping[str, Tensor],
        fill_to: int,
    ) -> None:
        self.model, self.basis, self.settings = model, basis, settings
        device = model.device
        self.u = torch.nn.Parameter(state["u"].to(device))
        self.adamw = torch.optim.AdamW([self.u], lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.losses = list(state["losses"].to(device))
        self.adamw.state[self.u] = {
            "step": torch.tensor(float(len(self.losses))),
            "exp_avg": state["exp_avg"].to(device),
            "exp_avg_sq": state["exp_avg_sq"].to(device),
        }
        self.ema, self.failed_at = state["ema"].to(device), state["failed_at"].to(device)
        captions = Captions(model, TRAINING_TEMPLATES[settings.templates], basis.mean.shape[0])
        self.denoising = DenoisingLoss(
            model, subjects, captions, seed, batch_size=settings.batch_size, flip=settings.flip, fill_to=fill_to
        )

    @property
    def step(self) -> int:
        return len(self.losses)

    def run(self, on_step: OnStep) -> bool:
        while self.step < self.settings.steps:
            with repeating_exactly(self.model.device):
                self._do_step()
            if not on_step(self.step, self._mean_loss):
                break
        return self.step == self.settings.steps

    def _do_step(self) -> None:
        """One step of AdamW for all identities; one that failed stays in the batch and learns no more."""
        z = self.basis.vectors(_unit(self.u))
        v = z.detach().requires_grad_()
        loss, grad_z = self.denoising.loss_and_gradient(v, self.denoising.draws(self.step))
        (grad,) = torch.autograd.grad(z, self.u, grad_z)
        finite = torch.isfinite(loss) & torch.isfinite(grad).flatten(1).all(dim=1)
        self.failed_at = torch.where(~finite & (self.failed_at < 0), self.step, self.failed_at)
        self.u.grad = torch.where((self.failed_at < 0)[:, None, None], grad, 0.0)
        kept = self.settings.ema**self.settings.batch_size
        with torch.no_grad():
            self.ema = kept * self.ema + (1 - kept) * _unit(self.u)
        self.adamw.step()
        self.losses.append(loss)

    def _mean_loss(self) -> float:
        return float(self.losses[-1][self.failed_at < 0].mean())

    def state(self) -> dict[str, Tensor]:
        adamw, identities = self.adamw.state[self.u], self.u.shape[0]
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0, identities)
        tensors = {
            "u": self.u.detach(),
            "exp_avg": adamw["exp_avg"],
            "exp_avg_sq": adamw["exp_avg_sq"],
            "ema": self.ema,
            "losses": losses,
            "failed_at": self.failed_at,
        }
        return {name: tensor.cpu().clone() for name, tensor in tensors.items()}

    def result(self, number: int) -> Learned:
        final = self.state()
        failed_at = int(final["failed_at"][number])
        if failed_at >= 0:
            raise JobError(
                f"the loss was not finite at step {failed_at + 1}", "Lower the learning rate, or use `dtype: float32`."
            )
        coefficients = final["ema"][number] if self.settings.ema else _unit(final["u"])[number]
        v, losses = self.basis.vectors(coefficients[None])[0], final["losses"][:, number]
        embedding = Embedding(EmbeddingFile(v))
        facts = {
            "steps": self.step,
            "loss_last_10": float(losses[-10:].mean()),
            **embedding.facts(),
            "components": int(self.basis.components.shape[1]),
            "distance_to_mean": [float(row.norm()) for row in v - self.basis.mean],
            layout.PREPARED_FACT: layout.prepared_file(self.basis.digest),
        }
        return Learned(embedding, facts, {layout.LOSSES_FILE: _dump_losses(losses)})


class CelebBasisLearner(Learner):
    """Coefficients in the names' basis on a worker's base model."""

    trainer_type = CelebBasisTrainer

    def __init__(self, model: BaseModel, settings: CelebBasisSettings, name: str, seed: int, report: Reporter) -> None:
        super().__init__(model, settings, name, seed, report)
        self.settings = settings

    @cached_property
    def basis(self) -> NameBasis:
        basis = name_basis(self.model, self.settings)
        columns, k, _ = basis.components.shape
        self.report(Note(f"{self.name}: basis of names {basis.digest[:16]}, {columns} columns of {k} components"))
        return basis

    @property
    def prepared(self) -> Prepared:
        files = {layout.prepared_file(self.basis.digest): self.basis.dump()}
        return Prepared(f"initial-{self.basis.digest[:16]}", files)

    def subject(self, identity: str, photographs: Sequence[Image.Image]) -> Subject:
        return encoded_subject(self.model, identity, photographs, self.settings.crop)

    def trainer(
        self, subjects: Sequence[Subject], state: Mapping[str, Tensor] | None, fill_to: int
    ) -> CelebBasisTrainer:
        found = state if state is not None else self._start([subject.identity for subject in subjects])
        return CelebBasisTrainer(self.model, subjects, self.basis, self.settings, self.seed, found, fill_to)

    def _start(self, identities: Sequence[str]) -> dict[str, Tensor]:
        """Before the first step: u and the average are N(0, 1); each identity has its u, all share the average."""
        shape = self.basis.components.shape[:2]
        u = torch.stack([_normal(shape, "celeb-basis", self.seed, identity) for identity in identities])
        average = _normal(shape, "celeb-basis-average", self.seed)
        return {
            "u": u,
            "exp_avg": torch.zeros_like(u),
            "exp_avg_sq": torch.zeros_like(u),
            "ema": average.expand_as(u).clone(),
            "losses": torch.zeros(0, len(identities)),
            "failed_at": torch.full((len(identities),), -1, dtype=torch.int64),
        }


def _unit(u: Tensor) -> Tensor:
    """x = u / ||u||, each column's coefficients (..., k) on the unit sphere."""
    unit: Tensor = u / u.norm(dim=-1, keepdim=True)
    return unit


def _normal(shape: Sequence[int], *key: str | int) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed_of(*key)))


def _dump_losses(losses: Tensor) -> bytes:
    """One identity's losses (steps,) as CSV, steps from 1."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["step", "denoising_loss"])
    writer.writerows([step, f"{loss:.8g}"] for step, loss in enumerate(losses.tolist(), start=1))
    return file.getvalue().encode()
