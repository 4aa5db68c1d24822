"""A run on a GPU: whole, the same every time, and what a processor makes of it; skipped where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import Interrupted
from crossinit_batch.events import StepDone
from crossinit_batch.methods.embedding.formats import read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import compile_unet, gradient_error, is_rounding
from crossinit_batch.model.micro_batch import MicroBatch
from crossinit_batch.model.source import fetched_model
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.report.verify import verify
from crossinit_batch.settings import ModelSettings
from tests.end_to_end.small_run import Recorder, SmallRun, work_done
from tests.helpers.tree import tree_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that CUDA knows of")
GPU = torch.device("cuda")


@pytest.fixture
def on_gpu(small: SmallRun) -> SmallRun:
    """The small run, as a user with a GPU has it: in half precision where the GPU has it, sizes by its memory."""
    small.values["compute"] = {"checkpoint_every": 2}
    return replace(small, options=RunOptions("cuda"))


def test_a_run_is_whole_and_the_next_one_is_the_same(on_gpu: SmallRun) -> None:
    result, record = on_gpu.run()
    assert result.exit_code == 0 and work_done(record) == (8, 16)
    assert not verify(on_gpu.store).findings
    plan = read_plan(on_gpu.store)
    assert plan is not None and plan.model.dtype == ("bfloat16" if torch.cuda.is_bf16_supported() else "float32")
    again = on_gpu.at("again")
    again.run()
    assert tree_of(again.store) == {**tree_of(on_gpu.store), layout.MANIFEST: tree_of(again.store)[layout.MANIFEST]}


def test_a_run_that_was_stopped_ends_like_one_that_was_not(on_gpu: SmallRun) -> None:
    whole = on_gpu.at("whole")
    whole.run()
    with pytest.raises(Interrupted):
        on_gpu.run(Recorder(when=lambda event, number: isinstance(event, StepDone) and number == 1))
    result, _ = on_gpu.resume()
    assert result.exit_code == 0
    assert {**tree_of(on_gpu.store), layout.MANIFEST: ""} == {**tree_of(whole.store), layout.MANIFEST: ""}


def test_two_workers_share_a_gpu(on_gpu: SmallRun) -> None:
    on_gpu.values["compute"] = {"identities_per_batch": 2, "samples_per_pass": 4, "images_per_batch": 3}
    alone = on_gpu.at("alone")
    alone.run()
    both = replace(on_gpu, options=RunOptions(devices="cuda", workers=2))
    result, _ = both.run()
    assert result.exit_code == 0
    assert {**tree_of(both.store), layout.MANIFEST: ""} == {**tree_of(alone.store), layout.MANIFEST: ""}


def test_in_full_precision_a_gpu_learns_what_a_processor_learns(on_gpu: SmallRun) -> None:
    on_gpu.values["model"] = {"id": on_gpu.values["model"], "dtype": "float32"}
    processor = replace(on_gpu.at("processor"), options=RunOptions("cpu"))
    for run in (on_gpu, processor):
        assert run.run()[0].exit_code == 0
    for person in ("ada", "dee"):
        name = f"paper/{person}/{EMBEDDING_FILE}"
        ours, theirs = (read_embedding(run.store.read(name) or b"", name).v for run in (on_gpu, processor))
        assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def test_memory_that_truly_runs_out_is_met_by_halves() -> None:
    """A thousand pieces of a gibibyte each are more than any one GPU holds."""
    told: list[tuple[int, int]] = []
    micro = MicroBatch()
    micro.on_halved = lambda size, wanted: told.append((size, wanted))

    def take(part: slice, size: int) -> int:
        return torch.empty(size << 30, dtype=torch.uint8, device=GPU).numel() and part.stop - part.start

    assert sum(micro.run(1024, take)) == 1024
    assert told[0] == (512, 1024) and micro.size == told[-1][0] < 512


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_compiled_code_has_the_right_gradient(on_gpu: SmallRun) -> None:
    source = fetched_model(ModelSettings(id=str(on_gpu.values["model"])))
    for dtype in ("float32", "bfloat16"):
        model = BaseModel.load(source, GPU, dtype)
        compile_unet(model, dtype)
        assert is_rounding(gradient_error(model, 4), model.dtype)
