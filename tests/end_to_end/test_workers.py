"""Worker processes: the same files as one worker's for any number of them, whoever dies or is stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import OutputError
from crossinit_batch.events import Event, RunFinished, StepDone, Warned
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.report.verify import verify
from crossinit_batch.runner.run import resume, run_manifest
from tests.end_to_end.small_run import Recorder, SmallRun, work_done
from tests.end_to_end.test_resume import PROGRAM, wait_for
from tests.helpers.tree import tree_of


def test_four_workers_leave_what_one_leaves_though_one_is_killed(small: SmallRun, finished: SmallRun) -> None:
    killed: list[int] = []

    def kill_one(event: Event, _number: int) -> bool:
        if isinstance(event, StepDone) and event.step == 2 and not killed:
            process = multiprocessing.active_children()[0]
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)
        return False

    record = Recorder(when=kill_one)
    result = run_manifest(load_manifest(small.save()), record, record.stop, RunOptions(workers=4, devices="cpu"))
    assert killed and result.exit_code == 0
    assert work_done(record) == (8, 16)
    assert [event.message for event in record.of(Warned) if "was killed by SIGKILL" in event.message]
    assert tree_of(small.store) == tree_of(finished.store)
    assert "4 x cpu" in (small.store.read(layout.REPORT) or b"").decode()
    assert verify(small.store).findings == ()
    assert multiprocessing.active_children() == []
    assert not [path for path in Path(small.output).rglob("*") if ".tmp-" in path.name]


def test_workers_in_a_bucket_write_under_the_lease_of_their_run(small: SmallRun, finished: SmallRun, s3: str) -> None:
    far, killed, refused = small.at(f"{s3}/out"), [], []

    def disturb(event: Event, _number: int) -> bool:
        if isinstance(event, StepDone) and event.step == 2 and not killed:
            killed.append(multiprocessing.active_children()[0].kill())
            with pytest.raises(OutputError) as caught:
                far.run()
            refused.append(caught.value.message)
        return False

    record = Recorder(when=disturb)
    result = run_manifest(load_manifest(far.save()), record, record.stop, RunOptions(workers=2, devices="cpu"))
    assert result.exit_code == 0 and work_done(record) == (8, 16)
    assert len(killed) == 1 and f"in use by process {os.getpid()} on" in refused[0]
    assert not [name for name in far.store.listing() if name.startswith(layout.LEASES)]
    assert {**tree_of(far.store), layout.MANIFEST: ""} == {**tree_of(finished.store), layout.MANIFEST: ""}
    assert verify(far.store).findings == ()


def start(small: SmallRun) -> subprocess.Popen[str]:
    command = [*PROGRAM, "run", str(small.save()), "--devices", "cpu", "--workers", "2", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def are_gone(processes: list[int], seconds: float = 10) -> bool:
    """Whether all end within some seconds; one that is waited for by nobody counts as ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        states = subprocess.run(
            ["ps", "-o", "stat=", "-p", ",".join(map(str, processes))], capture_output=True, text=True
        ).stdout.split()
        if all(state.startswith("Z") for state in states):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def long(small: SmallRun) -> SmallRun:
    """Two batches that take a while."""
    small.values["methods"] = [{"name": "quick", "use": "cross-init-fast", "steps": 60, "batch_size": 1}]
    small.values["prompts"] = small.values["prompts"][:1]
    small.values["compute"]["checkpoint_every"] = 10
    return small


def test_stopped_and_then_killed_the_workers_leave_nothing_behind(long: SmallRun) -> None:
    process = start(long)
    wait_for(process, "step-done")
    workers = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    last = wait_for(process, "run-interrupted")
    assert time.monotonic() - began < 10
    assert "of 60" in last["saved"]
    output, error = process.communicate(timeout=60)
    assert process.returncode == 75 and not output, error
    assert "Traceback" not in error
    assert are_gone(workers)
    assert [name for name in long.store.listing() if name.startswith(layout.CHECKPOINTS)]

    process = start(long)
    wait_for(process, "step-done")
    workers = children_of(process.pid)
    assert len(workers) >= 2
    os.kill(workers[-1], signal.SIGSTOP)  # the kernel ends one that is stopped too
    process.kill()
    process.communicate(timeout=60)
    assert are_gone(workers)

    record = Recorder()
    result = resume(long.store, record, record.stop, RunOptions("cpu"))
    assert result.exit_code == 0 and record.of(RunFinished)
    assert record.of(StepDone)[0].step > 1
    whole = long.at("whole")
    whole.run()
    assert {**tree_of(long.store), layout.MANIFEST: ""} == {**tree_of(whole.store), layout.MANIFEST: ""}
