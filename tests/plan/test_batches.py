"""Who shares a batch, and that it stays so until something of it changes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch.plan.batches import balanced, idle_workers, with_batches
from crossinit_batch.plan.plan import Plan
from crossinit_batch.settings import ComputeSettings
from tests.plan.test_plan import plan_of


@given(st.lists(st.integers(), max_size=200), st.integers(1, 64))
def test_balanced_parts_are_few_even_and_in_order(items: list[int], size: int) -> None:
    parts = balanced(items, size)
    assert [item for part in parts for item in part] == items
    assert len(parts) == -(-len(items) // size)
    sizes = [len(part) for part in parts]
    assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)


def companies(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(batch.work, batch.method, batch.identities) for batch in plan.batches]


def test_batches_are_made_of_what_is_pending(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    everything = with_batches(plan, [(job, True) for job in plan.jobs], None)
    assert companies(everything) == [("learn", "paper", ("ada", "bob")), ("learn", "quick", ("ada", "bob"))]
    assert companies(with_batches(plan, [(plan.jobs[3], False)], None)) == [("render", "quick", ("bob",))]
    assert companies(with_batches(plan, [], None)) == []


def test_a_batch_keeps_its_company_until_one_of_it_changes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    frozen = with_batches(plan, [(job, True) for job in plan.jobs], None)
    assert companies(with_batches(plan, [(plan.jobs[1], True)], frozen)) == companies(frozen)
    assert companies(with_batches(plan, [], frozen)) == companies(frozen)
    (tmp_path / "ada.png").write_bytes(b"another picture")
    edited = plan_of(tmp_path)
    after = with_batches(edited, [(edited.jobs[0], True), (edited.jobs[2], True)], frozen)
    assert companies(after) == [("learn", "paper", ("ada",)), ("learn", "quick", ("ada",))]
    smaller = plan_of(tmp_path, compute=ComputeSettings(identities_per_batch=1))
    assert len(with_batches(smaller, [(job, True) for job in smaller.jobs], frozen).batches) == 4


def test_workers_that_would_wait_are_told_of_smaller_batches(tmp_path: Path) -> None:
    def hint(size: int, workers: int, left: int | None = None) -> str:
        plan = plan_of(tmp_path, compute=ComputeSettings(identities_per_batch=size))
        plan = with_batches(plan, [(job, True) for job in plan.jobs], None)
        return idle_workers(plan, plan.batches[:left], workers)

    assert hint(4, 2) == hint(1, 8) == hint(4, 1, left=0) == "", "enough batches, none smaller, nothing to do"
    assert hint(4, 3).startswith("1 of 3 workers have nothing to do: there are 2 batches of up to 4 identities")
    assert "`compute: {identities_per_batch: 1}`" in hint(4, 4)
    assert "there is one batch of" in hint(2, 2, left=1)
