"""A small run, fresh for every test, or done once and copied."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crossinit_batch.cli import main
from crossinit_batch.engines import local
from crossinit_batch.model.base_model import BaseModel, Counters
from crossinit_batch.model.micro_batch import MicroBatch
from crossinit_batch.worker.worker import Worker
from tests.end_to_end.small_run import PEOPLE, Answer, Ask, SmallRun, small_values
from tests.helpers.picture_samples import picture_bytes

_models: dict[tuple[str, ...], BaseModel] = {}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Weights are read once a session, initial vectors are kept, and nothing waits for the disk.

    The weights are frozen, and test_store shows what is flushed when.
    """

    def remembered(source: Any, device: Any, dtype: str, counters: Counters) -> BaseModel:
        key = (source.fingerprint, str(device), dtype)
        if key not in _models:
            _models[key] = BaseModel.load(source, device, dtype)
        counters.model_loads += 1
        fresh = {work: MicroBatch() for work in ("learning", "drawing", "decoding")}
        return replace(_models[key], counters=counters, checked_sizes=set(), **fresh)

    monkeypatch.setattr(local, "Worker", partial(Worker, load_model=remembered))
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    monkeypatch.setenv("CROSSINIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    """What all runs of a test have done together."""
    shared, make = Counters(), local.Worker

    def counted(context: Any, source: Any, device: Any, _counters: Counters) -> Worker:
        return make(context, source, device, shared)

    monkeypatch.setattr(local, "Worker", counted)
    return shared


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run a command as the program does; its exit code, output and error output."""

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["crossinit", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output, error = capfd.readouterr()
        assert "Traceback" not in error and "Traceback" not in output
        code = end.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), output, error

    return run


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Two methods, four identities, two prompts, one picture each; nothing is done yet."""
    return SmallRun(photographs.parent, small_values(pipeline_folder))


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory: pytest.TempPathFactory, pipeline_folder: Path) -> Path:
    """The folder of such a run that was done without a break."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "photos").mkdir()
    for number, name in enumerate(PEOPLE):
        (folder / f"photos/{name}.png").write_bytes(picture_bytes(number))
    result, _ = SmallRun(folder, small_values(pipeline_folder)).run()
    assert result.exit_code == 0
    return folder


@pytest.fixture
def finished(finished_folder: Path, tmp_path: Path, pipeline_folder: Path) -> SmallRun:
    """A finished run of its own for a test."""
    folder = tmp_path / "finished"
    shutil.copytree(finished_folder, folder)
    return SmallRun(folder, small_values(pipeline_folder))
