"""The first moments of a worker process, before it imports anything that takes long.

A parent may be killed while its workers still start; they end then, and do not load libraries first.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import pkgutil
import signal
import sys
from multiprocessing.connection import Connection

from crossinit_batch.worker import start_clock

_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def begin(connection: Connection, serve: str, brief: bytes, parent: int) -> None:
    """Become the worker: `serve` names its function, `brief` is pickled; reading them imports what they need."""
    start_clock.start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; the parent decides what it means
    die_with(parent)
    pkgutil.resolve_name(serve)(connection, pickle.loads(brief))


def die_with(parent: int) -> None:
    """Have Linux kill this process when its parent ends for any reason; elsewhere the broken pipe ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.name == "posix" and os.getppid() != parent:  # it ended before we asked
        os._exit(1)
