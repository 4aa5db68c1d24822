"""A run that is stopped or killed anywhere and resumed leaves what an uninterrupted one leaves, byte for byte."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crossinit_batch import layout
from crossinit_batch.errors import Interrupted, OutputError, RequestError
from crossinit_batch.events import (
    ArtifactDone,
    CheckpointSaved,
    DenoiseStepDone,
    Event,
    ImagesDone,
    RunInterrupted,
    StepDone,
)
from crossinit_batch.methods.embedding.formats import read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.store import Store, StoredFile
from tests.end_to_end.small_run import Recorder, SmallRun, small_values
from tests.helpers.tree import tree_of

PROGRAM = [sys.executable, "-m", "crossinit_batch"]


class Killed(BaseException):
    """Stands for the end of the process: nothing in the program catches it."""


def stop_at(kind: type[Event], number: int) -> Recorder:
    return Recorder(when=lambda event, count: isinstance(event, kind) and count == number)


def whole_tree(finished: SmallRun) -> dict[str, str]:
    return tree_of(finished.store)


def assert_same(small: SmallRun, finished: SmallRun) -> None:
    assert tree_of(small.store) == tree_of(finished.store)
    assert verify(small.store).findings == ()
    files = [path.name for path in Path(small.output).rglob("*") if path.is_file()]
    assert not [name for name in files if ".tmp-" in name]
    assert not (Path(small.output) / layout.CHECKPOINTS).exists()


def test_a_run_that_is_stopped_three_times_ends_as_if_it_had_not(small: SmallRun, finished: SmallRun) -> None:
    in_mid_optimisation = stop_at(StepDone, 2)
    with pytest.raises(Interrupted, match="stopped at step 2 of 3") as caught:
        small.run(in_mid_optimisation)
    assert caught.value.exit_code == 75
    (interrupted,) = in_mid_optimisation.of(RunInterrupted)
    assert interrupted.signal == "SIGTERM" and interrupted.output == small.output
    assert [name for name in small.store.listing() if name.startswith(layout.CHECKPOINTS)]

    between_batches = stop_at(ImagesDone, 2)  # the second is the last of the first batch
    with pytest.raises(Interrupted, match="stopped"):
        small.resume(between_batches)
    assert between_batches.of(StepDone)[0].step == 3

    in_mid_rendering = stop_at(DenoiseStepDone, 3)
    with pytest.raises(Interrupted, match="stopped while drawing"):
        small.resume(in_mid_rendering)

    result, _ = small.resume()
    assert result.exit_code == 0
    assert_same(small, finished)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (StepDone, 1),
        (StepDone, 3),
        (CheckpointSaved, 1),
        (ArtifactDone, 1),
        (DenoiseStepDone, 1),
        (DenoiseStepDone, 4),
        (ImagesDone, 1),
        (ImagesDone, 4),
    ],
)
def test_a_stop_at_any_kind_of_event_loses_nothing(
    small: SmallRun, finished: SmallRun, kind: type[Event], number: int
) -> None:
    with pytest.raises(Interrupted):
        small.run(stop_at(kind, number))
    small.run()  # the manifest again is as good as resume
    assert_same(small, finished)


def test_a_stop_before_the_first_batch_does_nothing_and_loses_nothing(small: SmallRun) -> None:
    record = Recorder()
    record.stop.signal = signal.SIGINT
    with pytest.raises(Interrupted, match="between two batches"):
        small.run(record)
    assert set(small.store.listing()) == {"manifest.yaml", "plan.json", layout.LOCK, layout.publication("manifest")}


def test_stopping_at_every_step_still_ends(small: SmallRun) -> None:
    """Each run does at least one step, so that a machine that is taken away again and again gets there."""
    small.values["identities"] = small.values["identities"][:2]
    small.values["methods"] = small.values["methods"][:1]
    small.values["prompts"] = small.values["prompts"][:1]
    small.values["render"]["steps"] = 1
    small.at("whole").run()
    stops = 0
    while stops < 20:
        try:
            small.run(Recorder(when=lambda event, _: isinstance(event, StepDone | DenoiseStepDone)))
            break
        except Interrupted:
            stops += 1
    assert 2 <= stops <= 5
    whole = tree_of(small.at("whole").store)
    assert {**tree_of(small.store), layout.MANIFEST: ""} == {**whole, layout.MANIFEST: ""}


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, moment: str) -> Callable[[], int]:
    """End the process before or after the write of this number; how many writes there were."""
    writes = 0
    write = Store.write

    def counted(self: Store, name: str, data: bytes) -> StoredFile:
        nonlocal writes
        writes += 1
        if writes == number and moment == "before":
            raise Killed
        stored = write(self, name, data)
        if writes == number and moment == "after":
            raise Killed
        return stored

    monkeypatch.setattr(Store, "write", counted)
    return lambda: writes


@pytest.fixture
def smallest(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Two people, one method, one prompt."""
    values = small_values(pipeline_folder, ("ada", "bob"), prompts=["a photo of a {} person"])
    values["methods"] = [{"name": "quick", "use": "cross-init-fast", "steps": 2, "batch_size": 1}]
    values["compute"] = {"identities_per_batch": 2, "images_per_batch": 1, "checkpoint_every": 1}
    values["render"] = {"images_per_prompt": 1, "steps": 1}
    return SmallRun(photographs.parent, values)


def test_killed_at_every_write_and_resumed(smallest: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = smallest.at("whole")
    with monkeypatch.context() as patch:
        writes = kill_at(patch, 0, "never")
        whole.run()
        total = writes()
    expected = {**tree_of(whole.store), layout.MANIFEST: ""}
    assert total > 15
    for number in range(1, total + 1):
        cut = smallest.at(f"cut-{number}")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, number, "before" if number % 2 else "after")
            cut.run()
        for name in cut.store.listing():  # whatever has a receipt is whole
            if name.endswith(layout.RECEIPT_FILE):
                assert verify(cut.store).findings == (), number
                break
        cut.run()
        assert {**tree_of(cut.store), layout.MANIFEST: ""} == expected, number
        assert verify(cut.store).findings == ()


def test_killed_in_the_middle_of_a_write_leaves_no_temporary_file(
    smallest: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SIGKILL leaves, as no clean-up runs: a temporary file beside its target."""
    smallest.run()
    whole = tree_of(smallest.store)
    folder = Path(smallest.output)
    (folder / "quick/ada/receipt.json").unlink()
    (folder / "quick/ada/.receipt.json.tmp-12-ab").write_bytes(b"{")
    (folder / "quick/ada/images/00-a-photo-of-a-person/.000.png.tmp-12-cd").write_bytes(b"\x89PNG")
    assert verify(smallest.store).findings == ()
    smallest.resume()
    assert tree_of(smallest.store) == whole
    assert not [path for path in folder.rglob("*") if ".tmp-" in path.name]


def test_redoing_never_leaves_a_receipt_for_other_bytes(smallest: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit, a kill while it is being done, and the edit taken back: the old result must not seem whole."""
    smallest.run()
    whole = tree_of(smallest.store)
    files = {person: f"quick/{person}/{EMBEDDING_FILE}" for person in ("ada", "bob")}
    before = {person: read_embedding(smallest.store.read(name) or b"", name).v for person, name in files.items()}
    for number in (5, 6, 7, 9, 10, 11):
        edited = SmallRun(smallest.folder, {**smallest.values, "seed": 5})
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, number, "after")
            edited.run()
        smallest.run()
        assert verify(smallest.store).findings == (), number
        again = tree_of(smallest.store)
        assert again.keys() == whole.keys(), number
        for person, name in files.items():  # learned alone now, so that the last bits may differ
            v = read_embedding(smallest.store.read(name) or b"", name).v
            assert torch.allclose(v, before[person], atol=1e-4), number


def test_redrawing_never_leaves_a_receipt_for_other_bytes(smallest: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest.run()
    whole = tree_of(smallest.store)
    edited = SmallRun(smallest.folder, {**smallest.values, "render": {**smallest.values["render"], "guidance": 3}})
    for number in range(4, 10):
        with monkeypatch.context() as patch:
            kill_at(patch, number, "after")
            with pytest.raises(Killed):
                edited.run()
        assert verify(smallest.store).findings == (), number
        smallest.run()
        assert tree_of(smallest.store) == whole, number


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", "cut", "flipped"])
def test_a_damaged_checkpoint_starts_that_batch_again(small: SmallRun, finished: SmallRun, damage: bytes | str) -> None:
    with pytest.raises(Interrupted):
        small.run(stop_at(StepDone, 2))
    (checkpoint,) = Path(small.output, layout.CHECKPOINTS).iterdir()
    data = checkpoint.read_bytes()
    if damage == "flipped":
        middle = len(data) - 40
        checkpoint.write_bytes(data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1 :])
    else:
        checkpoint.write_bytes(data[:100] if isinstance(damage, str) else damage)
    result, record = small.resume()
    assert result.exit_code == 0
    assert record.of(StepDone)[0].step == 1
    assert_same(small, finished)


def test_slow_steps_are_saved_by_the_clock_too(small: SmallRun, finished: SmallRun) -> None:
    small.values["compute"] |= {"checkpoint_every": 1000, "checkpoint_minutes": 1e-9}
    _, record = small.run()
    assert {(event.method, event.step) for event in record.of(CheckpointSaved)} == {
        ("paper", 1), ("paper", 2), ("quick", 1)
    }  # fmt: skip
    assert {**tree_of(small.store), layout.MANIFEST: ""} == {**tree_of(finished.store), layout.MANIFEST: ""}
    patient = small.at("patient")
    patient.values["compute"] = {**small.values["compute"], "checkpoint_minutes": 60}
    _, record = patient.run()
    assert record.of(CheckpointSaved) == []


def test_a_checkpoint_that_no_plan_needs_any_more_is_removed(small: SmallRun) -> None:
    small.values["identities"] = small.values["identities"][:1]
    with pytest.raises(Interrupted):
        small.run(stop_at(StepDone, 2))
    small.values["seed"] = 1
    small.run()
    assert not (Path(small.output) / layout.CHECKPOINTS).exists()


def test_resume_needs_a_folder_of_ours(tmp_path: Path, small: SmallRun) -> None:
    with pytest.raises(OutputError, match=r"has no plan\.json"):
        small.at(str(tmp_path / "nothing")).resume()
    assert not (tmp_path / "nothing").exists()


def test_a_folder_in_use_is_left_alone(finished: SmallRun) -> None:
    before = tree_of(finished.store)
    with finished.store.locked():
        for use in (finished.run, finished.resume):
            with pytest.raises(RequestError, match="in use by process") as caught:
                use()
            assert caught.value.exit_code == 2
    assert tree_of(finished.store) == before


# --- real signals ---


def start(small: SmallRun) -> subprocess.Popen[str]:
    command = [*PROGRAM, "run", str(small.save()), "--device", "cpu", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The next event of a kind that a run under --json tells."""
    assert process.stdout is not None
    for line in process.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(f"no {event} before the end: {process.stderr and process.stderr.read()}")


def test_real_signals_save_or_cost_what_was_not_saved(smallest: SmallRun) -> None:
    smallest.values["methods"][0]["steps"] = 60
    smallest.values["compute"]["checkpoint_every"] = 10
    whole = smallest.at("whole")
    whole.run()

    process = start(smallest)
    wait_for(process, "step-done")
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    output, error = process.communicate(timeout=60)
    assert process.returncode == 75, error
    assert time.monotonic() - began < 10
    assert "Traceback" not in error
    assert json.loads(output.splitlines()[-1])["event"] == "run-interrupted"
    assert [name for name in smallest.store.listing() if name.startswith(layout.CHECKPOINTS)]

    process = start(smallest)
    wait_for(process, "step-done")
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    _, record = smallest.resume()
    assert record.of(StepDone)[0].step > 1
    assert {**tree_of(smallest.store), layout.MANIFEST: ""} == {**tree_of(whole.store), layout.MANIFEST: ""}
