"""The optimisation of v for many identities at once: denoising loss and regulariser (paper, Eqs. 1, 4 and 5).

One parameter v (N, tokens, width) is trained and nothing else. AdamW works element by element, so each identity moves
as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossinit_batch.methods.denoising import DenoisingLoss, Subject
from crossinit_batch.methods.embedding.conditioning import Captions
from crossinit_batch.methods.embedding.scale_orientation import TRAJECTORY, looks_through_encoder, trajectory_point
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import repeating_exactly
from crossinit_batch.prompts import TRAINING_TEMPLATES


@dataclass
class Progress:
    """The state of an optimisation: all that a checkpoint holds.

    `v` and AdamW's two moments are (N, tokens, width); `losses` (steps done, N, 2) are the denoising loss and
    the regulariser's distance; `trajectory` (steps done, N, 4) has the numbers of TRAJECTORY before each step;
    `failed_at` (N,) is the step whose loss was not finite, or -1.
    """

    v: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    losses: Tensor
    trajectory: Tensor
    failed_at: Tensor

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.losses.shape[0])

    @classmethod
    def start(cls, v_init: Tensor, identities: int) -> Progress:
        """Before the first step: every identity at v_init (tokens, width)."""
        v = v_init.expand(identities, -1, -1).clone()
        return cls(
            v,
            torch.zeros_like(v),
            torch.zeros_like(v),
            torch.zeros(0, identities, 2),
            torch.zeros(0, identities, len(TRAJECTORY)),
            torch.full((identities,), -1, dtype=torch.int64),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names."""
        return {name: getattr(self, name) for name in STATE}


STATE = ("v", "exp_avg", "exp_avg_sq", "losses", "trajectory", "failed_at")


_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Optimization:
    """N identities being learned together; `run` goes on from `progress` and leaves its result there."""

    def __init__(
        self,
        model: BaseModel,
        subjects: Sequence[Subject],
        v_init: Tensor,
        settings: EmbeddingSettings,
        seed: int,
        progress: Progress | None = None,
        anchor: Tensor | None = None,
        fill_to: int = 0,
    ) -> None:
        """`v_init` (tokens, width) is where v starts; with an `anchor` v belongs in the text encoder's output.

        The samples are filled up to those of `fill_to` identities, where these are fewer: a compiled U-Net is made for
        one shape.
        """
        self.model, self.subjects, self.settings, self.seed = model, tuple(subjects), settings, seed
        self.progress = progress or Progress.start(v_init, len(self.subjects))
        device = model.device
        self.v = torch.nn.Parameter(self.progress.v.to(device))
        self.v_init = v_init.to(device)
        self.adamw = torch.optim.AdamW(
            [self.v], lr=settings.learning_rate, betas=_BETAS, eps=_EPS, weight_decay=settings.weight_decay
        )
        self.adamw.state[self.v] = {
            "step": torch.tensor(float(self.progress.step)),
            "exp_avg": self.progress.exp_avg.to(device),
            "exp_avg_sq": self.progress.exp_avg_sq.to(device),
        }
        self.failed_at = self.progress.failed_at.to(device)
        self.losses: list[Tensor] = list(self.progress.losses.to(device))
        self.trajectory: list[Tensor] = list(self.progress.trajectory.to(device))
        captions = Captions(model, TRAINING_TEMPLATES[settings.templates], v_init.shape[0], anchor)
        self.through_encoder = anchor is None
        self.denoising = DenoisingLoss(
            model, subjects, captions, seed, batch_size=settings.batch_size, flip=settings.flip, fill_to=fill_to
        )

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def run(self, on_step: Callable[[int, Callable[[], float]], bool]) -> bool:
        """Do the steps that are left, True once all are done; `on_step(step, loss)` may return False to stop.

        `loss()` is the step's mean loss over the identities that have not failed, not a number if all have;
        calling it waits for the device.
        """
        while self.step < self.settings.steps:
            with repeating_exactly(self.model.device):
                self._do_step()
            if not on_step(self.step, self._mean_loss):
                break
        self._collect()
        return self.step == self.settings.steps

    def _mean_loss(self) -> float:
        return float(self.losses[-1][self.failed_at < 0, 0].mean())

    def snapshot(self) -> Progress:
        """The state after the last step, on the CPU."""
        self._collect()
        return self.progress

    def _do_step(self) -> None:
        """One step of AdamW for all identities (Eq. 5)."""
        # What is in the encoder's output does not pass through it.
        look = self.through_encoder and looks_through_encoder(self.step, self.settings.steps)
        self.trajectory.append(trajectory_point(self.model, self.v, self.v_init, through_encoder=look))
        loss, grad = self.denoising.loss_and_gradient(self.v, self.denoising.draws(self.step))
        distance = regularizer(self.v, self.v_init, self.settings.regularizer)
        (pull,) = torch.autograd.grad(distance.sum(), self.v)
        grad = grad + self.settings.regularization * pull
        finite = torch.isfinite(loss) & torch.isfinite(grad).flatten(1).all(dim=1)
        newly_failed = ~finite & (self.failed_at < 0)
        self.failed_at = torch.where(newly_failed, self.step, self.failed_at)
        # A failed identity stays in the batch, whose shape the others' numbers depend on, but learns no more.
        self.v.grad = torch.where((self.failed_at < 0)[:, None, None], grad, 0.0)
        self.adamw.step()
        self.losses.append(torch.stack([loss, distance.detach()], dim=1))

    def _collect(self) -> None:
        """Bring the state to the CPU."""
        state = self.adamw.state[self.v]
        losses = torch.stack(self.losses).cpu() if self.losses else self.progress.losses
        trajectory = torch.stack(self.trajectory).cpu() if self.trajectory else self.progress.trajectory
        self.progress = Progress(
            self.v.detach().cpu().clone(),
            state["exp_avg"].cpu().clone(),
            state["exp_avg_sq"].cpu().clone(),
            losses,
            trajectory,
            self.failed_at.cpu(),
        )


def regularizer(v: Tensor, v_init: Tensor, kind: str) -> Tensor:
    """The distance of each v (N, tokens, width) from v_init (tokens, width), (N,).

    `squared-l2`: ||v - v_init||^2 over all tokens (Eq. 4); `l2`: ||v - v_init||, mean over tokens, with the
    1e-6 that the released code's distance adds to every difference.
    """
    if kind == "squared-l2":
        return (v - v_init).square().sum(dim=(1, 2))
    distance: Tensor = torch.linalg.vector_norm(v - v_init + 1e-6, dim=2)
    return distance.mean(dim=1)
