from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from crossinit_batch.stopping import StopRequest


def test_nothing_asks_to_stop_at_first() -> None:
    assert not StopRequest()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    with stop.listening():
        os.kill(os.getpid(), number)
        assert stop and stop.signal is number
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="boom"), StopRequest().listening():
        raise RuntimeError("boom")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
)
def test_the_second_signal_ends_the_process_at_once(first: signal.Signals, second: signal.Signals) -> None:
    code = (
        "import os, time\n"
        "from crossinit_batch.stopping import StopRequest\n"
        "stop = StopRequest()\n"
        "with stop.listening():\n"
        f"    os.kill(os.getpid(), {int(first)})\n"
        "    assert stop\n"
        f"    os.kill(os.getpid(), {int(second)})\n"
        "    time.sleep(30)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=20, capture_output=True)
    assert ended.returncode == 128 + second
    assert ended.stderr == b""
