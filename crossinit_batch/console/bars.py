"""Progress as live bars at the foot of a terminal, with everything that matters printed above them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import IO, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from crossinit_batch.console.lines import people, sentences
from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.console.tally import Clock, ProgressTally
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
from crossinit_batch.messages import duration, plural, printable

# The events that are printed above the bars, and in which style.
_STYLES: dict[type, str] = {
    RunStarted: "",
    Note: "",
    JobFailed: "red",
    Warned: "yellow",
    RunInterrupted: "yellow",
    RunFinished: "green",
}
_MOST_BATCHES = 8


class Bars(Progress):
    """Live bars from __enter__ to the end of the run; `take` may be called from any thread."""

    def __init__(self, stream: SafeStream, clock: Clock = time.monotonic) -> None:
        self._tally = ProgressTally(clock)
        self._counted_at = clock()
        self._label = Column(no_wrap=True, overflow="ellipsis")
        # Another stream of the process may go to a file; only what would garble the bars is redirected above them.
        super().__init__(
            TextColumn("{task.description}", style="bold", markup=False, table_column=self._label),
            BarColumn(None, table_column=Column(ratio=1, min_width=6)),
            TextColumn("{task.completed}/{task.total}", justify="right"),
            _DetailColumn(Column(no_wrap=True, overflow="ellipsis")),
            console=Console(file=cast("IO[str]", stream), force_terminal=True, force_interactive=True, highlight=False),
            refresh_per_second=4,
            redirect_stdout=_is_terminal(sys.stdout),
            redirect_stderr=_is_terminal(sys.stderr),
            get_time=clock,
            expand=True,
        )

    def take(self, event: Event) -> None:
        """Count the event, and print it above the bars if it should stay."""
        with self._lock:
            self._tally.take(event)
            if isinstance(event, StepDone | DenoiseStepDone | ImagesDone | ImagesJudged):
                self._counted_at = self.get_time()
            lines = sentences(event, self._tally) if type(event) in _STYLES else []
        if self._tally.finished:
            self.stop()
        elif isinstance(event, RunStarted):
            self.start()
        if lines:
            self._print_above(lines, _STYLES[type(event)])

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars as they are now, as wide as the terminal, and how long the run takes."""
        with self._lock:
            if self._tally.start.name == "":
                return
            self._label.max_width = max(self.console.width // 4, 10)
            yield self.make_tasks_table(self._rows())
            more = len(self._tally.batches) - _MOST_BATCHES
            foot = [f"and {more} more batches"] if more > 0 else []
            foot += [] if self._tally.finished else [self._time()]
        for line in foot:
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")

    def _rows(self) -> Iterator[Task]:
        tally, start, width = self._tally, self._tally.start, self.console.width
        failed = Text(f"{tally.failed} failed" if tally.failed else "", style="red")
        totals = (
            (plural(start.kind), tally.artifacts, start.artifacts),
            ("images", tally.images, start.images),
            ("scores", tally.judged, start.scores),
        )
        for label, done, total in totals:
            if total:
                yield self._row(label, done, total, failed)
                failed = Text()
        for step in list(tally.batches.values())[:_MOST_BATCHES]:
            yield self._row(printable(step.method), step.step, step.steps, Text(_detail(step, width)))
        if tally.drawing is not None:
            detail = f"{tally.drawing.images} at once" if width >= 60 else ""
            yield self._row("drawing", tally.drawing.step, tally.drawing.steps, Text(detail))

    def _row(self, label: str, done: int, total: int, detail: Text) -> Task:
        row = Task(TaskID(0), label, total, done, self.get_time, fields={"detail": detail})
        row.start_time = self.get_time()  # the bar of a task that has not started pulses
        return row

    def _time(self) -> str:
        left = self._tally.left
        text = f"{duration(self._tally.elapsed)} elapsed"
        if left is None:
            return text
        # Between two steps the estimate counts down, so that a slow step does not look like a stuck clock.
        seconds = left.seconds - (self.get_time() - self._counted_at)
        return f"{text}, {'at least ' if left.at_least else 'about '}{duration(seconds)} left"

    def _print_above(self, lines: list[str], style: str) -> None:
        width = max(self.console.width - 2, 10)
        wrapped = [
            part.plain.rstrip() for line in lines for part in Text(line).wrap(self.console, width, overflow="fold")
        ]
        self.console.print(Text("\n  ".join(wrapped), style=style))


class _DetailColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        detail: Text = task.fields["detail"]
        return detail


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
