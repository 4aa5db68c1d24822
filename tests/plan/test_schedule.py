"""The order of batches and who does which: the plan alone decides."""

from __future__ import annotations

import pytest

from crossinit_batch.plan.plan import JobBatch, Plan
from crossinit_batch.plan.schedule import batches_of, cost_of, longest_first
from crossinit_batch.plan.shard import Shard
from tests.engines.test_pool import plan_for


def uneven_plan() -> Plan:
    """Eleven batches of one to four people."""
    plan = plan_for(tuple(f"person-{number}" for number in range(11)))
    batches = [
        JobBatch(work="learn", method="cross-init", identities=("x",) * (1 + number % 4), digest=str(number))
        for number in range(11)
    ]
    return plan.model_copy(update={"batches": tuple(batches)})


def test_learning_counts_forward_and_backward_and_drawing_forward() -> None:
    plan = plan_for(("ada",))
    (batch,) = plan.batches
    pictures = 10 * 2 * 50 * 2  # with guidance two samples a step; in tenths of passes
    assert cost_of(plan, batch) == 320 * 8 * 21 + pictures
    assert cost_of(plan, batch.model_copy(update={"work": "render"})) == pictures


def test_the_longest_come_first_and_equals_stay_in_order() -> None:
    plan = uneven_plan()
    order = longest_first(plan, plan.batches)
    assert [len(batch.identities) for batch in order] == [4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1]
    assert [batch.digest for batch in order[:5]] == ["3", "7", "2", "6", "10"]


@pytest.mark.parametrize("count", [1, 2, 5, 11, 30])
def test_the_shares_are_the_whole_and_even(count: int) -> None:
    plan = uneven_plan()
    shares = [batches_of(plan, Shard(index, count)) for index in range(count)]
    assert sorted(batch.digest for shard in shares for batch in shard) == sorted(batch.digest for batch in plan.batches)
    loads = [sum(cost_of(plan, batch) for batch in shard) for shard in shares]
    assert max(loads) - min(loads) <= max(cost_of(plan, batch) for batch in plan.batches)
