"""Progress as plain text: one line an event for a pipe or a scheduler's log, or one JSON object an event."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.console.tally import Clock, ProgressTally
from crossinit_batch.events import (
    ArtifactDone,
    CheckpointSaved,
    DenoiseStepDone,
    Event,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    Note,
    RunFinished,
    RunInterrupted,
    RunStarted,
    ScoresDone,
    StepDone,
    StorageRetried,
    Warned,
)
from crossinit_batch.messages import count, duration, plural, printable, printable_lines, redact_url, redact_urls

Now = Callable[[], datetime]

LOUD = (JobFailed, Warned, RunFinished, RunInterrupted)
"""What even a quiet run says."""

_SECONDS_BETWEEN_STEPS = 10.0
_INDENT = " " * len("HH:MM:SS  ")


def utc_now() -> datetime:
    """The time, aware of its zone."""
    return datetime.now(UTC)


class Lines:
    """Time-stamped plain lines; steps at most one line every ten seconds, everything else at once."""

    def __init__(self, stream: SafeStream, quiet: bool, clock: Clock = time.monotonic, now: Now = utc_now) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._now = now
        self._tally = ProgressTally(clock)
        self._spoke_at = clock()

    def take(self, event: Event) -> None:
        """Count the event and write what it is worth."""
        self._tally.take(event)
        if self._quiet and not isinstance(event, LOUD):
            return
        if isinstance(event, StepDone | DenoiseStepDone | ImagesJudged):
            if self._clock() - self._spoke_at < _SECONDS_BETWEEN_STEPS:
                return
            self._spoke_at = self._clock()
        text = f"\n{_INDENT}".join(sentences(event, self._tally))
        self._stream.write(f"{self._now().astimezone():%H:%M:%S}  {text}\n")
        self._stream.flush()


class JsonLines:
    """One JSON object a line, every event, with the time in UTC."""

    def __init__(self, stream: SafeStream, quiet: bool, now: Now = utc_now) -> None:
        self._stream = stream
        self._quiet = quiet
        self._now = now

    def take(self, event: Event) -> None:
        """Write the event; a number that is not finite becomes null, since JSON has no NaN."""
        if self._quiet and not isinstance(event, LOUD):
            return
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {key: _plain(key, value) for key, value in event.as_dict().items()}
        self._stream.write(json.dumps({"time": moment, **values}, allow_nan=False) + "\n")
        self._stream.flush()


def sentences(event: Event, tally: ProgressTally) -> list[str]:
    """The event in words, one or several lines, safe to print; `tally` has counted it already."""
    match event:
        case RunStarted():
            return _started(event)
        case StepDone(step=step, steps=steps):
            loss = f"{event.loss:.4f}"
            who = people(event.identities)
            return [f"{printable(event.method)}: {who}: step {step}/{steps}, loss {loss}; {_overall(tally)}"]
        case DenoiseStepDone(step=step, steps=steps):
            pictures = count(event.images, "image")
            return [f"{printable(event.method)}: drawing {pictures}, step {step}/{steps}; {_overall(tally)}"]
        case ArtifactDone():
            took = f"{event.seconds:.1f} s" if event.seconds < 10 else duration(event.seconds)
            done = f"{event.kind} done in {took}"
            return [f"{printable(event.method)}: {printable(event.identity)}: {done} ({_artifacts(tally)})"]
        case ImagesDone():
            done = f"{count(event.images, 'image')} done ({_images(tally)})"
            return [f"{printable(event.method)}: {printable(event.identity)}: {done}"]
        case ImagesJudged():
            judged = f"{count(event.images, 'image')} judged"
            return [f"{printable(event.method)}: {printable(event.identity)}: {judged}; {_overall(tally)}"]
        case ScoresDone():
            done = f"{count(event.images, 'image')} scored ({_scores(tally)})"
            return [f"{printable(event.method)}: {printable(event.identity)}: {done}"]
        case CheckpointSaved():
            return [f"{printable(event.method)}: {people(event.identities)}: checkpoint at step {event.step}"]
        case JobFailed():
            where = f"failed: {printable(event.method)}: {printable(event.identity)}: {printable(event.stage)}"
            return _labelled(where, f"{event.reason}\n{event.hint}")
        case StorageRetried(attempt=attempt, attempts=attempts):
            again = f"attempt {attempt} of {attempts} in {event.seconds:.1f} s"
            return [f"storage: {place(event.place)}: {printable(event.reason)}; {again}"]
        case Warned():
            return _labelled("warning", event.message)
        case Note():
            return printable_lines(event.message) or [""]
        case RunFinished():
            return [f"finished in {duration(event.seconds)}: {_outcome(event)}; {place(event.output)}"]
        case RunInterrupted():
            resume = f"go on with: crossinit resume {shlex.quote(place(event.output))}"
            return [*_labelled(f"stopped by {printable(event.signal)}", event.saved), resume]


def people(identities: tuple[str, ...], most: int = 3) -> str:
    """The first identities of a batch and how many more there are, safe to print."""
    names = ", ".join(printable(identity) for identity in identities[:most])
    return f"{names} +{len(identities) - most}" if len(identities) > most else names


def place(output: str) -> str:
    """A path or URL, safe to print."""
    return printable(redact_url(output))


def time_left(tally: ProgressTally) -> str:
    """The time left in words, empty while nothing is known."""
    left = tally.left
    if left is None:
        return ""
    return f"{'at least ' if left.at_least else ''}{duration(left.seconds)} left"


def _started(event: RunStarted) -> list[str]:
    todo = []
    if event.artifacts or not event.scores:
        todo += [_todo(event.artifacts - event.artifacts_done, event.artifacts, event.kind)]
    todo += [_todo(event.images - event.images_done, event.images, "image")] if event.images else []
    todo += [_todo(event.scores - event.scores_done, event.scores, "image") + " to judge"] if event.scores else []
    todo += [f"{count(event.steps, 'optimisation step')} to go"] if event.steps else []
    return [
        f"{printable(event.name)}: {', '.join(todo)}",
        f"model {place(event.model)} on {printable(event.device)} in {printable(event.dtype)}",
        f"output {place(event.output)}",
    ]


def _todo(left: int, total: int, noun: str) -> str:
    return count(total, noun) if left == total else f"{left} of {count(total, noun)}"


def _labelled(label: str, text: str) -> list[str]:
    first, *others = printable_lines(text) or [""]
    return [f"{label}: {first}" if first else label, *others]


def _outcome(event: RunFinished) -> str:
    made = event.artifacts or event.images or not event.scores
    parts = [count(event.artifacts, event.kind), count(event.images, "image")] if made else []
    parts += [f"{count(event.scores, 'image')} scored"] if event.scores else []
    parts += [f"{event.failed} failed"] if event.failed else []
    parts += [f"{event.skipped} already done"] if event.skipped else []
    return ", ".join(parts)


def _artifacts(tally: ProgressTally) -> str:
    return f"{tally.artifacts}/{tally.start.artifacts} {plural(tally.start.kind)}"


def _images(tally: ProgressTally) -> str:
    return f"{tally.images}/{tally.start.images} images"


def _scores(tally: ProgressTally) -> str:
    return f"{tally.judged}/{tally.start.scores} scores"


def _overall(tally: ProgressTally) -> str:
    parts = [_artifacts(tally)] if tally.start.artifacts else []
    parts += [_images(tally)] if tally.start.images else []
    parts += [_scores(tally)] if tally.start.scores else []
    parts += [f"{tally.failed} failed"] if tally.failed else []
    return ", ".join([*parts, time_left(tally)]).removesuffix(", ")


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(key, item) for item in value]
    if not isinstance(value, str):
        return value
    if key in {"output", "model", "place"}:
        value = redact_url(value)
    elif key not in {"event", "identity", "identities"}:
        value = redact_urls(value)
    # File names may hold bytes that are no UTF-8, and so lone surrogates that strict JSON readers refuse.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
