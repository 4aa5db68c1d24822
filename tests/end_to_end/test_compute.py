"""How a run settles what the manifest leaves to it, keeps that, and goes on when memory runs out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from crossinit_batch import layout
from crossinit_batch.errors import Interrupted, RequestError
from crossinit_batch.events import StepDone, Warned
from crossinit_batch.methods.embedding.formats import read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.plan import batch_sizes
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.plan import Plan
from crossinit_batch.runner import resolve as settling
from crossinit_batch.settings import ComputeSettings
from crossinit_batch.storage.receipts import read_receipt
from tests.end_to_end.small_run import PEOPLE, Recorder, SmallRun, work_done
from tests.helpers.tree import tree_of


def planned(small: SmallRun) -> Plan:
    plan = read_plan(small.store)
    assert plan is not None
    return plan


def stop_at_step_two() -> Recorder:
    return Recorder(when=lambda event, number: isinstance(event, StepDone) and number == 2)


@pytest.fixture
def auto(small: SmallRun) -> SmallRun:
    """Four people, one method; all sizes are left to the program."""
    small.values["compute"] = {}
    small.values["methods"] = small.values["methods"][:1]
    return small


def test_sizes_left_to_the_program_are_in_the_plan_as_numbers(auto: SmallRun) -> None:
    auto.run()
    compute = planned(auto).compute
    assert compute == ComputeSettings(identities_per_batch=4, samples_per_pass=8, images_per_batch=8, compile=False)
    assert [len(batch.identities) for batch in planned(auto).batches] == [4]


def test_what_is_asked_for_is_not_changed(auto: SmallRun) -> None:
    auto.values["compute"] = {"identities_per_batch": 3, "samples_per_pass": 5, "compile": False}
    auto.run()
    compute = planned(auto).compute
    assert (compute.identities_per_batch, compute.samples_per_pass, compute.compile) == (3, 5, False)
    assert isinstance(compute.images_per_batch, int)


def test_a_run_that_goes_on_keeps_its_sizes_on_a_smaller_device(
    auto: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = auto.at("whole")
    whole.run()
    with pytest.raises(Interrupted):
        auto.run(stop_at_step_two())
    before = planned(auto)
    monkeypatch.setattr(batch_sizes, "free_memory", lambda _device: 0)
    result, _ = auto.run()
    assert result.exit_code == 0 and planned(auto).compute == before.compute
    assert {**tree_of(auto.store), layout.MANIFEST: ""} == {**tree_of(whole.store), layout.MANIFEST: ""}
    fresh = auto.at("fresh")
    fresh.run()
    assert planned(fresh).compute.identities_per_batch == planned(fresh).compute.samples_per_pass == 1


def test_memory_that_runs_out_changes_no_result_and_is_in_the_receipts(
    auto: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = auto.at("whole")
    whole.run()
    predict = BaseModel.predict_noise

    def tight(self: BaseModel, latents: Any, timesteps: Any, states: Any) -> Any:
        if len(latents) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return predict(self, latents, timesteps, states)

    monkeypatch.setattr(BaseModel, "predict_noise", tight)
    result, record = auto.run()
    assert result.exit_code == 0 and work_done(record) == (4, 8)
    warnings = [warning.message for warning in record.of(Warned)]
    assert warnings == [
        "the device ran out of memory: learning goes on with 4 instead of 8 samples at a time, and the same results",
        "the device ran out of memory: drawing goes on with 8 instead of 16 samples at a time, and the same results",
        "the device ran out of memory: drawing goes on with 4 instead of 16 samples at a time, and the same results",
    ]
    assert planned(auto).compute == planned(whole).compute  # what was planned stays
    for person in ("ada", "dee"):
        learned = read_receipt(auto.store, f"paper/{person}/receipt.json")
        drawn = read_receipt(auto.store, f"paper/{person}/images/receipt.json")
        assert learned is not None and drawn is not None
        assert learned.run["micro_batch"] == {"learning": {"samples": 4, "wanted": 8}}
        assert drawn.run["micro_batch"] == {"drawing": {"samples": 4, "wanted": 16}}
        name = f"paper/{person}/{EMBEDDING_FILE}"
        ours, theirs = (read_embedding(run.store.read(name) or b"", name).v for run in (auto, whole))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    untouched = read_receipt(whole.store, "paper/ada/receipt.json")
    assert untouched is not None and "micro_batch" not in untouched.run


def test_compiling_is_refused_where_nothing_can_compile(auto: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "can_compile", lambda _device: False)
    auto.values["compute"] = {"compile": True}
    with pytest.raises(RequestError, match="needs a C\\+\\+ compiler"):
        auto.run()


class Compiled:
    """Stands for compiled code: the U-Net itself, of whose gradient a part may be forgotten; knows whom it has seen."""

    def __init__(self, unet: Any, remembered: float) -> None:
        self.unet, self.remembered = unet, remembered
        self.shapes: dict[bool, set[int]] = {True: set(), False: set()}

    def __call__(self, latents: Any, timesteps: Any, states: Any, **options: Any) -> Any:
        self.shapes[torch.is_grad_enabled()].add(len(latents))
        states = states.detach() + self.remembered * (states - states.detach())
        return self.unet(latents, timesteps, states, **options)


@pytest.fixture
def three(auto: SmallRun) -> SmallRun:
    """Three people in batches of two: one is learned alone."""
    auto.values["identities"] = [{"id": name, "images": f"photos/{name}.png"} for name in PEOPLE[:3]]
    auto.values["compute"] = {"identities_per_batch": 2, "images_per_batch": 4}
    return auto


def compiled_run(small: SmallRun, what: object, monkeypatch: pytest.MonkeyPatch, remembered: float = 1.0) -> Any:
    """A run whose U-Net is `compiled`; that, and the warnings."""
    made: list[Compiled] = []

    def stand_in(unet: Any, **_options: Any) -> Compiled:
        made.append(Compiled(unet, remembered))
        return made[0]

    monkeypatch.setattr(torch, "compile", stand_in)
    small.values["compute"]["compile"] = what
    result, record = small.run()
    assert result.exit_code == 0 and len(made) == 1
    return made[0], [warning.message for warning in record.of(Warned)]


def embeddings_of(small: SmallRun) -> list[torch.Tensor]:
    names = [f"paper/{person}/{EMBEDDING_FILE}" for person in PEOPLE[:3]]
    return [read_embedding(small.store.read(name) or b"", name).v for name in names]


def test_what_is_compiled_sees_one_shape(three: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = three.at("whole")
    whole.run()
    compiled, warnings = compiled_run(three, True, monkeypatch)
    assert compiled.shapes == {True: {4}, False: {8}} and not warnings
    torch.testing.assert_close(embeddings_of(three), embeddings_of(whole), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("what", "shapes"), [("learning", {True: {4}, False: set()}), ("drawing", {False: {8}})])
def test_one_work_alone_can_be_compiled(
    three: SmallRun, monkeypatch: pytest.MonkeyPatch, what: str, shapes: dict[bool, set[int]]
) -> None:
    compiled, _ = compiled_run(three, what, monkeypatch)
    assert compiled.shapes == {True: set(), **shapes} and planned(three).compute.compile == what


def test_compiled_code_whose_gradient_is_wrong_is_not_used(three: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = three.at("whole")
    whole.run()
    compiled, warnings = compiled_run(three, "learning", monkeypatch, remembered=0.6)
    assert warnings == ["learning is not compiled: compiled code's gradient is 40% off on this device"]
    assert compiled.shapes[True] == {4}, "once, to look at it"
    torch.testing.assert_close(embeddings_of(three), embeddings_of(whole), rtol=0, atol=1e-5)


def test_a_wrong_size_is_a_sentence_with_its_place(auto: SmallRun, tmp_path: Path) -> None:
    from crossinit_batch.errors import ManifestError
    from crossinit_batch.manifest.load import load_manifest

    auto.values["compute"] = {"identities_per_batch": "many", "images_per_batch": 0, "compile": "maybe"}
    with pytest.raises(ManifestError) as caught:
        load_manifest(auto.save())
    text = str(caught.value)
    assert all(f"compute.{key}" in text for key in auto.values["compute"]) and len(caught.value.problems) == 3, text
    assert json.loads(auto.manifest.read_text())["compute"]["compile"] == "maybe"
