"""The benchmarks' folder, whose scripts find each other beside themselves, and a way to run one by its command line."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its modules can be imported."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return BENCHMARKS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a script with these words; the JSON that it keeps."""

    def run(script: str, *words: object) -> dict[str, Any]:
        output = tmp_path / "results" / f"{script}.json"
        command = [script, *map(str, words), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(BENCHMARKS / f"{script}.py"), run_name="__main__")
        facts: dict[str, Any] = json.loads(output.read_bytes())
        return facts

    return run
