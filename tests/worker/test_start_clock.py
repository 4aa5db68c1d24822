"""When a process began is told once."""

from __future__ import annotations

import time

from crossinit_batch.worker import start_clock


def test_a_beginning_is_taken_once() -> None:
    start_clock.start()
    taken = start_clock.take()
    assert taken is not None and taken.wall <= time.monotonic() and taken.processor <= time.process_time()
    assert start_clock.take() is None
