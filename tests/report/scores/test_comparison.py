"""Table 1 against sums done by hand: known cosines, missed faces, two faces, cells that one method lacks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.plan import Job
from crossinit_batch.plan.scores import PictureScore
from crossinit_batch.prompts import Prompt
from crossinit_batch.report.scores.comparison import Comparison, compare
from crossinit_batch.report.scores.csv import scores_csv, summary_csv
from crossinit_batch.report.scores.score_table import read_scores
from crossinit_batch.storage.store import Store
from tests.helpers.scored_run import PROMPTS, score, scored_plan, scored_run, store_scores


def scoring(job: Job, number: int, index: int) -> PictureScore | None:
    """Person 0: faces but one; person 1: one face in four. Two faces where there is a second person, none in styles."""
    lift = 0.1 if job.method == "textual-inversion" else 0.0
    first = job.identity == "person-00"
    if number == 2:
        return score(None, None, None, 0.2)
    if number == 1:
        return score(2, 0.1 + lift, 0.6 + lift, 0.3) if first else score(0, None, None, 0.3)
    if first:
        return score(1, 0.5 + lift, 0.5 + lift, 0.4) if index == 0 else score(0, None, None, 0.5)
    return score(1, 0.9 + lift, 0.9 + lift, 0.6) if index == 0 else score(0, None, None, 0.7)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.fixture
def comparison(store: Store) -> Comparison:
    return compare(read_scores(store, scored_run(store, scored_plan(), scoring)))


def value(comparison: Comparison, row: int, measure: str) -> float:
    estimate = comparison.rows[row].means[measure]  # type: ignore[index]
    assert estimate is not None
    return estimate.value


def test_means_are_those_done_by_hand(comparison: Comparison) -> None:
    found = [0.5, 0.1, 0.1, 0.9]  # of cross-init, over the pictures with a face; the style prompt has no likeness
    assert value(comparison, 0, "identity") == pytest.approx(sum(found) / 4)
    assert value(comparison, 0, "identity_missing0") == pytest.approx(sum(found) / 8)
    assert value(comparison, 0, "detection") == pytest.approx(4 / 8)
    assert value(comparison, 0, "identity_best") == pytest.approx((0.5 + 0.6 + 0.6 + 0.9) / 4)
    assert value(comparison, 0, "prompt") == pytest.approx((0.4 + 0.5 + 0.6 + 0.7 + 4 * 0.3 + 4 * 0.2) / 12)
    row = comparison.rows[0]
    assert (row.pictures, row.judged, row.persons) == (12, 8, 2)
    assert row.learning == 2.0 and row.judging == pytest.approx(3.0 / 6)


def test_where_a_second_person_is_meant_the_best_face_stands_beside_the_largest(comparison: Comparison) -> None:
    shared = comparison.rows[0].shared
    assert shared["identity"] is not None and shared["identity"].value == pytest.approx(0.1)
    assert shared["identity_best"] is not None and shared["identity_best"].value == pytest.approx(0.6)
    assert shared["detection"] is not None and shared["detection"].value == pytest.approx(0.5)


def test_differences_are_paired_with_the_first_method(comparison: Comparison) -> None:
    assert set(comparison.rows[0].paired.values()) == {None}
    paired = comparison.rows[1].paired
    assert paired["identity"] is not None and paired["prompt"] is not None
    assert paired["identity"].value == pytest.approx(0.1)
    assert paired["identity"].low == pytest.approx(0.1) and paired["identity"].high == pytest.approx(0.1)
    assert paired["prompt"].value == 0


def test_breakdowns_are_by_category_and_prompt(comparison: Comparison) -> None:
    assert [group.label for group in comparison.categories] == ["expression", "interaction", "style"]
    assert [group.label for group in comparison.prompts] == [prompt.text for prompt in PROMPTS]
    expression, _, style = comparison.categories
    assert expression.means[0]["identity"] is not None
    assert expression.means[0]["identity"].value == pytest.approx(0.7)
    assert style.means[0]["identity"] is None and style.means[1]["prompt"] is not None
    assert not style.has("identity") and style.has("prompt")


def test_best_and_worst_faces_are_of_prompts_with_one_person(comparison: Comparison) -> None:
    best, worst = comparison.rows[0].best, comparison.rows[0].worst
    assert [(one.identity, one.number, one.score) for one in best] == [("person-01", 0, 0.9), ("person-00", 0, 0.5)]
    assert [one.identity for one in worst] == ["person-00", "person-01"]


def test_every_person_is_a_point(comparison: Comparison) -> None:
    ada, bob = (one for one in comparison.points if one.method == 0)
    assert ada.likeness == pytest.approx((0.5 + 0.1 + 0.1) / 3) and bob.likeness == pytest.approx(0.9)
    assert ada.prompt == pytest.approx((0.4 + 0.5 + 0.6 + 0.4) / 6)


def test_the_papers_row_stands_beside_its_own_setting_alone(store: Store) -> None:
    plan = scored_plan()
    varied = LearnedMethod("fewer", "cross-init", presets()["cross-init"].model_copy(update={"steps": 3}))
    plan = plan.model_copy(
        update={
            "methods": (plan.methods[0], varied),
            "jobs": tuple(
                job.model_copy(update={"method": "fewer"}) if job.method == "textual-inversion" else job
                for job in plan.jobs
            ),
        }
    )
    rows = compare(read_scores(store, scored_run(store, plan, scoring))).rows
    assert rows[0].published is not None and rows[0].published.identity == 0.2517
    assert rows[1].published is None


def test_cells_that_one_method_lacks_do_not_enter_differences(store: Store) -> None:
    plan = scored_plan()
    scored_run(store, plan, scoring)
    job = plan.jobs[2]  # textual-inversion of the first person: as if all but the first prompt were not scored
    store_scores(store, plan, job, lambda one, number, index: scoring(one, number, index) if number == 0 else None)
    comparison = compare(read_scores(store, take_inventory(store, plan)))
    paired = comparison.rows[1].paired
    assert paired["identity"] is not None and paired["identity"].value == pytest.approx(0.1)
    assert paired["prompt"] is not None and paired["prompt"].value == pytest.approx(0)
    assert value(comparison, 1, "prompt") != pytest.approx(value(comparison, 0, "prompt"))


def test_a_person_whose_photograph_has_no_face_is_named(store: Store) -> None:
    def blind(job: Job, number: int, index: int) -> PictureScore | None:
        return score(None, None, None, 0.1) if job.identity == "person-01" else scoring(job, number, index)

    comparison = compare(read_scores(store, scored_run(store, scored_plan(), blind)))
    assert comparison.rows[0].unseen == ("person-01",)
    identity = comparison.rows[0].means["identity"]
    assert identity is not None and identity.persons == 1


def test_prompts_of_one_category_are_not_broken_down_by_it(store: Store) -> None:
    plan = scored_plan(prompts=(Prompt("a {}"), Prompt("b {}")))
    comparison = compare(read_scores(store, scored_run(store, plan, lambda *_: score(1, 0.5, 0.5, 0.5))))
    assert comparison.categories == () and len(comparison.prompts) == 2


def test_the_tables_hold_every_cell_and_every_total(store: Store) -> None:
    table = read_scores(store, scored_run(store, scored_plan(), scoring))
    cells = list(csv.DictReader(io.StringIO(scores_csv(table).decode())))
    assert len(cells) == 2 * 2 * 3
    first = cells[0]
    assert (first["method"], first["identity"], first["prompt_number"]) == ("cross-init", "person-00", "1")
    assert (first["pictures"], first["found"], first["detection_mean"]) == ("2", "1", "0.500000")
    assert (first["identity_mean"], first["identity_missing0_mean"]) == ("0.500000", "0.250000")
    style = cells[2]
    assert (style["found"], style["identity_mean"], style["prompt_mean"]) == ("", "", "0.200000")
    totals = list(csv.DictReader(io.StringIO(summary_csv(compare(table)).decode())))
    assert {row["against"] for row in totals} == {"", "cross-init"}
    (identity,) = [row for row in totals if (row["method"], row["measure"], row["against"]) == (
        "textual-inversion", "identity", "cross-init")]  # fmt: skip
    assert identity["value"] == "0.100000" and identity["persons"] == "2"
