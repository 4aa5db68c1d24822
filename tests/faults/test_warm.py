"""The warm process that other tests of this folder run and kill commands in."""

from __future__ import annotations

import signal
import time

from faults.warm import Warm


def test_a_kill_at_the_moment_of_the_end_is_answered_by_one_of_both(warm: Warm) -> None:
    began = time.monotonic()
    assert warm.run("--version").code == 0
    took = time.monotonic() - began
    ends = [warm.run("--version", kill_after=took * (0.5 + number / 40)) for number in range(40)]
    assert {end.code for end in ends} <= {0, -signal.SIGKILL}
    assert warm.run("--version", kill_after=0).killed
    after = warm.run("no-such-command", kill_after=60)
    assert after.code == 2 and "no-such-command" in after.text
