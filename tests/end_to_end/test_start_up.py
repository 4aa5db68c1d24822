"""What starts quickly stays quick, and what writes nothing writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.small_run import SmallRun
from tests.helpers.picture_samples import picture_bytes

HEAVY = {"torch", "diffusers", "transformers", "accelerate", "numpy", "huggingface_hub"}
PROBE = (
    "import atexit, sys\n"
    "atexit.register(lambda: print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr))\n"
    "from crossinit_batch.cli import main\n"
    "sys.argv = ['crossinit', *sys.argv[1:]]\n"
    "main()\n"
)  # fmt: skip


def loaded_by(*arguments: str) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=60)
    return set(done.stderr.rpartition("LOADED")[2].split()), done


def seconds_of(*arguments: str, repeats: int = 1) -> float:
    """The best of some tries, as other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(repeats):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "crossinit_batch", *arguments], check=True, capture_output=True, timeout=60
        )
        best = min(best, time.monotonic() - began)
    return best


def everything_below(*folders: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for folder in folders
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("schema",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules, done = loaded_by(*arguments)
    assert done.returncode == 0
    assert "crossinit_batch" in modules and not modules & HEAVY


def test_a_worker_process_binds_its_life_to_its_parents_before_it_imports_what_takes_long() -> None:
    code = "import sys; import crossinit_batch.engines.process_start; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = set(done.stdout.split())
    assert "crossinit_batch.engines.process_start" in modules and not modules & HEAVY


def test_a_process_that_watches_over_workers_leaves_to_them_what_takes_long() -> None:
    code = "import sys; import crossinit_batch.runner.run, crossinit_batch.engines.pool; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = set(done.stdout.split())
    assert "crossinit_batch.engines.worker_process" in modules and not modules & {
        "diffusers",
        "transformers",
        "onnxruntime",
    }


def test_plan_and_status_import_no_torch_and_write_nothing(
    finished: SmallRun, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSINIT_CACHE", str(own_cache))
    finished.save()
    before = everything_below(finished.folder, own_cache)
    for arguments in (("plan", str(finished.manifest)), ("status", finished.output), ("verify", finished.output)):
        modules, done = loaded_by(*arguments)
        assert done.returncode == 0, done.stderr
        assert not modules & {"torch", "diffusers", "transformers", "accelerate"}, arguments
    assert everything_below(finished.folder, own_cache) == before


def test_planning_the_demo_makes_neither_model_nor_output(
    small: SmallRun, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSINIT_CACHE", str(own_cache))
    small.values["model"] = "demo"
    small.save()
    before = everything_below(small.folder, own_cache)
    _, done = loaded_by("plan", str(small.manifest))
    assert done.returncode == 0 and "8 embeddings" in done.stdout
    assert everything_below(small.folder, own_cache) == before


def test_help_is_there_at_once() -> None:
    assert seconds_of("--help", repeats=5) < 1.0  # 0.13 s on a quiet machine


def test_ten_thousand_people_are_planned_in_seconds(tmp_path: Path, pipeline_folder: Path) -> None:
    (tmp_path / "photos").mkdir()
    data = picture_bytes(0, side=8)
    for number in range(10_000):
        (tmp_path / f"photos/p{number}.png").write_bytes(data + number.to_bytes(4, "big"))
    manifest = tmp_path / "large.yaml"
    manifest.write_text(f"model: {pipeline_folder}\nidentities: [photos/*.png]\nmethods: [cross-init]\n")
    seconds = seconds_of("plan", str(manifest))
    if record := os.environ.get("CROSSINIT_TIMES"):
        Path(record).write_text(f"plan of 10,000: {seconds:.2f} s\nhelp: {seconds_of('--help', repeats=5):.3f} s\n")
    assert seconds < 20  # 2 s on a quiet machine: this only catches what grows with the square
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.yaml", "photos"]
