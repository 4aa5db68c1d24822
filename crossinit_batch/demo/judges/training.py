"""Train the judges, each in a stage of its own that can be cut and resumed.

They learn from persons, pictures and captions of a seed of their own, and know nothing of the pipeline's weights.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from crossinit_batch.demo.judges import attributes, detector, export, prompts, recogniser
from crossinit_batch.demo.judges.album import Album, make_album
from crossinit_batch.demo.training.dataset import Dataset, make_dataset
from crossinit_batch.demo.training.loop import Report, Schedule, Trained
from crossinit_batch.demo.training.recipe import Recipe
from crossinit_batch.demo.training.stage_notes import StageNotes
from crossinit_batch.errors import RequestError

STAGES = ("detector", "recogniser", "attributes", "clip")
_SEED = 1000
"""What is added to a training's seed, so that judges see other persons than the pipeline."""


@dataclass(frozen=True)
class JudgesTraining:
    """The judges of one training: their data and checkpoints in `folder`, what is finished in `judges` beside it."""

    folder: Path
    finished: Path
    notes: StageNotes
    recipe: Recipe
    tokenizer: Any
    seed: int
    report: Report
    device: torch.device

    def do(self, stage: str) -> None:
        """Train and write one judge; nothing where that is done. RequestError where onnx is needed and missing."""
        schedule = self._schedule(stage)
        if self.notes.is_done(stage, schedule):
            return
        if stage != "clip" and importlib.util.find_spec("onnx") is None:
            raise RequestError(f"the {stage} is written as ONNX, which needs the package onnx", "pip install onnx")
        trained, figures = getattr(self, f"_{stage}")(
            {"schedule": schedule, "seed": self.seed + _SEED, "report": self.report, "device": self.device}
        )
        self.notes.add(stage, trained, figures)

    def _schedule(self, stage: str) -> Schedule:
        schedule: Schedule = getattr(self.recipe, stage)
        return schedule

    @cached_property
    def _album(self) -> Album:
        return make_album(self.folder, self.recipe.persons, seed=self.seed + _SEED + 1)

    @cached_property
    def _unseen(self) -> Album:
        return make_album(self.folder, max(2, self.recipe.persons // 10), seed=self.seed + _SEED + 2)

    def _detector(self, options: dict[str, Any]) -> tuple[Trained, dict[str, float]]:
        network, trained = detector.train_detector(self._album, self.folder / "detector.pt", **options)
        export.export_detector(network, self.finished)
        return trained, detector.detection_accuracy(network, self._unseen)

    def _recogniser(self, options: dict[str, Any]) -> tuple[Trained, dict[str, float]]:
        network, trained = recogniser.train_recogniser(self._album, self.folder / "recogniser.pt", **options)
        export.export_recogniser(network, self.finished)
        return trained, recogniser.recognition_accuracy(network, self._unseen)

    def _attributes(self, options: dict[str, Any]) -> tuple[Trained, dict[str, float]]:
        network, trained = attributes.train_classifiers(self._album, self.folder / "attributes.pt", **options)
        export.export_classifiers(network, self.finished)
        return trained, attributes.attribute_accuracy(network, self._unseen)

    def _clip(self, options: dict[str, Any]) -> tuple[Trained, dict[str, float]]:
        count = self.recipe.clip_pictures
        data = make_dataset(self.folder / "data", count + max(1, count // 32), seed=self.seed + _SEED + 3)
        known = Dataset(data.pictures[:count], data.examples[:count])
        unseen = Dataset(data.pictures[count:], data.examples[count:])
        network, trained = prompts.train_clip(known, self.tokenizer, self.folder / "clip.pt", **options)
        figures = prompts.prompt_accuracy(network, unseen, self.tokenizer)
        prompts.save_clip(network, self.tokenizer, self.finished / export.CLIP)
        return trained, figures
