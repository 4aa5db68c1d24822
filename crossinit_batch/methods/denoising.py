"""The denoising loss of many identities at once, and its gradient by the vectors in their captions (paper, Eq. 1).

The U-Net sees N x B samples in one batch; losses are means over one identity's samples and are summed over identities,
so each identity's gradient is as it would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from PIL import Image
from torch import Tensor

from crossinit_batch.images.photograph import square, to_samples
from crossinit_batch.methods.draws import StepDraws, draw_step
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import to_device

Crop = Literal["center", "stretch"]


@dataclass(frozen=True)
class Subject:
    """An identity to be learned: its latents' `mean` and `std`, each (photographs, 2, channels, side, side).

    The second axis is the picture and its mirror image.
    """

    identity: str
    mean: Tensor
    std: Tensor


def encoded_subject(model: BaseModel, identity: str, photographs: Sequence[Image.Image], crop: Crop) -> Subject:
    """An identity's photographs made square, with their mirror images, as latent moments."""
    means, stds = [], []
    for photograph in photographs:
        upright = torch.from_numpy(to_samples(square(photograph, model.native_size, crop)))
        moments = [model.encode_image(picture[None]) for picture in (upright, upright.flip(2))]
        means.append(torch.cat([mean for mean, _ in moments]))
        stds.append(torch.cat([std for _, std in moments]))
    return Subject(identity, torch.stack(means).cpu(), torch.stack(stds).cpu())


class Slots(Protocol):
    """Captions with a slot for vectors: the hidden states of captions `which` (B,), each with its v."""

    def __len__(self) -> int: ...

    def states(self, which: Tensor, v: Tensor) -> Tensor:
        """(B, length, width) of v (B, tokens, width)."""
        ...


@dataclass(frozen=True)
class _Samples:
    """N x B noisy latents `z_t` and what the U-Net should predict, `target`, both (N x B, channels, side, side).

    `timesteps` and the numbers of the captions, `templates`, are (N x B,).
    """

    z_t: Tensor
    timesteps: Tensor
    target: Tensor
    templates: Tensor


class DenoisingLoss:
    """Eq. 1 for N subjects with `batch_size` samples each, of captions with a vector in their slot."""

    def __init__(
        self,
        model: BaseModel,
        subjects: Sequence[Subject],
        captions: Slots,
        seed: int,
        *,
        batch_size: int,
        flip: bool,
        fill_to: int = 0,
    ) -> None:
        """Samples are filled up to those of `fill_to` subjects where these are fewer: compiled code has one shape."""
        self.model, self.subjects, self.captions, self.seed = model, tuple(subjects), captions, seed
        self.batch_size, self.flip, self.filled = batch_size, flip, fill_to * batch_size

    def loss_and_gradient(self, v: Tensor, draws: Sequence[StepDraws]) -> tuple[Tensor, Tensor]:
        """The loss of each subject, (N,), and the gradient of their sum by v (N, tokens, width), the shape of v.

        All samples go through in one pass, or in micro-batches whose gradients are summed where memory is short.
        """
        model = self.model
        samples = self._noised(draws)
        batch_size = self.batch_size

        def errors_and_gradient(part: slice, size: int) -> tuple[Tensor, Tensor]:
            inserted = v.repeat_interleave(batch_size, dim=0)[part]
            states = self.captions.states(samples.templates[part], inserted)
            inputs = (model.padded(one, size) for one in (samples.z_t[part], samples.timesteps[part], states))
            prediction = model.predict_noise(*inputs)[: part.stop - part.start]
            errors = (prediction - samples.target[part]).square().flatten(1).mean(dim=1)
            (grad,) = torch.autograd.grad(errors.sum() / batch_size, v)
            return errors.detach(), grad

        parts = model.learning.run(len(samples.z_t), errors_and_gradient, self.filled)
        errors = torch.cat([part for part, _ in parts])
        grad = torch.stack([part for _, part in parts]).sum(dim=0)
        return errors.reshape(-1, batch_size).mean(dim=1), grad

    def draws(self, step: int) -> list[StepDraws]:
        """The draws of every subject in this step."""
        shape = self.subjects[0].mean.shape[2:]
        return [
            draw_step(
                self.seed,
                subject.identity,
                step,
                batch_size=self.batch_size,
                photographs=subject.mean.shape[0],
                templates=len(self.captions),
                flip=self.flip,
                latent_shape=(shape[0], shape[1], shape[2]),
                timesteps=int(self.model.noise_scheduler.config.num_train_timesteps),
            )
            for subject in self.subjects
        ]

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


def _sample(subject: Subject, draw: StepDraws) -> Tensor:
    """Unscaled latents (B, channels, side, side) from the posterior of the drawn pictures."""
    mean = subject.mean[draw.photograph, draw.mirrored]
    std = subject.std[draw.photograph, draw.mirrored]
    return mean + std * draw.posterior
