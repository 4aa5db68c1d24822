"""How far a run is, counted from its events, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from crossinit_batch.events import (
    ArtifactDone,
    DenoiseStepDone,
    Event,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    RunFinished,
    RunInterrupted,
    RunStarted,
    ScoresDone,
    StepDone,
)

Clock = Callable[[], float]

_HALF_LIFE = 600.0
_PAUSE = 30.0
_AFTER_ARTIFACT = frozenset({"render", "evaluate"})


@dataclass(frozen=True)
class TimeLeft:
    """An estimate in seconds; `at_least` where some kind of work left has not been timed yet."""

    seconds: float
    at_least: bool


class Throughput:
    """Seconds a unit of work, over the last ten minutes or so of that work."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._work = 0.0
        self._events = 0.0

    def add(self, seconds: float, work: float) -> None:
        """Take in that `work` units needed `seconds`; a machine that slept in between does not count."""
        usual = self._seconds / self._events if self._events else None
        if usual is not None and seconds > max(_PAUSE, 20 * usual):
            return
        keep = 0.5 ** (seconds / _HALF_LIFE)
        self._seconds = keep * self._seconds + seconds
        self._work = keep * self._work + work
        self._events = keep * self._events + 1

    @property
    def seconds_per_unit(self) -> float | None:
        """The seconds, or None before anything was timed."""
        return self._seconds / self._work if self._work > 0 else None


class _Pictures:
    """One kind of work on pictures: how many are `left`, how many are done but not stored, and its throughput."""

    def __init__(self, left: int) -> None:
        self.left = float(left)
        self.ahead = 0.0
        self.throughput = Throughput()

    @property
    def remaining(self) -> float:
        """Pictures that still take time."""
        return max(self.left - self.ahead, 0.0)

    def advance(self, pictures: float) -> float:
        """Count work on pictures before they are stored; the work."""
        self.ahead += pictures
        return pictures

    def store(self, pictures: int) -> float:
        """Count pictures as stored; the work in them that was not told before, as storing adds seconds, no work."""
        self.left -= pictures
        told = min(self.ahead, pictures)
        self.ahead -= told
        return pictures - told


class ProgressTally:
    """Counts of a run; the time between two events of work goes to the kind of the later one.

    With several workers that is exact while they do the same kind of work, and while the work left is mixed
    as the work done was.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.start = RunStarted("", "", "", "", "", 0, 0, 0, 0, 0)
        self._begin()

    def _begin(self) -> None:
        self.started_at = self._clock()
        self.artifacts = self.start.artifacts_done
        self.images = self.start.images_done
        self.scores = self.start.scores_done
        self.failed = 0
        self.batches: dict[tuple[str, tuple[str, ...]], StepDone] = {}
        self.drawing: DenoiseStepDone | None = None
        self.finished = False
        self._lost_artifacts = 0
        self._steps_left = float(self.start.steps)
        self._step_throughput = Throughput()
        self._drawn = _Pictures(self.start.images - self.start.images_done)
        self._judged = _Pictures(self.start.scores - self.start.scores_done)
        self._last_work: float | None = None

    def take(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RunStarted():
                self.start = event
                self._begin()
            case StepDone():
                self._take_step(event)
            case DenoiseStepDone():
                self.drawing = event if event.step < event.steps else None
                self._worked(self._drawn.throughput, self._drawn.advance(event.images / max(event.steps, 1)))
            case ImagesDone():
                self.images += event.images
                self._worked(self._drawn.throughput, self._drawn.store(event.images))
            case ImagesJudged():
                self._worked(self._judged.throughput, self._judged.advance(event.images))
            case ScoresDone():
                self.scores += event.images
                self._worked(self._judged.throughput, self._judged.store(event.images))
            case ArtifactDone():
                self.artifacts += 1
                self._forget(event.method, event.identity)
            case JobFailed():
                self._take_failure(event)
            case RunFinished() | RunInterrupted():
                self.finished = True
                self.batches.clear()
                self.drawing = None

    @property
    def judged(self) -> int:
        """Pictures that are scored, those whose scores are about to be stored too."""
        return self.scores + round(self._judged.ahead)

    @property
    def elapsed(self) -> float:
        """Seconds since the run started."""
        return self._clock() - self.started_at

    @property
    def left(self) -> TimeLeft | None:
        """How long the rest will take, or None before anything was timed."""
        learned = self.artifacts + self._lost_artifacts >= self.start.artifacts
        steps = 0.0 if learned else max(self._steps_left, 0.0)
        parts = [(steps, self._step_throughput.seconds_per_unit)]
        parts += [(kind.remaining, kind.throughput.seconds_per_unit) for kind in (self._drawn, self._judged)]
        needed = [(work, throughput) for work, throughput in parts if work > 1e-6]
        if needed and all(throughput is None for _, throughput in needed):
            return None
        seconds = sum(work * throughput for work, throughput in needed if throughput is not None)
        return TimeLeft(seconds, any(throughput is None for _, throughput in needed))

    def _take_step(self, event: StepDone) -> None:
        for method, identities in list(self.batches):
            # A batch that lost an identity goes on under the names that are left.
            regrouped = identities != event.identities and not set(identities).isdisjoint(event.identities)
            if method == event.method and regrouped:
                del self.batches[method, identities]
        self.batches[event.method, event.identities] = event
        work = event.since * len(event.identities)
        self._steps_left -= work
        self._worked(self._step_throughput, work)

    def _take_failure(self, event: JobFailed) -> None:
        self.failed += 1
        jobs = self.start.artifacts or math.inf
        self._judged.left -= self.start.scores / jobs
        if event.stage == "evaluate":
            return
        self._drawn.left -= self.start.images / jobs
        if event.stage in _AFTER_ARTIFACT:
            return
        step = self._forget(event.method, event.identity)
        pending = self.start.artifacts - self.artifacts - self._lost_artifacts
        average = self._steps_left / pending if pending > 0 else 0.0
        self._steps_left -= average if step is None else step.steps - step.step
        self._lost_artifacts += 1

    def _forget(self, method: str, identity: str) -> StepDone | None:
        for key, step in self.batches.items():
            if key[0] == method and identity in key[1]:
                del self.batches[key]
                others = tuple(other for other in key[1] if other != identity)
                if others:
                    self.batches[method, others] = replace(step, identities=others)
                return step
        return None

    def _worked(self, throughput: Throughput, work: float) -> None:
        now = self._clock()
        if self._last_work is not None:
            throughput.add(now - self._last_work, work)
        self._last_work = now
