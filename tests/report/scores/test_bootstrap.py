from __future__ import annotations

import math

import numpy as np
import pytest

from crossinit_batch.report.scores.bootstrap import DRAWS, Ratio, differences, estimates


def ratio(above: list[float], below: list[float]) -> Ratio:
    return Ratio(np.array(above, dtype=float), np.array(below, dtype=float))


def test_a_mean_is_over_all_pictures_not_over_persons() -> None:
    (found,) = estimates([ratio([1.0, 3.0], [1, 9])])  # one picture of 1.0, nine that sum to 3
    assert found is not None and found.value == pytest.approx(0.4) and found.persons == 2


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    values = np.random.default_rng(5).normal(0.3, 0.1, 400)
    (found,) = estimates([Ratio(values, np.ones(400))])
    assert found is not None and found.low is not None and found.high is not None
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_intervals_are_those_of_an_independent_bootstrap() -> None:
    """Drawn person by person with Python's own random numbers: the ends agree but for the noise of the draws."""
    import random

    rng = random.Random(0)
    persons = [(rng.gauss(0.5, 0.2) * count, count) for count in [rng.randint(0, 6) for _ in range(30)]]
    values = []
    for _ in range(4000):
        drawn = [persons[rng.randrange(30)] for _ in range(30)]
        values.append(sum(above for above, _ in drawn) / sum(below for _, below in drawn))
    values.sort()
    (found,) = estimates([ratio([a for a, _ in persons], [b for _, b in persons])])
    assert found is not None
    assert found.low == pytest.approx(values[100], abs=0.012) and found.high == pytest.approx(values[3900], abs=0.012)


def test_a_shared_swing_falls_out_of_a_paired_difference() -> None:
    swing = np.random.default_rng(1).normal(0, 0.3, 40)
    one, other = Ratio(swing + 0.05, np.ones(40)), Ratio(swing, np.ones(40))
    (paired,) = differences([(one, other)])
    (alone,) = estimates([one])
    assert paired is not None and paired.value == pytest.approx(0.05)
    assert paired.low == pytest.approx(0.05) and paired.high == pytest.approx(0.05)
    assert alone is not None and alone.high is not None and alone.low is not None and alone.high - alone.low > 0.1


def test_nothing_counted_is_no_estimate_and_one_person_has_no_interval() -> None:
    nothing, single = estimates([ratio([0, 0], [0, 0]), ratio([0.5, 0], [1, 0])])
    assert nothing is None
    assert single is not None and (single.value, single.low, single.high, single.persons) == (0.5, None, None, 1)
    assert differences([(ratio([1, 1], [1, 1]), ratio([0, 0], [0, 0]))]) == [None]
    assert estimates([]) == [] and differences([]) == []


def test_the_same_seed_gives_the_same_interval_and_many_persons_are_cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    some = ratio(list(np.linspace(0, 1, 50)), [1] * 50)
    whole = estimates([some])
    monkeypatch.setattr("crossinit_batch.report.scores.bootstrap._ROWS_AT_ONCE", 50 * (DRAWS // 7))
    assert estimates([some]) == whole
    assert estimates([some], seed=1) != whole
