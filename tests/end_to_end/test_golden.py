"""A folder made by an earlier form of the program stays valid, and today's makes the same (`tests/golden`)."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.storage.tensor_file import load_tensors
from tests.end_to_end.small_run import Ask

GOLDEN = Path(__file__).parents[1] / "golden"
MADE_WITH = ("AVX2", "2.13.0+cpu", *("AuthenticAMD", "25", "1", "1", "512 KB"))
"""The processor and the torch that made it: kernels go by vendor, model and caches, so others differ in last bits."""


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


def made(folder: Path) -> list[str]:
    """The files of results, by their names below the folder."""
    found = [path for path in folder.rglob("*") if path.suffix in (".png", ".safetensors", ".csv")]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def receipts(folder: Path) -> dict[str, object]:
    """The receipts' facts that do not differ from run to run."""
    found = {}
    for path in folder.rglob(layout.RECEIPT_FILE):
        facts = json.loads(path.read_bytes())
        del facts["run"], facts["content"]
        found[path.relative_to(folder).as_posix()] = facts
    return found


def is_same_machine() -> bool:
    facts = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    names = ("vendor_id", "cpu family", "model", "stepping", "cache size")
    found = [re.search(rf"^{name}\s*: (.*)$", facts, re.MULTILINE) for name in names]
    processor = [match[1] for match in found if match]
    return (torch.backends.cpu.get_cpu_capability(), torch.__version__, *processor) == MADE_WITH


def assert_close(first: Path, second: Path) -> None:
    """Two results that may differ by rounding, as processors round differently."""
    if first.suffix == ".png":
        pixels = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (first, second)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 2, first
    elif first.suffix == ".safetensors":
        tensors = [load_tensors(path.read_bytes(), path.name)[0] for path in (first, second)]
        for name in tensors[0]:
            torch.testing.assert_close(tensors[0][name], tensors[1][name], rtol=0, atol=1e-4)
    else:
        rows = [path.read_text().splitlines() for path in (first, second)]
        assert len(rows[0]) == len(rows[1]) and rows[0][0] == rows[1][0], first


def test_all_of_it_is_done_and_valid(golden: Path, ask: Ask) -> None:
    code, output, error = ask("plan", str(golden / "golden.yaml"), "--json")
    assert code == 0, error
    facts = json.loads(output)
    assert facts["stale"] == {} and facts["orphans"] == [] and set(facts["work"].values()) == {0}
    assert all(counts["done"] == counts["embeddings"] == 2 for counts in facts["methods"].values())
    for folder in ("run", "given"):
        code, output, error = ask("verify", str(golden / folder))
        assert code == 0, output + error
    code, _, error = ask("run", str(golden / "golden.yaml"), "--device", "cpu")
    assert code == 0 and "0 embeddings, 0 images, 6 already done" in error


def test_a_fresh_run_makes_the_same(golden: Path, ask: Ask) -> None:
    manifest = golden / "golden.yaml"
    manifest.write_text(manifest.read_text().replace("output: run", "output: fresh"))
    assert ask("run", str(manifest), "--device", "cpu", "-q")[0] == 0
    assert made(golden / "fresh") == made(golden / "run")
    if is_same_machine():
        assert receipts(golden / "fresh") == receipts(golden / "run")
        for name in made(golden / "run"):
            assert (golden / "fresh" / name).read_bytes() == (golden / "run" / name).read_bytes(), name
    else:
        for name in made(golden / "run"):
            assert_close(golden / "run" / name, golden / "fresh" / name)


def test_given_embeddings_are_drawn_as_they_were(golden: Path, ask: Ask) -> None:
    options = ("--images-per-prompt", "1", "--steps", "2", "--device", "cpu", "-q")
    given = ("--embeddings", str(golden / "run"), "--prompts", str(golden / "given.txt"))
    code, _, error = ask(
        "render", *given, "--model", str(golden / "model"), "--output", str(golden / "again"), *options
    )
    assert code == 0, error
    assert made(golden / "again") == made(golden / "given")
    for name in made(golden / "given"):
        if is_same_machine():
            assert (golden / "again" / name).read_bytes() == (golden / "given" / name).read_bytes(), name
        else:
            assert_close(golden / "given" / name, golden / "again" / name)
