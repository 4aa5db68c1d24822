"""The moments of a write at which a process may die, by name, so that tests can kill it at each of them.

`CROSSINIT_FAULT=<point>:<n>` in the environment has the process kill itself with SIGKILL when it comes to that point
for the n-th time. Unset, as it is for everybody but tests, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum

from crossinit_batch.errors import RequestError

VARIABLE = "CROSSINIT_FAULT"


class Point(StrEnum):
    """In the order in which a file comes to be: on a disk, in a bucket, and how it goes."""

    BEFORE_WRITE = "before-write"
    HALF_WRITTEN = "half-written"
    BEFORE_FLUSH = "before-flush"
    BEFORE_RENAME = "before-rename"
    BEFORE_FOLDER_FLUSH = "before-folder-flush"
    AFTER_WRITE = "after-write"
    BEFORE_PUT = "before-put"
    AFTER_PUT = "after-put"
    BEFORE_CREATE = "before-create"
    AFTER_CREATE = "after-create"
    BEFORE_REMOVE = "before-remove"
    AFTER_REMOVE = "after-remove"


class _Fault:
    """One point, and how many more times the process may pass it."""

    def __init__(self, text: str) -> None:
        name, _, number = text.partition(":")
        if name not in list(Point) or not number.isdigit() or int(number) < 1:
            raise RequestError(f"{VARIABLE}={text}: write <point>:<n>, the points being {', '.join(Point)}")
        self.point, self.left = Point(name), int(number)


_armed: _Fault | None = None


def arm(text: str) -> None:
    """Have this process killed at a point, given as in the environment; nothing for an empty text."""
    global _armed
    _armed = _Fault(text) if text else None


def reach(point: Point, first: Callable[[], object] | None = None) -> None:
    """Die here if it was asked for, having done `first`, as a half-written file is half on the disk."""
    if _armed is None or _armed.point != point:
        return
    _armed.left -= 1
    if not _armed.left:
        if first is not None:
            first()
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
