"""The warm process that other tests of this folder run and kill commands in."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from tests.faults.warm import Warm
from tests.faults.warm_server import end_of


def test_a_kill_that_comes_after_the_end_changes_nothing() -> None:
    process = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert end_of(process.pid, kill_after=0) == 3
    assert process.wait() == 0  # nobody is left to be waited for


def test_a_kill_at_the_moment_of_the_end_is_answered_by_one_of_both(warm: Warm) -> None:
    began = time.monotonic()
    assert warm.run("--version").code == 0
    took = time.monotonic() - began
    ends = [warm.run("--version", kill_after=took * (0.5 + number / 40)) for number in range(40)]
    assert {end.code for end in ends} <= {0, -signal.SIGKILL}
    assert warm.run("--version", kill_after=0).killed
    after = warm.run("no-such-command", kill_after=60)
    assert after.code == 2 and "no-such-command" in after.text
