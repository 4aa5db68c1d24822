"""A method whose artifact is no embedding is planned, learned, killed, resumed, drawn, scored, shown and exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crossinit_batch import layout
from crossinit_batch.methods.registry import METHODS
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.storage.tensor_file import load_tensors
from tests.end_to_end.small_run import Ask, SmallRun, small_values
from tests.helpers.tree import tree_of
from tests.strangers.attention_scale import method as stranger

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; from tests.strangers.attention_scale.method import LINE, METHODS; METHODS.update(LINE);"
    "from crossinit_batch.cli import main;"
    "sys.argv = ['crossinit', *sys.argv[1:]]; main()"
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stranger's one line in the registry."""
    for kind, name in stranger.LINE.items():
        monkeypatch.setitem(METHODS, kind, name)


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    values = small_values(pipeline_folder, ("ada", "bob"))
    values["methods"] = ["attention-scale", {"name": "coarse", "use": "attention-scale", "groups": [1, 2]}]
    values["methods"].append({"name": "paper", "use": "cross-init", "steps": 3, "batch_size": 2})
    return SmallRun(photographs.parent, values)


def program(small: SmallRun, *words: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own that knows the stranger, killed at a fault point."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CROSSINIT_FAULT": fault, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)


def test_it_is_planned_learned_drawn_shown_scored_and_exported(small: SmallRun, ask: Ask) -> None:
    manifest = str(small.save())
    code, output, _ = ask("plan", manifest)
    assert code == 0 and "coarse-1" in output and "coarse-2" in output and "left to do: 8 artifacts" in output
    code, output, error = ask("run", manifest, "--device", "cpu")
    assert code == 0, error
    assert "attention-scale: ada: scale done" in error and "artifacts" in output
    receipt = read_receipt(small.store, "attention-scale/ada/receipt.json")
    assert receipt is not None and receipt.kind == "artifact" and receipt.facts["artifact"] == "scale"
    assert receipt.facts["decided"]["method"] == "attention-scale"
    tensors, _ = load_tensors(small.store.read(f"attention-scale/ada/{stranger.SCALES_FILE}") or b"", "scales")
    assert tensors["factors"].shape == (4,) and not torch.equal(tensors["factors"], torch.ones(4))
    pages = small.store.read(layout.GALLERY) or b""
    assert b"attention-scale" in pages and b"4 steps x 2, 1 scales" in pages
    assert "| artifacts |" in (small.store.read(layout.REPORT) or b"").decode()
    assert ask("verify", small.output)[0] == 0
    assert ask("status", small.output)[1].startswith("small: finished")
    code, output, error = ask("evaluate", small.output, "--clip", "demo", "--device", "cpu")
    assert code == 0, error
    assert small.store.read("coarse-2/bob/scores/scores.csv")
    code, output, error = ask("export", small.output, "--format", "scales")
    assert code == 0 and "paper is left out: each has no format 'scales'" in error
    kept = Path(small.output, "export-scales/attention-scale/ada.scales").read_bytes()
    assert np.array_equal(np.frombuffer(kept, np.float32), tensors["factors"].numpy())
    code, output, error = ask("export", small.output)
    assert code == 0 and "attention-scale is left out" in error and "paper/ada.safetensors" in output


def test_its_pictures_are_of_its_own_unet(small: SmallRun) -> None:
    """Two people by one method differ though their prompts are one text, and drawing leaves the U-Net as it was."""
    small.values["methods"] = [{"name": "scale", "use": "attention-scale", "learning_rate": 3.0}]
    small.run()
    name = "images/00-a-photo-of-a-person/000.png"
    pictures = [small.store.read(f"scale/{person}/{name}") for person in ("ada", "bob")]
    assert pictures[0] and pictures[1] and pictures[0] != pictures[1]
    again = small.at("alone")
    again.values["identities"] = ["photos/bob.png"]
    again.values["compute"] = {**small.values["compute"], "identities_per_batch": 1}
    again.run()
    assert again.store.read(f"scale/bob/{name}") == pictures[1]


def test_killed_and_resumed_by_any_number_of_workers_it_makes_the_same_bytes(small: SmallRun) -> None:
    small.values["methods"] = ["attention-scale"]
    small.run()
    expected = tree_of(small.store)
    cut = small.at("cut")
    words = ("run", str(cut.save()), "--device", "cpu", "-q")
    for fault in ("after-write:6", "before-rename:9", "before-remove:3"):
        assert program(cut, *words, fault=fault).returncode == -9
    done = program(cut, "resume", cut.output, "--workers", "2", "-q")
    assert done.returncode == 0, done.stderr
    found = tree_of(cut.store)
    assert {name for name in expected if expected[name] != found.get(name)} <= {layout.MANIFEST}
    assert json.loads(cut.store.read(layout.PLAN) or b"{}")["methods"][0]["settings"]["groups"] == 4


def test_its_artifacts_are_drawn_again_from_their_folder(small: SmallRun, ask: Ask, tmp_path: Path) -> None:
    small.values["methods"] = ["attention-scale"]
    small.run()
    (tmp_path / "p.txt").write_text("a photo of a {} person\n")
    target = str(tmp_path / "drawn")
    words = ("--images-per-prompt", "1", "--steps", "2", "--images-per-batch", "3", "--device", "cpu")
    code, _, error = ask(
        "render", "--embeddings", small.output, "--prompts", str(tmp_path / "p.txt"), "--output", target, *words
    )
    assert code == 0, error
    name = "attention-scale/ada/images/00-a-photo-of-a-person/000.png"
    drawn = Path(target, name).read_bytes()
    assert drawn == small.store.read(name)
    copied = Path(target, f"attention-scale/ada/{stranger.SCALES_FILE}").read_bytes()
    assert load_tensors(copied, "copied")[0].keys() == {"factors"}


def test_without_its_line_a_plan_with_it_is_refused_in_a_sentence(
    small: SmallRun, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.values["methods"] = ["attention-scale"]
    small.run()
    monkeypatch.delitem(METHODS, stranger.ATTENTION_SCALE.kind)
    code, _, error = ask("status", small.output)
    assert code == 2 and "attention-scale" in error
