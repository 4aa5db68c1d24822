"""What is left of a plan, and how long it will take: counted work times the speed of the device.

wall = start + the longest of the workers' (learning + drawing + judging), where start is importing and loading, which
all workers do at once, the same however much there is to do; learning grows with identities x steps x batch size,
drawing with pictures x evaluations of the U-Net, plus a decode each, judging with pictures. A batch of jobs is done by
one worker, so more workers than batches are no faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossinit_batch.evaluation.judges import weight_bytes
from crossinit_batch.messages import duration
from crossinit_batch.methods.method import LearningWork
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.model.device_speed import (
    Device,
    asked_threads,
    cores,
    count_gpus,
    observed,
    present_device,
    processor_name,
    typical_speed,
)
from crossinit_batch.model.flops import Architecture
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import JobBatch, Plan, PlannedJudges

START, DECODING = "start", "decoding"
"""Names of rates; methods name those of learning, `drawing` and `judging` give the last ones."""
_IMPORTING = 5.0
"""Seconds until torch, diffusers and transformers are imported."""
_SUPERVISING = 3.0
"""Seconds until a process that only supervises workers starts them: it needs torch alone."""
_CONTEXT = 5.0
"""Seconds until a GPU takes work."""
_LOADING = 1.5e9
"""Bytes of weights a second."""
_OF_FACE_NETWORKS, _OF_CLIP = 100, 25
"""Operations on a picture for each byte of the weights: ArcFace's layers are used at many positions, CLIP's at 50."""
_LOOKING = 0.02
"""Seconds to read a picture, locate its faces and cut them out."""


@dataclass(frozen=True)
class Workers:
    """So many workers on so many devices of one kind, all on this machine."""

    count: int = 1
    devices: int = 1

    def turns(self, device: Device, busy: int) -> float:
        """How many times as long as alone each takes with so many busy: they take turns on a GPU, or on the cores."""
        slots = self.devices if device.kind != "cpu" else cores() / device.threads
        return max(busy / slots, 1.0)


_ALONE = Workers()


@dataclass(frozen=True)
class Work:
    """What is left to do: artifacts to learn, samples forward and back by the rate that counts them, pictures, samples
    forward to denoise, and the pictures that judges have yet to look at."""

    artifacts: int
    learning: Mapping[str, int]
    pictures: int
    denoising_samples: int
    judgements: int = 0

    @property
    def optimisation_samples(self) -> int:
        return sum(self.learning.values())


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of work on a device that does nothing else; `measured` where earlier runs were timed.

    `start` until the workers work, `learning`, `drawing` and `judging` of all of them together, `longest` of the one
    that has most; `workers` are those that have something to do.
    """

    device: Device
    start: float
    learning: float
    drawing: float
    judging: float
    longest: float
    workers: int
    measured: bool

    @property
    def device_seconds(self) -> float:
        """All workers' work, without the start."""
        return self.learning + self.drawing + self.judging

    @property
    def wall(self) -> float:
        """From the command to its end."""
        return self.start + self.longest if self.device_seconds else self.start / 2

    @property
    def summary(self) -> str:
        """In a line for display, with what it is based on."""
        source = "by an earlier run here" if self.measured else "by counted operations"
        parts = {"learning": self.learning, "drawing": self.drawing, "judging": self.judging}
        phases = [f"{name} {duration(seconds)}" for name, seconds in parts.items() if round(seconds)]
        start, work = f"start {duration(self.start)}", ", ".join(phases)
        if self.workers == 1:
            workers, split = "1 worker", ", ".join([start, *phases])
        else:
            workers, split = f"{self.workers} workers", f"{start}; summed over workers {work or 'next to nothing'}"
        return f"estimate {source}: {duration(self.wall)} with {workers} on {self.device.name} ({split})"


def work_left(inventory: Inventory, batch: JobBatch | None = None) -> Work:
    """Count what the jobs of a plan, or of one batch of it, still need."""
    plan = inventory.plan
    states = inventory.task(batch).states if batch else tuple(inventory.states.values())
    new = [state for state in states if not state.has_artifact]
    learning = Counter[str]()
    for state in new:
        if state.job.source is None:
            work = plan.learned_method(state.job.method).work
            learning[work.rate] += work.samples
    missing = sum(plan.pictures_a_job - len(state.pictures) for state in states)
    judged = sum(inventory.pictures_scored(state) for state in states)
    judgements = len(states) * plan.pictures_a_job - judged if plan.judges else 0
    return Work(len(new), learning, missing, missing * plan.render.evaluations, judgements)


def expected_of(
    inventory: Inventory,
    batches: Sequence[JobBatch],
    folder: Path,
    device: Device | None = None,
    workers: Workers = _ALONE,
) -> TimeEstimate:
    """How long what is left of these batches will take, as `estimate` has it."""
    return estimate(inventory.plan, [work_left(inventory, batch) for batch in batches], folder, device, workers)


def estimate(
    plan: Plan, works: Sequence[Work], folder: Path, device: Device | None = None, workers: Workers = _ALONE
) -> TimeEstimate:
    """How long workers will take for the works of a plan's batches, with the model in a folder.

    On the present device if none is given.
    """
    device = device or present_device(plan.compute.threads)
    automatic = "bfloat16" if device.kind == "cuda" else "float32"
    dtype = automatic if plan.model.dtype == "auto" else plan.model.dtype
    rates = observed(device, plan.model.fingerprint, dtype)
    needed = [_pieces(plan, work) for work in works]
    measured = all(name in rates for pieces in needed for name, count in pieces.items() if count and name != DECODING)
    if not measured:
        rates = {**counted_rates(plan, Architecture.read(folder), device), **rates}
    seconds = [{name: count * rates.get(name, 0.0) for name, count in pieces.items()} for pieces in needed]
    total = {name: sum(one[name] for one in seconds) for name in _pieces(plan, Work(0, {}, 0, 0))}
    lengths = [length for one in seconds if (length := sum(one.values()))]
    busy = max(min(workers.count, len(lengths)), 1)
    return TimeEstimate(
        device=device,
        start=(rates.get(START) or start_seconds(folder, device)) + (_SUPERVISING if workers.count > 1 else 0.0),
        learning=sum(total.pop(name) for name in learning_rates(plan)),
        judging=total.pop(judging(plan.judges), 0.0),
        drawing=sum(total.values()),
        longest=_longest(lengths, busy) * workers.turns(device, busy),
        workers=busy,
        measured=measured,
    )


def _pieces(plan: Plan, work: Work) -> dict[str, int]:
    """How many pieces a work has of what each rate counts."""
    return {
        **{rate: work.learning.get(rate, 0) for rate in learning_rates(plan)},
        drawing(plan): work.denoising_samples,
        DECODING: work.pictures,
        judging(plan.judges): work.judgements,
    }


def learning_rates(plan: Plan) -> dict[str, LearningWork]:
    """The work that each rate of learning in a plan counts, by the rate's name."""
    works = (method.work for method in plan.methods if isinstance(method, LearnedMethod))
    return {work.rate: work for work in works}


def largest_batch(plan: Plan) -> int:
    """The most noisy samples that an identity has in a step of any method."""
    works = (method.work for method in plan.methods if isinstance(method, LearnedMethod))
    return max((work.batch_size for work in works), default=1)


def _longest(lengths: Sequence[float], workers: int) -> float:
    """The seconds of the worker that ends last, each batch being taken by the first that is free."""
    loads = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        loads[loads.index(min(loads))] += length
    return max(loads)


def drawing(plan: Plan) -> str:
    """The name of the rate of drawing, which depends on the pictures' size."""
    return f"drawing-{plan.render.size or 'native'}"


def judging(judges: PlannedJudges | None) -> str:
    """The name of the rate of judging, which depends on the judges."""
    return f"judging-{judges.digest[:16]}" if judges else "judging"


def counted_rates(plan: Plan, architecture: Architecture, device: Device) -> dict[str, float]:
    """Seconds a sample forward and back, a sample forward, a picture decoded and one judged, from counts."""
    speed = typical_speed(device)
    unet, text = architecture.noise_prediction(architecture.latent_side(None)), architecture.text_encoding
    batch = largest_batch(plan) * plan.compute.identities
    side = architecture.latent_side(plan.render.size)
    pictures = plan.compute.pictures
    drawn = architecture.noise_prediction(side)
    return {
        **{
            rate: speed.seconds((unet + text if work.through_encoder else unet) * work.ways, batch) / batch
            for rate, work in learning_rates(plan).items()
        },
        drawing(plan): speed.seconds(drawn, 2 * pictures) / (2 * pictures),
        DECODING: speed.seconds(architecture.picture_decoding(side), 1),
        judging(plan.judges): _judging_seconds(plan.judges, device) if plan.judges else 0.0,
    }


def _judging_seconds(judges: PlannedJudges, device: Device) -> float:
    """Seconds a picture, by the weights' size; face networks compute on the processor, most often."""
    processor = device if device.kind == "cpu" else Device("cpu", processor_name())
    faces, clip = weight_bytes(judges.settings)
    return _LOOKING + (_OF_FACE_NETWORKS * faces + _OF_CLIP * clip) / typical_speed(processor).flops


def start_seconds(folder: Path, device: Device) -> float:
    """From the command until the model is loaded."""
    weights = sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))
    return _IMPORTING + weights / _LOADING + (_CONTEXT if device.kind == "cuda" else 0.0)


def likely_workers(devices: str | None, workers: int | None) -> Workers:
    """The workers that a run with these options would have."""
    count = len(set(devices.split(","))) if devices else max(count_gpus(), 1)
    return Workers(workers or count, min(count, workers or count))


def likely_device(devices: str | None, threads: int) -> Device:
    """The device that they would compute on."""
    if devices and devices.startswith("cpu"):
        return Device("cpu", processor_name(), asked_threads(threads))
    return present_device(threads)
