"""Fault injection: named points of a write, at each of which tests can kill the process.

With `CROSSINIT_FAULT=<point>:<n>` in the environment, the process kills itself with SIGKILL when it reaches that point
for the n-th time. Without it, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum

from crossinit_batch.errors import RequestError

VARIABLE = "CROSSINIT_FAULT"


class Point(StrEnum):
    """The points in the order in which a file passes them: a write on a disk, one in a bucket, a removal."""

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
    """A point, and in how many passes of it the process is killed."""

    def __init__(self, text: str) -> None:
        name, _, number = text.partition(":")
        if name not in list(Point) or not number.isdigit() or int(number) < 1:
            raise RequestError(f"{VARIABLE}={text}: write <point>:<n>, the points being {', '.join(Point)}")
        self.point, self.passes_left = Point(name), int(number)


_armed: _Fault | None = None


def arm(text: str) -> None:
    """Set the point at which this process is killed, written as in the environment; an empty text sets none."""
    global _armed
    _armed = _Fault(text) if text else None


def reach(point: Point, first: Callable[[], object] | None = None) -> None:
    """Kill this process if this is its point; `first` is called before, for example to flush half of a file."""
    if _armed is None or _armed.point != point:
        return
    _armed.passes_left -= 1
    if not _armed.passes_left:
        if first is not None:
            first()
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
