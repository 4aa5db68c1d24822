from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from crossinit_batch.errors import RequestError
from crossinit_batch.storage import fault_points
from crossinit_batch.storage.fault_points import Point, arm, reach


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent: list[int] = []
    monkeypatch.setattr(fault_points.os, "kill", lambda process, number: sent.append(number))
    return sent


def test_the_process_dies_at_its_point_the_nth_time_having_done_what_comes_first(kills: list[int]) -> None:
    arm("before-rename:2")
    done: list[str] = []
    for point in (Point.BEFORE_RENAME, Point.BEFORE_WRITE, Point.BEFORE_WRITE):
        reach(point, lambda: done.append("too early"))
    assert kills == [] and done == []
    reach(Point.BEFORE_RENAME, lambda: done.append("flushed"))
    assert kills == [signal.SIGKILL] and done == ["flushed"]


def test_nothing_happens_unasked(kills: list[int]) -> None:
    for point in Point:
        reach(point)
    assert kills == []


@pytest.mark.parametrize("text", ["nowhere:1", "before-write", "before-write:0", "before-write:x", "before-write:-1"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="the points being before-write, half-written"):
        arm(text)


def test_a_real_process_is_killed() -> None:
    child = os.fork()
    if not child:
        arm("after-put:1")
        reach(Point.AFTER_PUT)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
