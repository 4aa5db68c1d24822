"""A small run, fresh for every test, or done once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import picture_bytes

from end_to_end.small_run import PEOPLE, SmallRun, small_values


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
