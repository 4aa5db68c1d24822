from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.plan.digests import cell_digests
from crossinit_batch.plan.plan import PlannedJudges
from crossinit_batch.plan.scores import PictureScore, dump_scores, load_scores, prompts_scored
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import EvaluationSettings, IdentitySettings
from crossinit_batch.storage.receipts import Receipt, read_receipt
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all

JUDGES = PlannedJudges(
    settings=EvaluationSettings(identity=IdentitySettings(weights="r.onnx", detector="d.onnx")),
    detector="d" * 64,
    recogniser="e" * 64,
    clip="c" * 64,
)


def test_scores_survive_their_file() -> None:
    scores = [
        PictureScore("00-a/000.png", 2, 0.123456, 0.5, -0.25),
        PictureScore("00-a/001.png", 0, None, None, 0.3),
        PictureScore("01-b/000.png", None, None, None, 0.0),
    ]
    data = dump_scores(scores)
    assert data.splitlines()[0] == b"picture,faces,identity,identity_best,prompt"
    assert data.splitlines()[1:3] == [b"00-a/000.png,2,0.123456,0.500000,-0.250000", b"00-a/001.png,0,,,0.300000"]
    assert load_scores(data) == scores


@pytest.mark.parametrize("data", [b"", b"a,b\n", b"picture,faces,identity,identity_best,prompt\nx,1\n"])
def test_another_file_is_no_scores(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a file of scores"):
        load_scores(data)


@pytest.fixture
def drawn(tmp_path: Path) -> Receipt:
    """The pictures' receipt of the first job of a finished run."""
    store = Store(str(tmp_path / "out"))
    store_all(store, a_plan())
    receipt = read_receipt(store, f"{layout.images_folder('cross-init', 'ada')}/{layout.RECEIPT_FILE}")
    assert receipt is not None
    return receipt


def test_a_cell_is_decided_by_pictures_photographs_prompt_and_judges(drawn: Receipt) -> None:
    plan = a_plan().model_copy(update={"judges": JUDGES})
    job = plan.jobs[0]
    (digest,) = cell_digests(plan, job, drawn).values()
    first = next(iter(drawn.files))
    other_bytes = {**drawn.files, first: drawn.files[first].model_copy(update={"sha256": "0" * 64})}
    style = tuple(Prompt(prompt.text, "style") for prompt in plan.prompts)
    different = [
        (plan, drawn.model_copy(update={"files": other_bytes})),
        (plan.model_copy(update={"judges": JUDGES.model_copy(update={"recogniser": "0" * 64})}), drawn),
        (plan.model_copy(update={"judges": JUDGES.model_copy(update={"clip": "0" * 64})}), drawn),
        (plan.model_copy(update={"prompts": style}), drawn),
    ]
    assert len({digest, *(cell_digests(one, job, receipt)[0] for one, receipt in different)}) == 5
    category = tuple(Prompt(prompt.text, "background") for prompt in plan.prompts)
    assert cell_digests(plan.model_copy(update={"prompts": category}), job, drawn) == {0: digest}


def test_a_cell_with_a_missing_picture_is_none(drawn: Receipt) -> None:
    plan = a_plan().model_copy(update={"judges": JUDGES})
    one_less = dict(list(drawn.files.items())[1:])
    assert cell_digests(plan, plan.jobs[0], drawn.model_copy(update={"files": one_less})) == {}
    assert cell_digests(plan, plan.jobs[0], None) == {}


def test_cells_are_done_where_their_receipt_has_the_digest(drawn: Receipt) -> None:
    plan = a_plan().model_copy(update={"judges": JUDGES})
    job, name = plan.jobs[0], layout.prompt_folder(0, plan.prompts[0])
    right = cell_digests(plan, job, drawn)[0]
    for digest, done in ((right, {0}), ("other", set())):
        receipt = Receipt(
            kind="scores", method=job.method, identity="ada", digest="", files={}, facts={"cells": {name: digest}}
        )
        assert prompts_scored(plan, job, drawn, receipt) == done
    assert prompts_scored(plan, job, drawn, None) == frozenset()


def test_which_prompts_a_likeness_is_expected_of() -> None:
    assert JUDGES.judges_identity(Prompt("{}", "background")) and JUDGES.judges_identity(Prompt("{}", "interaction"))
    assert not JUDGES.judges_identity(Prompt("{}", "style"))
    assert JUDGES.has_second_person(Prompt("{}", "interaction")) and not JUDGES.has_second_person(Prompt("{}"))
    alone = PlannedJudges(settings=EvaluationSettings(), clip="c")
    assert not alone.judges_identity(Prompt("{}")) and alone.digest != JUDGES.digest
