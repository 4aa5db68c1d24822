"""Stopping on request: the first signal asks, a later one ends the process at once, and so does time running out."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

MOST_SECONDS = 9.5
"""From the first signal to the end of the process: schedulers that take a machine back give little more."""
TOGETHER_SECONDS = 1.0
"""Signals no further from the first are one request: schedulers tell the process group and then each process."""


class StopRequest:
    """Whether a signal has asked the run to stop; workers check it after every step."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, number: int) -> None:
        """Ask to stop, as this signal would; asking again changes nothing."""
        if self.signal is None:
            self.signal = signal.Signals(number)

    @contextlib.contextmanager
    def listening(self, give_up: Callable[[], None] = lambda: None, seconds: float = MOST_SECONDS) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while open, and restore their handlers afterwards.

        Where the process has not ended `seconds` after the first signal, `give_up` may report it, and it ends with 75.
        A thread watches, since Python's own handlers wait for a long call, such as a step back through the U-Net.
        It alone counts signals and their times.
        """
        numbers = (signal.SIGINT, signal.SIGTERM)
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        watcher = threading.Thread(target=self._watch, args=(ours, give_up, seconds), daemon=True)
        before = {number: signal.signal(number, self._receive) for number in numbers}
        wakeup = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(theirs)
            watcher.join()
            os.close(ours)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        """Python calls this in the main thread, maybe long after the signal; when it came only the watcher knows."""
        self.ask(number)

    def _watch(self, pipe: int, give_up: Callable[[], None], seconds: float) -> None:
        """Read the numbers of signals as they come; the pipe's other end closes when nobody listens any more."""
        first = os.read(pipe, 1)
        if not first:
            return
        began = time.monotonic()
        self.ask(first[0])
        while select.select([pipe], [], [], max(began + seconds - time.monotonic(), 0))[0]:
            another = os.read(pipe, 1)
            if not another:
                return
            if time.monotonic() - began > TOGETHER_SECONDS:
                os._exit(128 + another[0])
        try:
            give_up()
        finally:
            os._exit(75)
