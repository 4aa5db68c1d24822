"""Trying again what may work the next time: a bounded number of times, after longer and longer pauses, and told."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from crossinit_batch.events import Event, Reporter, StorageRetried
from crossinit_batch.storage.failures import Kind, StorageFailure, understood

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How often and how long to try: pauses double from `first` to `longest` seconds, each cut by up to a half."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 20.0
    total: float = 120.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after this attempt (from 1), with jitter, so that many workers do not come back as one."""
        return min(self.first * 2.0 ** (attempt - 1), self.longest) * random.uniform(0.5, 1.0)


PATIENCE = Patience()


def _nobody(_event: Event) -> None:
    pass


_report: Reporter = _nobody
_hurry: Callable[[], bool] = bool


@contextlib.contextmanager
def retries_told(report: Reporter, hurry: Callable[[], bool]) -> Iterator[None]:
    """Report every retry of this process while open; none is made once `hurry` says so, and no pause goes on."""
    global _report, _hurry
    before = _report, _hurry
    _report, _hurry = report, hurry
    try:
        yield
    finally:
        _report, _hurry = before


class Retries:
    """Does things on one storage, again where that may help.

    Where a storage has stayed away through all attempts, what comes next is tried once only, until something works.
    """

    def __init__(self, scheme: str | None) -> None:
        self.scheme = scheme
        self.given_up = 0

    def do(self, action: Callable[[], Result], place: str) -> Result:
        """The action's result. FileNotFoundError and its like pass; StorageFailure for all else that goes wrong."""
        began = time.monotonic()
        attempts = 1 if self.given_up else PATIENCE.attempts
        for attempt in range(1, attempts + 1):
            try:
                result = action()
            except Exception as error:
                failure = self._failure(error, place)
                pause = PATIENCE.pause(attempt)
                late = time.monotonic() + pause - began > PATIENCE.total
                if failure.kind is not Kind.PASSING or attempt == attempts or late or _hurry():
                    self.given_up += failure.kind is Kind.PASSING
                    raise failure from error
                _report(StorageRetried(place, str(failure.strerror), attempt + 1, attempts, round(pause, 2)))
                _wait(pause)
            else:
                self.given_up = 0
                return result
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: Exception, place: str) -> StorageFailure:
        """What an error means; what is an answer rather than a failure is raised as it is."""
        failure = understood(error, place, self.scheme)
        answers = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
        local = self.scheme is None and failure.kind in (Kind.OTHER, Kind.REFUSED)
        if failure.kind is not Kind.NO_BUCKET and (isinstance(error, (*answers, ValueError)) or local):
            raise error
        return failure


def _wait(seconds: float) -> None:
    """Sleep, but not on when a signal has asked the run to stop."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not _hurry():
        time.sleep(min(left, 0.1))


@cache
def source_retries(scheme: str | None) -> Retries:
    """The retries of everything that the user named on one kind of storage: where one picture has had all attempts
    in vain, a thousand others do not each wait as long."""
    return Retries(scheme)
