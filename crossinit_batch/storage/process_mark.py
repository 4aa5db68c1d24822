"""Which process on which machine made a file, as a part of its name: who finds it can tell whether its maker lives."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import uuid
from functools import cache
from pathlib import Path

from crossinit_batch.digest import sha256

_MARK = re.compile(r"([0-9a-f]{8})-(\d+)")


@cache
def machine() -> str:
    """A name of the running system and its space of process numbers: containers have their own.

    It is the same for two processes exactly when they can see each other's process numbers.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return f"{platform.node()} {uuid.getnode():x}"


def mark() -> str:
    """The mark of this process: eight digits of its machine's digest, and its number there."""
    return f"{sha256(machine().encode())[:8]}-{os.getpid()}"


def is_of_the_dead(text: str) -> bool:
    """Whether a text begins with the mark of a process of this machine that is not there any more."""
    import psutil

    found = _MARK.match(text)
    return found is not None and mark().startswith(f"{found[1]}-") and not psutil.pid_exists(int(found[2]))
