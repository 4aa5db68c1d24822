"""What is known of the stages of a training that are done: seconds, steps, losses and figures, a file each."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from crossinit_batch.demo.training.loop import Schedule, Trained


@dataclass(frozen=True)
class StageNotes:
    """The notes in a training's folder."""

    folder: Path

    def facts(self) -> dict[str, Any]:
        """Every finished stage by name."""
        files = sorted(self.folder.glob("done-*.json"))
        return {file.stem.removeprefix("done-"): json.loads(file.read_text()) for file in files}

    def is_done(self, stage: str, schedule: Schedule) -> bool:
        """Whether a stage has had all its steps."""
        return int(self.facts().get(stage, {"steps": -1})["steps"]) >= schedule.steps

    def add(self, stage: str, trained: Trained, figures: dict[str, float]) -> None:
        """Write down what a finished stage cost and reached."""
        machine = f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
        text = json.dumps({**asdict(trained), **figures, "machine": machine}, indent=2)
        (self.folder / f"done-{stage}.json").write_text(text + "\n")
