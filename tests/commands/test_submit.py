"""`crossinit submit`: the script that it shows, the job that it reports, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossinit_batch.cli import app
from crossinit_batch.engines import slurm
from crossinit_batch.errors import RequestError
from tests.helpers.picture_samples import picture_bytes


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "ada.png").write_bytes(picture_bytes(1))
    path = tmp_path / "faces.yaml"
    path.write_text("model: demo\noutput: out\nidentities: [ada.png]\n")
    return path


def test_the_script_is_shown_and_nothing_submitted(manifest: Path) -> None:
    asked = ["--slurm", "--tasks", "3", "--gpus", "1", "--run", "--offline", "--print"]
    done = CliRunner().invoke(app, ["submit", str(manifest), *asked])
    assert done.exit_code == 0
    assert "#SBATCH --job-name=crossinit-faces\n#SBATCH --array=0-2\n" in done.output
    assert f"{sys.executable} -m crossinit_batch run {manifest} --offline &\n" in done.output


def test_a_job_that_is_submitted_is_named(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    monkeypatch.setattr(slurm, "submit_script", lambda text: scripts.append(text) or "42")
    done = CliRunner().invoke(app, ["submit", str(manifest), "--slurm", "--time", "04:00:00"])
    assert done.output == f"Submitted job 42 of 1 tasks. How far it is: crossinit status {manifest.parent / 'out'}\n"
    assert len(scripts) == 1 and "#SBATCH --time=04:00:00\n" in scripts[0]


def test_where_to_has_to_be_said(manifest: Path) -> None:
    error = CliRunner().invoke(app, ["submit", str(manifest)]).exception
    assert isinstance(error, RequestError) and "Add --slurm" in str(error)
