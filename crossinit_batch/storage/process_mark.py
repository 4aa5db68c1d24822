"""The process and machine that made a file, as a part of its name, so that others can see whether it still runs."""

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
    """A name of the running system and its process namespace, as each container has its own.

    It is the same for two processes exactly when they can see each other's process numbers.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return f"{platform.node()} {uuid.getnode():x}"


def mark() -> str:
    """The mark of this process: eight hexadecimal digits of its machine's digest, and its process number."""
    return f"{sha256(machine().encode())[:8]}-{os.getpid()}"


def has_ended(text: str) -> bool:
    """Whether a text begins with the mark of a process of this machine that has ended."""
    import psutil

    found = _MARK.match(text)
    return found is not None and mark().startswith(f"{found[1]}-") and not psutil.pid_exists(int(found[2]))
