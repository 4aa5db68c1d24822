"""The optimisation loop alone, the peer's and ours, without start-up: seconds a step, after a first one to warm up.

    python benchmarks/learning_loop.py peer|crossinit --model FOLDER --pictures FOLDER [--identities 8] [--batch 8]

Both learn two vectors by steps of the same batch. Ours learns that many identities at once, as in a run of 320 steps;
the peer's knows one. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from device_clock import Clock
from peer_textual_inversion import PRECISIONS, PeerLearning
from timed_process import Cost

from crossinit_batch.images.photograph import open_photograph, square, to_samples
from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.embedding.initial_vector import initial_vector
from crossinit_batch.methods.embedding.optimization import Optimization
from crossinit_batch.methods.embedding.settings import CROSS_INIT
from crossinit_batch.model.allocator import keep_freed_memory
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import attention_backends
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings

WARM_UP = 1
"""Steps that are not counted."""


@dataclass(frozen=True)
class Loop:
    """What so many steps for all identities together cost, `data` of it spent on reading pictures."""

    identities: int
    steps: int
    batch: int
    total: Cost
    data: Cost = field(default_factory=Cost)

    @property
    def step_of_one(self) -> Cost:
        """A step of one identity, without the reading of pictures, which the peer alone does in every step."""
        without = Cost(self.total.wall - self.data.wall, self.total.cpu - self.data.cpu)
        return without.per(self.steps * self.identities)


def peer_loop(
    model: Path, pictures: Path, *, steps: int, batch: int, device: str = "cpu", precision: str = "float32"
) -> Loop:
    """The peer's loop for one identity."""
    learning = PeerLearning(model, pictures, batch=batch, device=device, precision=precision)
    for _ in range(WARM_UP):
        learning.step()
    learning.data = Cost()
    clock = Clock(learning.device)
    for _ in range(steps):
        learning.step()
    return Loop(1, steps, batch, clock.read(), learning.data)


def crossinit_loop(
    model: BaseModel, pictures: list[Path], *, steps: int, batch: int, on_warm: Callable[[], None] = lambda: None
) -> Loop:
    """Our loop for as many identities as there are pictures, each learned from one."""
    settings = CROSS_INIT.model_copy(update={"batch_size": batch})
    start, _ = initial_vector(model, settings.init)
    subjects = [subject_of(model, picture) for picture in pictures]
    optimization = Optimization(model, subjects, start.v_init, settings, seed=0)
    clock = Clock(model.device)

    def on_step(step: int, loss: Callable[[], float]) -> bool:
        nonlocal clock
        if model.device.type == "cpu":  # as the program does: on a GPU a look at the loss waits for it
            loss()
        if step == WARM_UP:
            on_warm()
            clock = Clock(model.device)
        return step < WARM_UP + steps

    optimization.run(on_step)
    return Loop(len(pictures), steps, batch, clock.read())


def repeats_exactly(model: BaseModel, pictures: list[Path], *, steps: int, batch: int) -> bool:
    """Whether learning again from the same pictures ends with the same bits."""
    settings = CROSS_INIT.model_copy(update={"batch_size": batch, "steps": steps})
    start, _ = initial_vector(model, settings.init)
    subjects = [subject_of(model, picture) for picture in pictures]
    ends = []
    for _ in range(2):
        optimization = Optimization(model, subjects, start.v_init, settings, seed=0)
        optimization.run(lambda _step, _loss: True)
        ends.append(optimization.snapshot().v)
    return torch.equal(*ends)


def loaded(model: str, device: str, dtype: str) -> BaseModel:
    """A model as a worker has it."""
    found = BaseModel.load(fetched_model(ModelSettings(id=model)), torch.device(device), dtype)
    found.attention = attention_backends(found.device)
    if found.device.type == "cuda" and dtype != "float32":
        torch.set_float32_matmul_precision("high")
    return found


def subject_of(model: BaseModel, picture: Path) -> Subject:
    """A photograph and its mirror image, encoded once."""
    image = square(open_photograph(picture.read_bytes(), picture.name), model.native_size, "center")
    upright = torch.from_numpy(to_samples(image))[None]
    moments = [model.encode_image(view) for view in (upright, upright.flip(3))]
    mean, std = (torch.cat(parts)[None].cpu() for parts in zip(*moments, strict=True))
    return Subject(picture.stem, mean, std)


def main() -> None:
    options = _options()
    if options.way == "peer":
        folder = fetched_model(ModelSettings(id=options.model)).folder
        loop = peer_loop(
            folder,
            options.pictures,
            steps=options.steps,
            batch=options.batch,
            device=options.device,
            precision=options.precision,
        )
    else:
        pictures = sorted(options.pictures.glob("*.png"))[: options.identities]
        model = loaded(options.model, options.device, options.precision)
        if model.device.type == "cpu":
            keep_freed_memory()  # as a worker does
        loop = crossinit_loop(model, pictures, steps=options.steps, batch=options.batch)
    print(json.dumps({**asdict(loop), "step_of_one": asdict(loop.step_of_one)}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["peer", "crossinit"])
    parser.add_argument("--model", default="demo", help="a folder in diffusers' layout, or demo")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of PNG files")
    parser.add_argument("--identities", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
