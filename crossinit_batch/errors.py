"""Every error that a user can meet.

    CrossinitError
    ├── RequestError          the request is wrong and nothing was done: exit 2
    │   ├── ManifestError     a manifest or prompts file; carries all its problems at once
    │   ├── ModelError        the base model cannot be found, or is of an unsupported kind
    │   └── OutputError       the output folder cannot be used as asked
    │       └── RefusedFile   one file of it that is not touched; in a worker, a JobError
    ├── OutputLost            the output folder can no longer be written: the run stops, what is done is kept
    ├── JobError              one job failed, the others go on: exit 1
    │   ├── PhotographError   a picture cannot be used
    │   └── EmbeddingError    an embedding file cannot be used
    ├── DeviceLost            the device failed in this process, another process may go on: exit 1
    └── Interrupted           stopped by a signal with everything saved: exit 75

A message says what is wrong, with the name and the value; the hint says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file the user wrote: `file:line:column: key: message`. Line and column count from 1."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class CrossinitError(Exception):
    """An error with a message for the user, and a hint about what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Makes errors picklable whatever their constructors take, since worker processes send them."""
        return _error_again, (type(self), self.args, self.__dict__)


def _error_again(kind: type[CrossinitError], args: tuple[Any, ...], facts: dict[str, Any]) -> CrossinitError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class RequestError(CrossinitError):
    """The request is wrong; nothing was done."""

    exit_code = 2


class ManifestError(RequestError):
    """A file the user wrote has mistakes; `problems` lists all of them, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ModelError(RequestError):
    """The base model cannot be found, or is of an unsupported kind."""


class OutputError(RequestError):
    """The output folder cannot be used as asked."""


class OutputLost(CrossinitError):
    """The output folder can no longer be written, so no job can go on; `reason` is the message without the path."""

    def __init__(self, message: str, reason: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class JobError(CrossinitError):
    """One job failed; the others go on."""


class PhotographError(JobError):
    """A picture cannot be used; the message names the file and the reason."""


class RefusedFile(OutputError, JobError):
    """A file of the output folder that is never read or written as it is, a symbolic link or a pipe; a worker fails
    the job whose file it is."""


class EmbeddingError(JobError):
    """An embedding file cannot be used; the message names the file and the reason."""


class DeviceLost(CrossinitError):
    """The device failed in this process, which can use it no more; a new process may be able to."""


class Interrupted(CrossinitError):
    """Stopped by a signal; everything done so far is saved."""

    exit_code = 75
