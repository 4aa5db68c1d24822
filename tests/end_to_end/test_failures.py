"""What fails stays with its job: the others are done, and the user learns what, why, and what to do."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import ModelError, OutputError, OutputLost
from crossinit_batch.events import JobFailed, StepDone
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.methods.denoising import DenoisingLoss
from crossinit_batch.methods.embedding.optimization import Optimization
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.report.verify import repair, verify
from crossinit_batch.runner.execution import RunResult
from crossinit_batch.runner.run import run_manifest
from crossinit_batch.storage.local_files import LocalFiles
from tests.end_to_end.small_run import Recorder, SmallRun, failed, work_done
from tests.helpers.picture_samples import picture_bytes
from tests.helpers.tree import tree_of


@pytest.fixture(autouse=True)
def one_method(small: SmallRun) -> None:
    small.values["methods"] = small.values["methods"][1:]


def failures_file(small: SmallRun) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = (small.store.read_json(layout.FAILURES) or {"failures": []})["failures"]
    return rows


def assert_only(small: SmallRun, result: RunResult, record: Recorder, identity: str, stage: str) -> dict[str, str]:
    """One failure, named everywhere; the other three people are done."""
    assert result.exit_code == 1
    assert failed(record) == [("quick", identity, stage)]
    (row,) = failures_file(small)
    assert (row["method"], row["identity"], row["stage"]) == ("quick", identity, stage)
    assert row["reason"] and row["hint"]
    assert f"| {identity} | quick | {stage} |" in (small.store.read(layout.REPORT) or b"").decode()
    done = {key[1] for key, state in result.inventory.states.items() if result.inventory.is_done(state)}
    assert done == {"ada", "bob", "cy", "dee"} - {identity}
    assert verify(small.store).findings == ()
    return row


def assert_mended(small: SmallRun, result: RunResult) -> None:
    assert result.exit_code == 0
    assert small.store.read(layout.FAILURES) is None
    assert "## Failures" not in (small.store.read(layout.REPORT) or b"").decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (picture_bytes(1)[:-200], "cut short|truncated|ends too early|damaged"),
        (b"<!doctype html><p>Not found", "web page|HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
    ],
)
def test_a_bad_photograph_fails_alone(small: SmallRun, content: bytes, reason: str) -> None:
    (small.folder / "photos/bob.png").write_bytes(content)
    result, record = small.run()
    row = assert_only(small, result, record, "bob", "photograph")
    assert "bob.png" in row["reason"]
    import re

    assert re.search(reason, row["reason"] + row["hint"]), row
    (small.folder / "photos/bob.png").write_bytes(picture_bytes(1))
    result, record = small.run()
    assert work_done(record) == (1, 2)
    assert_mended(small, result)


def test_a_photograph_that_changes_after_planning_fails_with_what_to_do(small: SmallRun) -> None:
    photograph = small.folder / "photos/cy.png"
    meant = photograph.read_bytes()
    touched = Recorder()

    def change(event: Any, _count: int) -> bool:
        photograph.write_bytes(picture_bytes(9)) if type(event).__name__ == "RunStarted" else None
        return False

    touched.when = change
    result, record = small.run(touched)
    row = assert_only(small, result, record, "cy", "photograph")
    assert "has changed since the plan was made" in row["reason"] and "Run the manifest again" in row["hint"]
    result, record = small.resume()
    assert failed(record) == [("quick", "cy", "photograph")] and work_done(record) == (0, 0)
    photograph.write_bytes(meant)
    result, record = small.resume()
    assert work_done(record) == (1, 2)
    assert_mended(small, result)


def test_a_photograph_that_cannot_be_read_when_planning_fails_alone(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, *how: Any, **folder: Any) -> int:
        if str(path).endswith("dee.png"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *how, **folder)

    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuse)
        result, record = small.run()
    row = assert_only(small, result, record, "dee", "photograph")
    assert "cannot be read: permission denied" in row["reason"] and "run the manifest again" in row["hint"]
    result, record = small.run()
    assert work_done(record) == (1, 2)
    assert_mended(small, result)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_fails_alone_and_is_never_stored(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    computed, drawn = DenoisingLoss.loss_and_gradient, DenoisingLoss.draws
    steps: list[int] = []

    def remember(self: DenoisingLoss, step: int) -> Any:
        steps.append(step)
        return drawn(self, step)

    def spoil(self: DenoisingLoss, v: Any, draws: Any) -> Any:
        loss, gradient = computed(self, v, draws)
        factor = [number if s.identity == "ada" and steps[-1] == 1 else 1.0 for s in self.subjects]
        return loss * torch.tensor(factor), gradient

    small.at("whole").run()
    with monkeypatch.context() as patch:
        patch.setattr(DenoisingLoss, "draws", remember)
        patch.setattr(DenoisingLoss, "loss_and_gradient", spoil)
        result, record = small.run()
    row = assert_only(small, result, record, "ada", "optimisation")
    assert row["reason"] == "the loss was not finite at step 2" and "learning rate" in row["hint"]
    assert not any("ada" in name for name in small.store.listing() if name.startswith("quick"))
    whole = tree_of(small.at("whole").store)
    stored = {name: content for name, content in tree_of(small.store).items() if "/bob/" in name}
    assert stored.items() <= whole.items()  # who shared the batch is as if nothing had happened
    result, record = small.resume()
    assert work_done(record) == (1, 2)
    assert_mended(small, result)
    assert {**tree_of(small.store), layout.MANIFEST: ""} == {**whole, layout.MANIFEST: ""}


def test_a_prompt_whose_slot_does_not_fit_fails_and_leaves_the_embeddings(small: SmallRun) -> None:
    small.values["prompts"] = ["a photo of a {} person", "very " * 80 + "old {} person"]
    result, record = small.run()
    assert result.exit_code == 1
    assert {stage for _, _, stage in failed(record)} == {"render"} and len(failed(record)) == 4
    row = failures_file(small)[0]
    assert "tokens stand before the person" in row["reason"] and "nearer to the beginning" in row["hint"]
    assert all(state.has_artifact for state in result.inventory.states.values())
    small.values["prompts"][1] = "an old {} person"
    result, record = small.run()
    assert work_done(record)[0] == 0
    assert_mended(small, result)


def test_an_embedding_whose_bytes_were_flipped_is_not_drawn_from(small: SmallRun) -> None:
    small.run()
    file = Path(small.output) / "quick/bob/learned_embeds.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    small.values["render"]["images_per_prompt"] = 2
    result, record = small.run()
    assert result.exit_code == 1
    assert failed(record) == [("quick", "bob", "render")]
    (row,) = failures_file(small)
    assert "does not match its receipt" in row["reason"] and "verify --repair" in row["hint"]
    (finding,) = verify(small.store).findings
    assert finding.name == "quick/bob/learned_embeds.safetensors"
    repair(small.store, (finding,))
    result, record = small.resume()
    assert work_done(record) == (1, 4)
    assert_mended(small, result)
    assert verify(small.store).findings == ()


def test_a_disk_that_fills_up_stops_the_run_and_resume_completes(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.at("whole").run()
    write = LocalFiles.write

    def full(self: LocalFiles, path: str, data: bytes) -> None:
        if "/quick/bob/images/01" in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, path, data)

    record = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "write", full)
        with pytest.raises(OutputLost, match=r"000\.png: no space left on device \([\d.,]+ MB of .* free\)") as caught:
            small.run(record)
    assert caught.value.exit_code == 1
    assert {row["identity"] for row in failures_file(small)} == {"ada", "bob"}  # and nothing of the next batch
    assert all("no space left on device" in row["reason"] for row in failures_file(small))
    assert "crossinit resume" in failures_file(small)[0]["hint"]
    assert {identity for event in record.of(StepDone) for identity in event.identities} == {"ada", "bob"}
    result, _ = small.resume()
    assert_mended(small, result)
    whole = tree_of(small.at("whole").store)
    assert {**tree_of(small.store), layout.MANIFEST: ""} == {**whole, layout.MANIFEST: ""}


def test_a_disk_that_is_full_from_some_write_on_ends_with_a_sentence(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    record = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OutputLost, match="no space left on device") as caught:
            small.run(record)
    assert caught.value.exit_code == 1 and "crossinit resume" in caught.value.hint
    assert len(failed(record)) == 2
    assert not [path for path in Path(small.output).rglob("*") if ".tmp-" in path.name]
    result, _ = small.resume()
    assert_mended(small, result)


def test_a_device_without_memory_fails_one_batch(small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = BaseModel.encode_image
    calls = 0

    def exhausted(self: BaseModel, samples: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 EiB")
        return encode(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(BaseModel, "encode_image", exhausted)
        result, record = small.run()
    assert {identity for _, identity, _ in failed(record)} == {"ada", "bob"}
    assert "identities_per_batch" in failures_file(small)[0]["hint"]
    result, record = small.resume()
    assert work_done(record) == (2, 4)
    assert_mended(small, result)


@pytest.mark.parametrize("options", [RunOptions("cpu"), RunOptions(workers=2, devices="cpu")], ids=["here", "workers"])
def test_a_damaged_model_is_refused_once_and_nothing_has_failed(
    small: SmallRun, pipeline_folder: Path, options: RunOptions
) -> None:
    """Damage that only loading finds, which comes when the first job needs the model."""
    model = Path(shutil.copytree(pipeline_folder, small.folder / "model"))
    good = (model / "unet/diffusion_pytorch_model.safetensors").read_bytes()
    weights = load(good)
    weights.pop(sorted(weights)[0])
    (model / "unet/diffusion_pytorch_model.safetensors").write_bytes(save(weights, {"format": "pt"}))
    small.values["model"] = str(model)
    record = Recorder()
    with pytest.raises(ModelError, match="1 tensors are missing") as caught:
        run_manifest(load_manifest(small.save()), record, record.stop, options)
    assert caught.value.exit_code == 2 and "again, whole" in caught.value.hint
    assert failed(record) == [] and failures_file(small) == []
    assert multiprocessing.active_children() == []
    (model / "unet/diffusion_pytorch_model.safetensors").write_bytes(good)
    result, record = small.run()
    assert result.exit_code == 0 and work_done(record) == (4, 8)


def test_an_error_of_our_own_fails_one_batch_and_says_so(small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = Optimization.run, 0

    def broken(self: Optimization, on_step: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("division by zero")
        return run(self, on_step)

    monkeypatch.setattr(Optimization, "run", broken)
    result, record = small.run()
    assert {identity for _, identity, _ in failed(record)} == {"ada", "bob"}
    assert "ZeroDivisionError: division by zero" in record.of(JobFailed)[0].reason
    assert work_done(record) == (2, 4)
    assert result.exit_code == 1


@pytest.mark.parametrize("what", ["file", "below-a-file", "read-only"])
def test_an_output_folder_that_cannot_be_used_stops_before_the_model_is_loaded(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    manifest = load_manifest(small.save())
    place = Path(small.output)
    if what == "file":
        place.write_bytes(b"")
    elif what == "below-a-file":
        from dataclasses import replace

        place.write_bytes(b"")
        manifest = replace(manifest, output=str(place / "below"))
    else:
        real = Path.mkdir

        def refuse(self: Path, *arguments: Any, **options: Any) -> None:  # root may write anywhere
            if str(self).startswith(str(place)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
            real(self, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", refuse)

    def never(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(BaseModel, "load", never)
    record = Recorder()
    with pytest.raises(OutputError, match="this output folder cannot be written") as caught:
        run_manifest(manifest, record, record.stop, RunOptions("cpu"))
    assert caught.value.exit_code == 2


def test_failures_are_json_that_other_programs_read(small: SmallRun) -> None:
    (small.folder / "photos/bob.png").write_bytes(b"")
    small.run()
    rows = json.loads(small.store.read(layout.FAILURES) or b"")["failures"]
    assert [list(row) for row in rows] == [["method", "identity", "stage", "reason", "hint"]]


def test_pictures_that_are_not_numbers_are_not_stored(small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a float16 U-Net overflows: the job says so instead of storing black pictures."""
    from crossinit_batch.worker import draw as pictures

    denoise = pictures.denoise

    def overflowing(*arguments: Any) -> torch.Tensor | None:
        latents = denoise(*arguments)
        if latents is not None:
            latents[0] = float("nan")  # the first picture of every chunk; the first chunk begins with ada's
        return latents

    monkeypatch.setattr(pictures, "denoise", overflowing)
    result, record = small.run()
    assert result.exit_code == 1
    assert ("quick", "ada", "render") in failed(record)
    assert "finite" in failures_file(small)[0]["reason"]
    state = result.inventory.states["quick", "ada"]
    assert state.has_artifact and len(state.pictures) < result.inventory.plan.pictures_a_job
    monkeypatch.undo()
    result, _ = small.resume()
    assert_mended(small, result)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("quick/cy", "optimisation"),
        ("quick/cy/receipt.json", "optimisation"),
        ("quick/cy/learned_embeds.safetensors", "optimisation"),
        ("quick/cy/images", "render"),
        ("quick/cy/images/receipt.json", "render"),
        ("quick/cy/images/00-a-photo-of-a-person", "render"),
    ],
)
def test_a_link_where_a_job_is_to_write_fails_that_job_alone(
    small: SmallRun, tmp_path: Path, name: str, stage: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    link = Path(small.output) / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if "." not in name else outside / "precious")
    result, record = small.run()
    assert failed(record) == [("quick", "cy", stage)]
    (row,) = failures_file(small)
    assert "is a symbolic link, which is never followed" in row["reason"] and str(link) in row["reason"]
    assert "Move it away" in row["hint"]
    done = {key[1] for key, state in result.inventory.states.items() if result.inventory.is_done(state)}
    assert done == {"ada", "bob", "dee"}
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"precious": b"precious"}
    link.unlink()
    result, _ = small.resume()
    assert_mended(small, result)


def test_a_huge_photograph_fails_alone_and_takes_no_memory(small: SmallRun) -> None:
    with (small.folder / "photos/bob.png").open("wb") as file:
        file.truncate(40 * 2**30)
    result, record = small.run()
    row = assert_only(small, result, record, "bob", "photograph")
    assert "bob.png: cannot be read: it is too large: 42,949.7 MB, at most 100.0 MB are read" in row["reason"]
