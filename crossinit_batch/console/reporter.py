"""How a run is reported: live bars on a terminal, plain lines in a log, JSON for programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from crossinit_batch.console.lines import JsonLines, Lines
from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.events import Event, Reporter


@contextmanager
def reporter_for(stream: TextIO | None, *, json: bool = False, quiet: bool = False) -> Iterator[Reporter]:
    """A reporter that writes to the stream in the form that suits it; errors of the stream are never raised.

    A terminal gets live bars, unless `quiet` or TERM=dumb; anything else gets plain lines; `json` gives one
    object a line on any stream. `quiet` leaves only warnings, failures and the end.
    """
    safe = SafeStream(stream)
    if json:
        yield _locked(JsonLines(safe, quiet))
    elif quiet or not safe.is_live:
        yield _locked(Lines(safe, quiet))
    else:
        from crossinit_batch.console.bars import Bars  # rich's live display is slow to import

        with Bars(safe) as bars:
            yield bars.take


def _locked(target: Lines | JsonLines) -> Reporter:
    lock = threading.RLock()

    def report(event: Event) -> None:
        with lock:
            target.take(event)

    return report
