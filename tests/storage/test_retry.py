from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import pairwise

import pytest

from crossinit_batch.events import Event, StorageRetried
from crossinit_batch.storage import retry
from crossinit_batch.storage.failures import StorageFailure
from crossinit_batch.storage.retry import Retries, RetryPolicy, retries_told, source_retries

STALE = OSError(errno.ESTALE, os.strerror(errno.ESTALE))


class Flaky:
    """Fails with these errors one after another, then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The pauses, none of which is slept."""
    pauses: list[float] = []
    monkeypatch.setattr(retry, "_wait", pauses.append)
    return pauses  # type: ignore[return-value]


def test_what_may_pass_is_tried_again_after_longer_and_longer_pauses(slept: list[float]) -> None:
    events: list[Event] = []
    action = Flaky(*[STALE] * 5)
    with retries_told(events.append, bool):
        assert Retries(None).do(action, "out/a.png") == "done"
    assert action.calls == 6 and len(slept) == 5
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(slept))
    attempts = [(event.place, event.attempt) for event in events if isinstance(event, StorageRetried)]
    assert attempts == [("out/a.png", number) for number in range(2, 7)]


def test_pauses_are_not_all_the_same() -> None:
    pauses = [RetryPolicy().pause(3) for _ in range(20)]
    assert any(a != b for a, b in pairwise(pauses))


def test_attempts_and_time_are_bounded(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    action = Flaky(*[STALE] * 100)
    with pytest.raises(StorageFailure, match=r"(?i)stale"):
        Retries(None).do(action, "x")
    assert action.calls == RetryPolicy().attempts
    monkeypatch.setattr(retry, "POLICY", RetryPolicy(attempts=1000, first=50, longest=50, total=100))
    clock = iter(range(0, 10**6, 40))
    monkeypatch.setattr(retry.time, "monotonic", lambda: next(clock))
    action = Flaky(*[STALE] * 1000)
    with pytest.raises(StorageFailure):
        Retries(None).do(action, "x")
    assert action.calls <= 3


@pytest.mark.parametrize("error", [FileNotFoundError(2, "x"), FileExistsError(17, "x"), ValueError("x")])
@pytest.mark.parametrize("scheme", [None, "s3"])
def test_answers_are_no_failures(slept: list[float], error: Exception, scheme: str | None) -> None:
    with pytest.raises(type(error)) as caught:
        Retries(scheme).do(Flaky(error), "x")
    assert caught.value is error and slept == []


def test_a_disks_own_error_stays_what_it_is(slept: list[float]) -> None:
    with pytest.raises(PermissionError):
        Retries(None).do(Flaky(PermissionError(errno.EACCES, "no")), "x")
    assert slept == []


def test_a_client_error_of_any_class_is_an_os_error(slept: list[float]) -> None:
    with pytest.raises(OSError, match="strange"):
        Retries("s3").do(Flaky(RuntimeError("strange")), "x")
    assert slept == []


def test_after_giving_up_there_is_one_attempt_until_something_works(slept: list[float]) -> None:
    retries = Retries(None)
    with pytest.raises(StorageFailure):
        retries.do(Flaky(*[STALE] * 100), "a")
    again = Flaky(STALE)
    with pytest.raises(StorageFailure):
        retries.do(again, "b")
    assert again.calls == 1 and retries.given_up == 2
    retries.do(Flaky(), "c")
    assert retries.do(Flaky(STALE), "d") == "done"


def test_all_pictures_of_one_kind_of_storage_share_their_patience() -> None:
    assert source_retries("s3") is source_retries("s3") is not source_retries(None)
