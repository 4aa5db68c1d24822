"""Progress as live bars at the foot of a terminal, with everything that matters printed above them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crossinit_batch.console.lines import people, sentences
from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.console.tally import Clock, Tally, duration
from crossinit_batch.events import (
    DenoiseStepDone,
    Event,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    Note,
    RunFinished,
    RunInterrupted,
    RunStarted,
    StepDone,
    Warned,
)
from crossinit_batch.messages import printable

_STYLES: dict[type, str] = {
    JobFailed: "red",
    Warned: "yellow",
    RunInterrupted: "yellow",
    RunFinished: "green",
}
_PRINTED = (RunStarted, JobFailed, Warned, Note)
_MOST_BATCHES = 8
_Row = tuple[Text, RenderableType, Text, Text]


class Bars:
    """Live bars from __enter__ to the end of the run; `take` may be called from any thread."""

    def __init__(self, stream: SafeStream, clock: Clock = time.monotonic) -> None:
        self._lock = threading.RLock()
        self._tally = Tally(clock)
        self._clock = clock
        self._counted_at = clock()
        self._console = Console(
            file=cast("IO[str]", stream), force_terminal=True, force_interactive=True, highlight=False
        )
        # Another stream of the process may go to a file; only what would garble the bars is led above them.
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=4,
            redirect_stdout=_is_terminal(sys.stdout),
            redirect_stderr=_is_terminal(sys.stderr),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def take(self, event: Event) -> None:
        """Count the event, and print it above the bars if it should stay."""
        with self._lock:
            self._tally.take(event)
            if isinstance(event, StepDone | DenoiseStepDone | ImagesDone | ImagesJudged):
                self._counted_at = self._clock()
            lines = sentences(event, self._tally) if isinstance(event, (*_PRINTED, *_STYLES)) else []
        if self._tally.finished:
            self._live.stop()
        elif isinstance(event, RunStarted):
            self._live.start()
        if lines:
            self._print(lines, _STYLES.get(type(event), ""))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The bars as they are now, as wide as the terminal."""
        with self._lock:
            if self._tally.start.name == "":
                return
            rows = list(self._rows(options.max_width))
            foot = "" if self._tally.finished else self._foot()
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(options.max_width // 4, 10))
        table.add_column(ratio=1, min_width=6)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*row)
        yield table
        if foot:
            yield Text(foot, style="dim", no_wrap=True, overflow="ellipsis")

    def _rows(self, width: int) -> Iterator[_Row]:
        tally, start = self._tally, self._tally.start
        failed = Text(f"{tally.failed} failed" if tally.failed else "", style="red")
        totals = (
            ("embeddings", tally.embeddings, start.embeddings),
            ("images", tally.images, start.images),
            ("scores", tally.judged, start.scores),
        )
        for label, done, total in totals:
            if total:
                yield _row(label, done, total, failed)
                failed = Text("")
        batches = list(tally.batches.values())
        for step in batches[:_MOST_BATCHES]:
            yield _row(printable(step.method), step.step, step.steps, Text(_detail(step, width)))
        if len(batches) > _MOST_BATCHES:
            more = f"and {len(batches) - _MOST_BATCHES} more batches"
            yield Text(more, style="dim"), Text(""), Text(""), Text("")
        if tally.drawing is not None:
            detail = f"{tally.drawing.images} at once" if width >= 60 else ""
            yield _row("drawing", tally.drawing.step, tally.drawing.steps, Text(detail))

    def _foot(self) -> str:
        left = self._tally.left
        text = f"{duration(self._tally.elapsed)} elapsed"
        if left is None:
            return text
        # Between two steps the estimate counts down, so that a slow step does not look like a stuck clock.
        seconds = left.seconds - (self._clock() - self._counted_at)
        return f"{text}, {'at least ' if left.at_least else 'about '}{duration(seconds)} left"

    def _print(self, lines: list[str], style: str) -> None:
        width = max(self._console.width - 2, 10)
        wrapped = [
            part.plain.rstrip() for line in lines for part in Text(line).wrap(self._console, width, overflow="fold")
        ]
        self._console.print(Text("\n  ".join(wrapped), style=style))


def _row(label: str, done: int, total: int, detail: Text) -> _Row:
    bar = ProgressBar(total=max(total, 1), completed=min(done, max(total, 1)))
    return Text(label, style="bold"), bar, Text(f"{done}/{total}"), detail


def _detail(step: StepDone, width: int) -> str:
    if width < 60:
        return f"{step.loss:.4f}"
    loss = f"loss {step.loss:.4f}"
    if width < 80:
        return loss
    names = people(step.identities, 2)
    if len(names) > width // 3:
        names = people(step.identities, 1)
    return f"{loss}  {names if len(names) <= width // 3 else names[: width // 3 - 1] + '…'}"


def _is_terminal(stream: object) -> bool:
    return SafeStream(cast("TextIO", stream)).isatty()
