from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from crossinit_batch.worker.stopping import StopRequest


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
        "from crossinit_batch.worker import stopping\n"
        "stop = stopping.StopRequest()\n"
        "with stop.listening():\n"
        f"    os.kill(os.getpid(), {int(first)})\n"
        "    assert stop\n"
        "    time.sleep(stopping.TOGETHER_SECONDS + 0.2)\n"
        f"    os.kill(os.getpid(), {int(second)})\n"
        "    time.sleep(30)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=20, capture_output=True)
    assert ended.returncode == 128 + second
    assert ended.stderr == b""


@pytest.mark.parametrize("call", ["time.sleep(0.5)", "hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000)"])
def test_signals_that_come_together_are_one(call: str) -> None:
    """As a scheduler sends them, to the process group and to the process: nothing of the saving is cut off."""
    code = (
        "import hashlib, os, signal, sys, threading, time\n"
        "from crossinit_batch.worker.stopping import StopRequest\n"
        "stop = StopRequest()\n"
        "with stop.listening():\n"
        "    for wait, number in ((0.1, signal.SIGTERM), (0.2, signal.SIGTERM), (0.3, signal.SIGINT)):\n"
        "        threading.Timer(wait, os.kill, (os.getpid(), number)).start()\n"
        f"    {call}\n"
        "    time.sleep(0.5)\n"
        "    print('saved', stop.signal.name)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "saved SIGTERM\n", "")


def test_a_process_that_cannot_stop_in_time_says_so_and_ends() -> None:
    """In the middle of one long call, where Python's own handlers would wait for its end."""
    code = (
        "import hashlib, os, signal, threading\n"
        "from crossinit_batch.worker.stopping import StopRequest\n"
        "stop = StopRequest()\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "with stop.listening(lambda: print('gave up', stop.signal.name, flush=True), 0.3):\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=20, capture_output=True, text=True)
    assert ended.returncode == 75, ended.stderr
    assert ended.stdout == "gave up SIGTERM\n"


def test_nothing_happens_to_a_process_that_stops_in_time() -> None:
    stop = StopRequest()
    with stop.listening(lambda: pytest.fail("gave up"), 0.2):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    stop.ask(signal.SIGINT)
    assert stop.signal is signal.SIGTERM
