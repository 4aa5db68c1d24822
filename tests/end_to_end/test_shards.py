"""Shards: parts of a run that know nothing of each other leave together what one run leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import Interrupted, OutputError
from crossinit_batch.events import Event, RunStarted, StepDone
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.report.verify import verify
from crossinit_batch.runner.execution import RunResult
from crossinit_batch.runner.run import run_manifest
from tests.end_to_end.small_run import Ask, Recorder, SmallRun
from tests.helpers.tree import tree_of


def run_shard(small: SmallRun, shard: str, record: Recorder | None = None) -> RunResult:
    record = record or Recorder()
    return run_manifest(load_manifest(small.save()), record, record.stop, RunOptions("cpu", shard=shard))


@pytest.mark.parametrize("order", [(1,), (1, 2), (2, 1), (4, 1, 5, 3, 2)])
def test_shards_in_any_order_leave_what_one_run_leaves(
    small: SmallRun, finished: SmallRun, order: tuple[int, ...]
) -> None:
    results = [run_shard(small, f"{number}/{len(order)}") for number in order]
    assert [result.exit_code for result in results] == [0] * len(order)
    assert [result.closed for result in results[:-1]] == [False] * (len(order) - 1) or len(order) == 5
    assert results[-1].closed and results[-1].inventory.finished
    assert tree_of(small.store) == tree_of(finished.store)
    assert verify(small.store).findings == ()


def test_the_number_of_shards_may_change_on_the_way(small: SmallRun, finished: SmallRun) -> None:
    run_shard(small, "1/3")
    assert not run_shard(small, "2/2").closed
    result, _ = small.resume()
    assert result.exit_code == 0
    assert tree_of(small.store) == tree_of(finished.store)


def test_a_shard_that_is_stopped_goes_on_where_it_was(small: SmallRun, finished: SmallRun) -> None:
    record = Recorder(when=lambda event, count: isinstance(event, StepDone) and count == 2)
    with pytest.raises(Interrupted, match="stopped at step 2"):
        run_shard(small, "1/2", record)
    assert not run_shard(small, "2/2").closed  # though nothing else is at work: the first has not ended
    again = Recorder()
    assert run_shard(small, "1/2", again).closed
    assert again.of(StepDone)[0].step == 3
    assert tree_of(small.store) == tree_of(finished.store)


def test_shards_and_runs_that_meet_in_a_bucket(small: SmallRun, finished: SmallRun, s3: str) -> None:
    """The second shard does all its work while the first is in the middle of its own; everybody else is kept out."""
    far = small.at(f"{s3}/out")
    met: list[bool] = []

    def meet(event: Event, count: int) -> bool:
        if isinstance(event, StepDone) and count == 2 and not met:
            met.append(run_shard(far, "2/2").closed)
            for way, holder in (
                ("1/2", r"shard-1-of-2\)"),
                (None, r"shard-1-of-2\)"),
                ("2/3", "divides the run otherwise"),
            ):
                with pytest.raises(OutputError, match=f"process {os.getpid()} on .*{holder}"):
                    other = Recorder()
                    run_manifest(load_manifest(far.save()), other, other.stop, RunOptions("cpu", shard=way))
        return False

    assert run_shard(far, "1/2", Recorder(when=meet)).closed and met == [False]
    assert not [name for name in far.store.listing() if name.startswith(layout.LEASES)]
    assert {**tree_of(far.store), layout.MANIFEST: ""} == {**tree_of(finished.store), layout.MANIFEST: ""}
    assert verify(far.store).findings == ()


def test_a_shard_counts_its_own_part(small: SmallRun) -> None:
    record = Recorder()
    run_shard(small, "2/4", record)
    (started,) = record.of(RunStarted)
    assert (started.name, started.artifacts, started.images) == ("small, shard 2/4", 2, 4)


def test_what_fails_in_one_shard_is_in_the_last_ones_report(small: SmallRun) -> None:
    (small.folder / "photos/ada.png").write_bytes(b"<html>")
    codes = [run_shard(small, f"{number}/4").exit_code for number in (1, 2, 3, 4)]
    assert sorted(codes) == [0, 0, 1, 1]
    rows = (small.store.read_json(layout.FAILURES) or {})["failures"]
    assert [(row["method"], row["identity"]) for row in rows] == [("paper", "ada"), ("quick", "ada")]
    text = (small.store.read(layout.REPORT) or b"").decode()
    assert "- Shard 1/4: " in text and "- Shard 4/4: " in text and "## Failures" in text
    assert small.store.read(layout.GALLERY) is not None


def test_two_shards_at_once_and_nobody_else(small: SmallRun) -> None:
    """From inside one shard, as long as it is at work."""
    answers: dict[str, str] = {}

    def meanwhile(event: object, _number: int) -> bool:
        if isinstance(event, StepDone) and not answers:
            answers["other"] = "done" if run_shard(small, "2/2").exit_code == 0 else "not done"
            edited = SmallRun(small.folder, {**small.values, "seed": 3})
            for name, attempt in {
                "same": lambda: run_shard(small, "1/2"),
                "count": lambda: run_shard(small, "3/3"),
                "whole": small.run,
                "edited": lambda: run_shard(edited, "2/2"),
            }.items():
                with pytest.raises(OutputError) as caught:
                    attempt()
                answers[name] = str(caught.value)
        return False

    result = run_shard(small, "1/2", Recorder(when=meanwhile))
    us = f"process {os.getpid()}"
    assert answers["other"] == "done"
    assert us in answers["same"] and "shard-1-of-2" in answers["same"]
    assert "shard-1-of-2 is at work here" in answers["count"] and "3/3 divides the run otherwise" in answers["count"]
    assert f"in use by {us}" in answers["whole"]
    assert "shard-1-of-2 is at work here by another plan" in answers["edited"] and "seed" in answers["edited"]
    assert result.exit_code == 0 and result.closed


def test_a_report_can_be_had_before_the_end(ask: Ask, small: SmallRun) -> None:
    run_shard(small, "1/2")
    assert small.store.read(layout.GALLERY) is None
    code, said, _ = ask("report", small.output)
    assert code == 1 and "small: not finished" in said
    assert "2 of 4" in (small.store.read(layout.REPORT) or b"").decode()
    run_shard(small, "2/2")
    before = small.store.read(layout.GALLERY)
    assert ask("report", small.output)[0] == 0 and small.store.read(layout.GALLERY) == before


def test_torchrun_starts_processes_that_share_the_work(
    ask: Ask, small: SmallRun, finished: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launcher, "-m", "crossinit_batch", "run", str(small.save()), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert "shard 1/2" in done.stderr and "shard 2/2" in done.stderr
    assert tree_of(small.store) == tree_of(finished.store)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    code, _, said = ask("run", str(small.manifest), "--workers", "2")
    assert code == 2 and "--devices and --workers do not go with it" in said
