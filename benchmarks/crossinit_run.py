"""`crossinit run` as a user types it: a manifest in a file, a process, and the counters of its report."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from timed_process import Cost, timed

from crossinit_batch import layout
from crossinit_batch.model.counters import Counters


@dataclass(frozen=True)
class Request:
    """What is to be done: pictures of so many identities, learned and drawn in so many steps."""

    model: str
    pictures: Sequence[Path]
    prompts: Sequence[str]
    images: int
    steps: int
    batch: int
    denoise_steps: int
    guidance: float = 7.5
    dtype: str = "auto"

    def write(self, manifest: Path, output: Path, **compute: int | bool | str) -> Path:
        """A manifest of this with an output folder; JSON is YAML."""
        values = {
            "version": 1,
            "model": {"id": self.model, "dtype": self.dtype},
            "output": str(output),
            "identities": [{"id": path.stem, "images": str(path)} for path in self.pictures],
            "methods": [{"name": "learned", "use": "cross-init", "steps": self.steps, "batch_size": self.batch}],
            "prompts": list(self.prompts),
            "render": {"images_per_prompt": self.images, "steps": self.denoise_steps, "guidance": self.guidance},
            "compute": compute,
        }
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps(values, indent=1))
        return manifest


def environment(cache: Path | None = None, **more: str) -> dict[str, str]:
    """Of the processes that are measured: no network, and a cache folder of their own."""
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", **more}
    if cache is not None:
        environ["CROSSINIT_CACHE"] = str(cache)
    return environ


def crossinit(*words: str, environ: dict[str, str]) -> tuple[Cost, str]:
    """The cost of a command, and what it printed."""
    return timed([sys.executable, "-m", "crossinit_batch", *words], environ)


def counters_of(output: Path) -> Counters:
    """What the last run into a folder has counted, as its report says."""
    report = (output / layout.REPORT).read_text()
    line = next(line for line in report.splitlines() if "Last run" in line)
    found = {name.replace(" ", "_"): int(count) for count, name in re.findall(r"(\d+) ([a-z]+ [a-z]+|padding)\b", line)}
    return Counters(**{field.name: found.get(field.name, 0) for field in fields(Counters)})
