"""A real disk that is full: a small tmpfs, where this may be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossinit_batch.report.verify import verify
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import SmallRun, small_values
from tests.faults.warm import Warm


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 60 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_small_disk_fills_up_and_is_enlarged(
    warm: Warm, photographs: Path, pipeline_folder: Path, small_disk: Path
) -> None:
    run = SmallRun(photographs.parent, small_values(pipeline_folder)).at(str(small_disk / "out"))
    command = ["run", str(run.save()), "--device", "cpu"]
    ended = warm.run(*command)
    assert ended.code == 1
    assert "no space left on device (" in ended.text and "crossinit resume" in ended.text
    assert "Traceback" not in ended.text
    assert not [path for path in small_disk.rglob("*") if ".tmp-" in path.name]
    assert verify(Store(run.output)).findings == ()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    ended = warm.run(*command)
    assert ended.code == 0, ended.text
    assert verify(Store(run.output)).findings == ()
