"""One loop for every network of the small world: AdamW, cosine learning rate, averaged weights, checkpoints.

Each step draws from a generator keyed by seed, stage and step, so a cut run goes on as if it had not been cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossinit_batch.demo.training.pool import ALONE, Pool
from crossinit_batch.digest import seed_of
from crossinit_batch.model.allocator import keep_freed_memory

Report = Callable[[str], None]

CPU = torch.device("cpu")

_WARM_UP = 50
_CHECKPOINT_SECONDS = 60.0
_REPORT_EVERY = 50


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    `average` is the decay of the averaged weights, 0 for none; `steady` the fraction of the steps before the learning
    rate begins to fall.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-2
    average: float = 0.0
    steady: float = 0.0

    def rate(self, step: int) -> float:
        """The fraction of the learning rate in a step: linear warm-up, all of it, then half a cosine down to 2 %."""
        if step < _WARM_UP:
            return (step + 1) / _WARM_UP
        falling = _WARM_UP + self.steady * (self.steps - _WARM_UP)
        done = min(1.0, max(0.0, step - falling) / max(1.0, self.steps - falling))
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Trained:
    """What a stage cost: seconds of all its runs, steps, and the mean loss of its last steps."""

    seconds: float
    steps: int
    loss: float


def train_network(
    network: nn.Module,
    loss_of: Callable[[torch.Generator], Tensor],
    schedule: Schedule,
    checkpoint: Path,
    *,
    seed: int,
    report: Report,
    pool: Pool = ALONE,
    device: torch.device = CPU,
) -> Trained:
    """Train to the schedule's end, from the checkpoint if it is there; the averaged weights are in at the end.

    The network is on the device meanwhile, where `loss_of` takes its samples to, and on the CPU at the end. In a
    pool, `loss_of` is the loss of this process's shard of the batch, and only the first process writes.
    """
    if device.type == "cpu":
        keep_freed_memory()
    network.to(device)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    adamw = torch.optim.AdamW(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    averaged = [parameter.detach().clone() for parameter in parameters] if schedule.average else []
    step, seconds, recent = 0, 0.0, float("nan")
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        adamw.load_state_dict(state["adamw"])
        for mine, saved in zip(averaged, state["averaged"], strict=True):
            mine.copy_(saved)
        step, seconds, recent = state["step"], state["seconds"], state["loss"]
    began = saved_at = time.monotonic()

    def save() -> None:
        state: dict[str, Any] = {"network": network.state_dict(), "adamw": adamw.state_dict(), "averaged": averaged}
        state |= {"step": step, "seconds": seconds + time.monotonic() - began, "loss": recent}
        partial = checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(checkpoint)

    network.train()
    while step < schedule.steps:
        generator = torch.Generator().manual_seed(seed_of("demo-training", seed, checkpoint.stem, step))
        for group in adamw.param_groups:
            group["lr"] = schedule.learning_rate * schedule.rate(step)
        loss = loss_of(generator)
        adamw.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        pool.average(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adamw.step()
        step += 1
        decay = min(schedule.average, step / (step + 20))
        for mean, parameter in zip(averaged, parameters, strict=False):
            mean.lerp_(parameter.detach(), 1 - decay)
        value = float(loss.detach())
        recent = value if math.isnan(recent) else recent + 0.02 * (value - recent)
        if pool.rank:
            continue
        if step % _REPORT_EVERY == 0:
            spent = seconds + time.monotonic() - began
            report(f"{checkpoint.stem}: step {step} of {schedule.steps}, loss {recent:.4f}, {spent:.0f} s")
        if time.monotonic() - saved_at > _CHECKPOINT_SECONDS or step == schedule.steps:
            save()
            saved_at = time.monotonic()
    for mean, parameter in zip(averaged, parameters, strict=False):
        parameter.data.copy_(mean)
    network.cpu()
    return Trained(seconds + time.monotonic() - began, step, recent)
