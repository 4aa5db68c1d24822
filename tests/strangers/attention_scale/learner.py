"""Gradient descent on the scales, by the denoising loss of captions in which nobody is inserted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from crossinit_batch.errors import JobError
from crossinit_batch.events import Reporter
from crossinit_batch.methods.denoising import DenoisingLoss, Subject, encoded_subject
from crossinit_batch.methods.learner import Learned, Learner, OnStep, Prepared, Trainer
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import encode_plain
from tests.strangers.attention_scale.artifact import NOBODY, Scales, ones, scaled
from tests.strangers.attention_scale.method import AttentionScaleSettings


class _Captions:
    """One caption; what would be inserted into it are the scales of the samples that are asked for."""

    def __init__(self, model: BaseModel) -> None:
        self.states_of_one = encode_plain(model, f"a photo of a {NOBODY}").states
        self.factors: Tensor | None = None

    def __len__(self) -> int:
        return 1

    def states(self, which: Tensor, v: Tensor) -> Tensor:
        self.factors = v
        return self.states_of_one.expand(len(which), -1, -1)

    def of(self, rows: int) -> Tensor:
        assert self.factors is not None
        missing = rows - len(self.factors)
        return torch.cat([self.factors, self.factors[:1].expand(missing, -1)]) if missing > 0 else self.factors[:rows]


class ScaleTrainer(Trainer):
    STATE = ("factors", "losses")

    def __init__(
        self,
        model: BaseModel,
        subjects: Sequence[Subject],
        settings: AttentionScaleSettings,
        seed: int,
        state: dict[str, Tensor],
    ) -> None:
        self.model, self.settings = model, settings
        self.factors, self.losses = state["factors"], list(state["losses"])
        self.captions = _Captions(model)
        self.loss = DenoisingLoss(model, subjects, self.captions, seed, batch_size=settings.batch_size, flip=True)

    @property
    def step(self) -> int:
        return len(self.losses)

    def run(self, on_step: OnStep) -> bool:
        while self.step < self.settings.steps:
            v = self.factors.clone().requires_grad_()
            with scaled(self.model, self.captions.of):
                loss, gradient = self.loss.loss_and_gradient(v, self.loss.draws(self.step))
            self.factors = self.factors - self.settings.learning_rate * gradient
            self.losses.append(loss)
            if not on_step(self.step, lambda: float(self.losses[-1].mean())):
                break
        return self.step == self.settings.steps

    def state(self) -> dict[str, Tensor]:
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0, len(self.factors))
        return {"factors": self.factors.clone(), "losses": losses}

    def result(self, number: int) -> Learned:
        factors = self.factors[number]
        if not factors.isfinite().all():
            raise JobError("the scales are not finite", "Lower the learning rate.")
        scales = Scales(factors)
        return Learned(scales, {"steps": self.step, **scales.facts()})


class ScaleLearner(Learner):
    trainer_type = ScaleTrainer

    def __init__(
        self, model: BaseModel, settings: AttentionScaleSettings, name: str, seed: int, report: Reporter
    ) -> None:
        super().__init__(model, settings, name, seed, report)
        self.settings = settings

    @property
    def prepared(self) -> Prepared:
        return Prepared("nothing", {})

    def subject(self, identity: str, photographs: Sequence[Image.Image]) -> Subject:
        return encoded_subject(self.model, identity, photographs, "center")

    def trainer(self, subjects: Sequence[Subject], state: Mapping[str, Tensor] | None, fill_to: int) -> ScaleTrainer:
        start = {"factors": ones(self.settings.groups, len(subjects)), "losses": torch.zeros(0, len(subjects))}
        return ScaleTrainer(self.model, subjects, self.settings, self.seed, dict(state) if state else start)
