"""A small run for tests: a manifest that can be edited, and what came of running it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.events import Event, JobFailed, Note, RunFinished
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.runner.execution import RunResult
from crossinit_batch.runner.run import resume, run_manifest
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.stopping import StopRequest

Kind = TypeVar("Kind", bound=Event)

Answer = tuple[int, str, str]
Ask = Callable[..., Answer]
"""A command's words to its exit code, output and error output."""

PEOPLE = ("ada", "bob", "cy", "dee")


@dataclass
class Recorder:
    """Keeps all events; asks to stop, or raises, when `when` says so."""

    stop: StopRequest = field(default_factory=StopRequest)
    when: Callable[[Event, int], bool] = lambda _event, _number: False
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.when(event, self.count(type(event))):
            self.stop.signal = signal.SIGTERM

    def count(self, kind: type[Event]) -> int:
        return len(self.of(kind))

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class SmallRun:
    """A manifest's values in a folder with photographs; `save` writes the file, `run` and `resume` do it."""

    folder: Path
    values: dict[str, Any]
    options: RunOptions = field(default_factory=lambda: RunOptions("cpu"))

    @property
    def manifest(self) -> Path:
        return self.folder / "small.yaml"

    @property
    def output(self) -> str:
        where = str(self.values["output"])
        return where if "://" in where else str(self.folder / where)

    @property
    def store(self) -> Store:
        return Store(self.output)

    def save(self) -> Path:
        self.manifest.write_text(json.dumps(self.values, indent=1))  # JSON is YAML
        return self.manifest

    def run(self, record: Recorder | None = None) -> tuple[RunResult, Recorder]:
        record = record or Recorder()
        manifest = load_manifest(self.save())
        return run_manifest(manifest, record, record.stop, self.options), record

    def resume(self, record: Recorder | None = None) -> tuple[RunResult, Recorder]:
        record = record or Recorder()
        return resume(self.store, record, record.stop, self.options), record

    def at(self, output: str) -> SmallRun:
        """The same request with another output folder."""
        return replace(self, values={**self.values, "output": output})


def small_values(model: Path, people: Iterable[str] = PEOPLE, **more: Any) -> dict[str, Any]:
    """A manifest's values: a few steps, two prompts, one picture each."""
    return {
        "name": "small",
        "model": str(model),
        "output": "out",
        "identities": [f"photos/{person}.png" for person in people],
        "methods": [
            {"name": "paper", "use": "cross-init", "steps": 3, "batch_size": 2},
            {"name": "quick", "use": "cross-init-fast", "steps": 2, "batch_size": 1},
        ],
        "prompts": ["a photo of a {} person", "a {} person on the beach"],
        "render": {"images_per_prompt": 1, "steps": 2},
        "compute": {"identities_per_batch": 2, "images_per_batch": 3, "checkpoint_every": 2},
        **more,
    }


def work_done(record: Recorder) -> tuple[int, int]:
    """Embeddings and pictures that a run made."""
    (end,) = record.of(RunFinished)
    return end.artifacts, end.images


def failed(record: Recorder) -> list[tuple[str, str, str]]:
    """Method, identity and stage of what failed."""
    return [(failure.method, failure.identity, failure.stage) for failure in record.of(JobFailed)]


def notes(record: Recorder) -> str:
    return "\n".join(note.message for note in record.of(Note))
