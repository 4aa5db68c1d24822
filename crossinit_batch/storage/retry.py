"""Retries with exponential backoff and jitter, bounded in number and time; every retry is reported."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from crossinit_batch.events import Event, Reporter, StorageRetried
from crossinit_batch.storage.failures import Kind, StorageFailure, UnfitFile, storage_failure

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try: pauses double from `first` to `longest` seconds, each shortened by up to a half.

    `total` bounds the seconds from the start of the first attempt to that of the last.
    """

    attempts: int = 8
    first: float = 0.5
    longest: float = 20.0
    total: float = 120.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after this attempt (from 1), with jitter, so that many workers do not retry all at once."""
        return min(self.first * 2.0 ** (attempt - 1), self.longest) * random.uniform(0.5, 1.0)


POLICY = RetryPolicy()


def _ignore(_event: Event) -> None:
    pass


_report: Reporter = _ignore
_is_stopping: Callable[[], bool] = bool


@contextlib.contextmanager
def retries_told(report: Reporter, is_stopping: Callable[[], bool]) -> Iterator[None]:
    """Report every retry of this process while open; once `is_stopping`, a pause ends and its attempt is the last."""
    global _report, _is_stopping
    before = _report, _is_stopping
    _report, _is_stopping = report, is_stopping
    try:
        yield
    finally:
        _report, _is_stopping = before


class Retries:
    """Runs operations on one storage, and repeats those that failed for a transient reason.

    After an operation has failed in all attempts, the next ones get one attempt each until one succeeds. `given_up`
    counts the operations that have failed so since the last success.
    """

    def __init__(self, scheme: str | None) -> None:
        self.scheme = scheme
        self.given_up = 0

    def do(self, action: Callable[[], Result], path: str) -> Result:
        """The action's result. FileNotFoundError and the like are raised as they are, all else as StorageFailure."""
        began = time.monotonic()
        attempts = 1 if self.given_up else POLICY.attempts
        for attempt in range(1, attempts + 1):
            try:
                result = action()
            except Exception as error:
                failure = self._failure(error, path)
                pause = POLICY.pause(attempt)
                late = time.monotonic() + pause - began > POLICY.total
                if failure.kind is not Kind.PASSING or attempt == attempts or late or _is_stopping():
                    self.given_up += failure.kind is Kind.PASSING
                    raise failure from error
                _report(StorageRetried(path, str(failure.strerror), attempt + 1, attempts, round(pause, 2)))
                _wait(pause)
            else:
                self.given_up = 0
                return result
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: Exception, path: str) -> StorageFailure:
        """The error, classified; an answer rather than a failure, as FileNotFoundError, is raised as it is."""
        failure = storage_failure(error, path, self.scheme)
        answers = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, UnfitFile)
        local = self.scheme is None and failure.kind in (Kind.OTHER, Kind.REFUSED)
        if failure.kind is not Kind.NO_BUCKET and (isinstance(error, (*answers, ValueError)) or local):
            raise error
        return failure


def _wait(seconds: float) -> None:
    """Sleep, until a signal asks the run to stop."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not _is_stopping():
        time.sleep(min(left, 0.1))


@cache
def source_retries(scheme: str | None) -> Retries:
    """The retries of all inputs on one kind of storage, shared so that, where all attempts at one picture have failed,
    a thousand others do not each wait as long."""
    return Retries(scheme)
