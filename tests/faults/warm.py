"""Command lines that start in milliseconds, to be killed: see `warm_server.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("warm_server.py")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative the signal that killed it; what it printed."""

    code: int
    text: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Warm:
    """Runs the command line in processes that are forked from a warm one."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        assert self._answer() == "ready"

    def run(self, *args: str, environment: Mapping[str, str] | None = None, kill_after: float | None = None) -> Ended:
        """Run a command to its end, or kill it after so many seconds."""
        self._log.unlink(missing_ok=True)
        request = {
            "args": args,
            "environment": dict(environment or {}),
            "log": str(self._log),
            "kill_after": kill_after,
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(int(self._answer()), self._log.read_text() if self._log.exists() else "")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def warm_programs(model: Path, folder: Path) -> Iterator[Warm]:
    """A warm process with a model loaded; it keeps its caches and logs in `folder`."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SERVER.parents[2]), *sys.path]),
        "CROSSINIT_CACHE": str(folder / "cache"),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("CROSSINIT_FAULT", None)
    command = [sys.executable, str(SERVER), str(model)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    )
    try:
        yield Warm(process, folder / "log.txt")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)
