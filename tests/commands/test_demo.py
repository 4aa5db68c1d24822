"""`crossinit demo`: what its commands write and say, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossinit_batch.cli import app
from crossinit_batch.demo import exam_names
from crossinit_batch.errors import RequestError
from crossinit_batch.settings import RenderSettings


def test_faces_are_drawn_as_asked(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["demo", "faces", "2", str(tmp_path / "faces"), "--size", "64", "--jpeg"])
    assert (done.exit_code, done.output) == (0, f"Drew 2 faces in {tmp_path / 'faces'}\n")
    names = {path.name for path in (tmp_path / "faces").iterdir()}
    assert names == {"person-000.jpg", "person-001.jpg", "persons.json"}


def test_an_exam_leaves_figures_and_a_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_names, "RENDER", RenderSettings(images_per_prompt=1, steps=2, guidance=3.0))
    done = CliRunner().invoke(app, ["demo", "exam", "--famous", "2", "--output", str(tmp_path / "exam")])
    assert done.exit_code == 0 and "famous: the right person in" in done.output
    figures = json.loads((tmp_path / "exam/exam.json").read_text())
    assert figures["famous"]["persons"] == 2 and 0 <= figures["famous"]["identity_all"]["mean"] <= 1
    assert (tmp_path / "exam/famous.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["exam", "--run", "out"], "--run and --faces belong together"),
        (["exam", "nowhere", "--famous", "0"], "holds no detector.onnx"),
        (["train", "folder", "--only", "vae"], "no stage 'vae'"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, ["demo", *arguments]).exception
    assert isinstance(error, RequestError) and said in str(error)
