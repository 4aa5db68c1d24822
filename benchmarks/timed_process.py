"""Commands run to their end and timed from outside, as whoever types them would: wall and processor seconds."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Seconds that passed, and seconds that processors worked (user and system, children that ended included)."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def per(self, pieces: float) -> Cost:
        """The cost of one of so many pieces."""
        return Cost(self.wall / pieces, self.cpu / pieces)


def timed(command: Sequence[str], environ: Mapping[str, str]) -> tuple[Cost, str]:
    """Run a command; its cost and what it printed. SystemExit with its last words where it fails."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complained:
        began = time.monotonic()
        process = subprocess.Popen(command, env=dict(environ), stdout=printed, stderr=complained, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        complained.seek(0)
        if process.returncode:
            last = "\n".join((complained.read() or printed.read()).splitlines()[-15:])
            raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{last}")
        return Cost(wall, usage.ru_utime + usage.ru_stime), printed.read()
