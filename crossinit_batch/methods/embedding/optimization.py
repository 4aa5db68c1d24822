"""The denoising-loss loop over many identities at once (paper, Eqs. 1, 4 and 5).

One parameter v (N, tokens, width) is trained and nothing else. The U-Net sees N x B samples in one batch;
losses are means over one identity's samples and are summed over identities, and AdamW works element by
element, so each identity moves as it would alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossinit_batch.digest import sha256
from crossinit_batch.methods.embedding.conditioning import Captions
from crossinit_batch.methods.embedding.draws import StepDraws, draw_step
from crossinit_batch.methods.embedding.scale_orientation import TRAJECTORY, looks_through_encoder, trajectory_point
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import repeating_exactly, to_device
from crossinit_batch.prompts import TRAINING_TEMPLATES
from crossinit_batch.settings import EmbeddingSettings
from crossinit_batch.storage.tensor_file import dump_tensors, load_tensors


@dataclass(frozen=True)
class Subject:
    """An identity to be learned: its latents' `mean` and `std`, each (photographs, 2, channels, side, side).

    The second axis is the picture and its mirror image.
    """

    identity: str
    mean: Tensor
    std: Tensor


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

    def dump(self, members: Sequence[str]) -> bytes:
        """As a file; `members` are the digests of the jobs it belongs to."""
        tensors = {name: getattr(self, name) for name in _STATE}
        return dump_tensors(tensors, {"members": json.dumps(list(members)), "content": _content(tensors)})

    @classmethod
    def load(cls, data: bytes, name: str, members: Sequence[str]) -> Progress | None:
        """From a file; None where it belongs to other jobs or has other numbers, TensorFileError where it is broken."""
        tensors, metadata = load_tensors(data, name)
        if set(tensors) != set(_STATE) or metadata.get("members") != json.dumps(list(members)):
            return None
        if metadata.get("content") != _content(tensors):
            return None
        return cls(**tensors)


_STATE = ("v", "exp_avg", "exp_avg_sq", "losses", "trajectory", "failed_at")


def _content(tensors: dict[str, Tensor]) -> str:
    """The digest of the numbers themselves: a flipped bit changes it, and nothing else would notice."""
    return sha256(b"".join(tensors[name].detach().cpu().contiguous().numpy().tobytes() for name in _STATE))


@dataclass(frozen=True)
class _Samples:
    """N x B noisy latents `z_t` and what the U-Net should say of them, `target`, both (N x B, channels, side, side).

    `timesteps` and the numbers of the captions, `templates`, are (N x B,).
    """

    z_t: Tensor
    timesteps: Tensor
    target: Tensor
    templates: Tensor


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
        stand_in: Tensor | None = None,
        fill_to: int = 0,
    ) -> None:
        """`v_init` (tokens, width) is where v starts; with a `stand_in` v lives in the text encoder's output.

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
        self.filled = fill_to * settings.batch_size
        self.losses: list[Tensor] = list(self.progress.losses.to(device))
        self.trajectory: list[Tensor] = list(self.progress.trajectory.to(device))
        self.captions = Captions(model, TRAINING_TEMPLATES[settings.templates], v_init.shape[0], stand_in)

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
        look = self.captions.stand_in is None and looks_through_encoder(self.step, self.settings.steps)
        self.trajectory.append(trajectory_point(self.model, self.v, self.v_init, through_encoder=look))
        loss, grad = self.loss_and_gradient(self._draws(self.step))
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

    def loss_and_gradient(self, draws: Sequence[StepDraws]) -> tuple[Tensor, Tensor]:
        """The denoising loss (Eq. 1) of each identity, (N,), and the gradient of their sum by v, the shape of v.

        The samples go forward and back together, or in parts whose gradients are summed where memory is short.
        """
        model = self.model
        samples = self._noised(draws)
        batch_size = self.settings.batch_size

        def errors_and_gradient(part: slice, size: int) -> tuple[Tensor, Tensor]:
            worn = self.v.repeat_interleave(batch_size, dim=0)[part]
            states = self.captions.states(samples.templates[part], worn)
            inputs = (model.padded(one, size) for one in (samples.z_t[part], samples.timesteps[part], states))
            prediction = model.predict_noise(*inputs)[: part.stop - part.start]
            errors = (prediction - samples.target[part]).square().flatten(1).mean(dim=1)
            (grad,) = torch.autograd.grad(errors.sum() / batch_size, self.v)
            return errors.detach(), grad

        parts = model.learning.run(len(samples.z_t), errors_and_gradient, self.filled)
        errors = torch.cat([part for part, _ in parts])
        grad = torch.stack([part for _, part in parts]).sum(dim=0)
        return errors.reshape(-1, batch_size).mean(dim=1), grad

    def _noised(self, draws: Sequence[StepDraws]) -> _Samples:
        """The step's noisy samples, those of one identity after those of the other."""
        model, device = self.model, self.model.device
        latents = torch.stack([_sample(subject, draw) for subject, draw in zip(self.subjects, draws, strict=True)])
        z = model.scale_latents(to_device(latents, device)).flatten(0, 1)
        epsilon = to_device(torch.cat([draw.noise for draw in draws]), device)
        timesteps = to_device(torch.cat([draw.timestep for draw in draws]), device)
        scheduler = model.noise_scheduler
        z_t = scheduler.add_noise(z, epsilon, timesteps)
        target = epsilon if model.prediction_type == "epsilon" else scheduler.get_velocity(z, epsilon, timesteps)
        return _Samples(z_t, timesteps, target, to_device(torch.cat([draw.template for draw in draws]), device))

    def _draws(self, step: int) -> list[StepDraws]:
        """The draws of every identity in this step."""
        settings = self.settings
        shape = self.subjects[0].mean.shape[2:]
        return [
            draw_step(
                self.seed,
                subject.identity,
                step,
                batch_size=settings.batch_size,
                photographs=subject.mean.shape[0],
                templates=len(self.captions),
                flip=settings.flip,
                latent_shape=(shape[0], shape[1], shape[2]),
                timesteps=int(self.model.noise_scheduler.config.num_train_timesteps),
            )
            for subject in self.subjects
        ]

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


def _sample(subject: Subject, draw: StepDraws) -> Tensor:
    """Unscaled latents (B, channels, side, side) from the posterior of the drawn pictures."""
    mean = subject.mean[draw.photograph, draw.mirrored]
    std = subject.std[draw.photograph, draw.mirrored]
    return mean + std * draw.posterior
