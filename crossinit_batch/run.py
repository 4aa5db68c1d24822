"""One run, from a manifest, a cut run's folder or given embeddings to a finished output folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Protocol

from crossinit_batch import layout
from crossinit_batch.context import RunContext, machine_facts
from crossinit_batch.device import choose_device, resolve_dtype
from crossinit_batch.engines.local import run_local
from crossinit_batch.errors import CrossinitError, Interrupted, OutputLost, RequestError
from crossinit_batch.evaluation.judges import check_judges, planned_judges
from crossinit_batch.evaluation_entry import default_evaluation
from crossinit_batch.events import (
    EmbeddingDone,
    Event,
    ImagesDone,
    JobFailed,
    Note,
    Reporter,
    RunFinished,
    RunInterrupted,
    RunStarted,
    ScoresDone,
    Warned,
)
from crossinit_batch.inventory import Inventory, read_failures, take_inventory
from crossinit_batch.manifest import Manifest
from crossinit_batch.model_source import ModelSource, fetched_model
from crossinit_batch.plan import (
    DamagedPlan,
    Plan,
    PlannedJudges,
    frozen_plan,
    make_plan,
    read_plan,
    with_batches,
    write_plan,
)
from crossinit_batch.planned_model import planned_source
from crossinit_batch.settings import EvaluationSettings, ModelSettings
from crossinit_batch.showcase import write_gallery, write_report
from crossinit_batch.stopping import StopRequest
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.retry import retries_told
from crossinit_batch.store import Store


class PlanIt(Protocol):
    """Makes a plan without batches for a model in a precision."""

    def __call__(self, *, source: ModelSource, dtype: str) -> Plan: ...


@dataclass(frozen=True)
class RunOptions:
    """How this run is done; nothing here changes a result."""

    device: str | None = None
    allow_pickle: bool = False


@dataclass(frozen=True)
class RunResult:
    """How a run ended: the folder as it stands, and what failed."""

    store: Store
    inventory: Inventory
    failures: tuple[JobFailed, ...]
    scores_only: bool = False

    @property
    def exit_code(self) -> int:
        return 0 if (self.scores_only or self.inventory.finished) and not self.failures else 1


@dataclass
class _Tally:
    """Passes events on and remembers what failed and how much was made."""

    report: Reporter
    failures: list[JobFailed] = field(default_factory=list)
    embeddings: int = 0
    images: int = 0
    scores: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case JobFailed():
                self.failures.append(event)
            case EmbeddingDone():
                self.embeddings += 1
            case ImagesDone():
                self.images += event.images
            case ScoresDone():
                self.scores += event.images
        self.report(event)


def run_manifest(manifest: Manifest, report: Reporter, stop: StopRequest, options: RunOptions) -> RunResult:
    """Plan a manifest and do what is not done yet."""
    plan_it = partial(make_plan, manifest, judges=_judges(manifest.evaluate, report))
    return run_plan(Store(manifest.output), manifest.model, plan_it, report, stop, options, manifest.text)


def run_plan(
    store: Store,
    model: ModelSettings,
    plan_it: PlanIt,
    report: Reporter,
    stop: StopRequest,
    options: RunOptions,
    text: str | None = None,
) -> RunResult:
    """Make a plan with `plan_it`, freeze it in the folder, and do what is not done yet.

    `text` is the manifest as the user wrote it. A precision left to us is the one that an earlier run in the same
    folder used, so that results of two precisions do not mix.
    """
    source = fetched_model(model)
    device = choose_device(options.device)
    with _own(store, report, stop):
        frozen = _earlier_plan(store, report)
        asked = frozen.model.dtype if frozen and model.dtype == "auto" else model.dtype
        plan = plan_it(source=source, dtype=resolve_dtype(asked, device))
        if text is not None:
            store.write(layout.MANIFEST, text.encode())
        return _execute(store, plan, frozen, source, str(device), report, stop, options)


def _judges(settings: EvaluationSettings | None, report: Reporter) -> PlannedJudges | None:
    """What the judges are; a CLIP model that is not here is fetched, never without a word."""
    judges = planned_judges(settings, fetch=False)
    if judges is not None and judges.clip == "unknown" and judges.settings.prompt is not None:
        report(Note(f"fetching the prompt judge {judges.settings.prompt.model} from the hub"))
        judges = planned_judges(settings)
    if judges is not None:
        check_judges(judges)
    return judges


def evaluate(
    store: Store, settings: EvaluationSettings | None, report: Reporter, stop: StopRequest, options: RunOptions
) -> RunResult:
    """Score the pictures that an output folder has, drawing none.

    By the judges that are given, else the plan's, else the demo model's own or CLIP alone.
    """
    plan = frozen_plan(store)
    if settings is None:
        planned = plan.judges.settings if plan.judges else None
        settings = planned or default_evaluation(plan.model.settings.id == "demo")
    judges = _judges(settings, report)
    if judges is None:
        raise RequestError("there is no judge to evaluate by", "Name --recogniser with --detector, or --clip.")
    device = choose_device(options.device)
    with _own(store, report, stop):
        asked = plan.model_copy(update={"judges": judges})
        return _execute(store, asked, plan, None, str(device), report, stop, options)


def resume(store: Store, report: Reporter, stop: StopRequest, options: RunOptions) -> RunResult:
    """Go on with the plan that is frozen in an output folder."""
    plan = frozen_plan(store)
    source = planned_source(store, plan)
    device = choose_device(options.device)
    with _own(store, report, stop):
        return _execute(store, plan, plan, source, str(device), report, stop, options)


@contextlib.contextmanager
def _own(store: Store, report: Reporter, stop: StopRequest) -> Iterator[None]:
    """The folder made and held for this run, and whoever watches told where its storage makes it wait."""
    with retries_told(report, lambda: bool(stop)):
        store.prepare()
        if not store.keeps_runs_apart:
            report(
                Warned(f"{store} cannot be locked, as its storage overwrites what is there: start one run at a time")
            )
        with store.locked(tell=lambda message: report(Note(message))):
            yield


def _earlier_plan(store: Store, report: Reporter) -> Plan | None:
    """The plan of an earlier run in this folder; a damaged one is as none, since receipts say what is done."""
    try:
        return read_plan(store)
    except DamagedPlan as error:
        report(Warned(f"{error.message}; planning anew"))
        return None


def _execute(
    store: Store,
    plan: Plan,
    frozen: Plan | None,
    source: ModelSource | None,
    device: str,
    report: Reporter,
    stop: StopRequest,
    options: RunOptions,
) -> RunResult:
    """Freeze the plan, do its batches, and write gallery, report and failures; without a `source` only score."""
    began = time.monotonic()
    swept = store.sweep()
    inventory = take_inventory(store, plan)
    plan = with_batches(plan, inventory.pending, frozen)
    write_plan(store, plan)
    _drop_checkpoints(store, plan, inventory)
    tally = _Tally(report)
    tally(_started(store, plan, inventory, device))
    if swept:
        tally(Note(f"removed {swept} temporary files of a run that was killed"))
    facts = machine_facts(device, plan.model.dtype)
    context = RunContext(plan, store, inventory, tally, stop, options.allow_pickle, facts, source is None)
    try:
        with stop.listening():
            counters = run_local(context, source, device)
    except Interrupted as interrupted:
        with _closing(store):
            _write_failures(store, tally.failures)
        signal = stop.signal.name if stop.signal else ""
        tally(RunInterrupted(store.url, signal, interrupted.message))
        raise
    except OutputLost:
        with contextlib.suppress(OSError, CrossinitError):
            _write_failures(store, tally.failures)
        raise
    after = take_inventory(store, plan)
    # Where a whole batch failed, some of its jobs may have been done before.
    before = _earlier_failures(store, after) if source is None else []
    failures = before + [
        failure for failure in tally.failures if not after.is_done(after.states[failure.method, failure.identity])
    ]
    seconds = time.monotonic() - began
    work = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in asdict(counters).items() if value)
    last = f"{seconds:.0f} s on {device}: {work or 'nothing to do'}"
    with _closing(store):
        _write_failures(store, failures)
        write_gallery(store, after, failures)
        write_report(store, after, failures, {"Last run": last})
    skipped = sum(state.has_embedding for state in inventory.states.values())
    tally(RunFinished(store.url, tally.embeddings, tally.images, len(failures), skipped, seconds))
    return RunResult(store, after, tuple(failures), source is None)


@contextlib.contextmanager
def _closing(store: Store) -> Iterator[None]:
    """Say in a sentence that the last files of a run could not be written."""
    try:
        yield
    except OSError as error:
        raise CrossinitError(
            f"{store}: the run's last files cannot be written: {reason_of(error)}",
            "Mend that, then `crossinit resume`; what is done is kept.",
        ) from None


def _drop_checkpoints(store: Store, plan: Plan, inventory: Inventory) -> None:
    """Remove the checkpoints of batches that are learned already, or that only an earlier plan had."""
    states = inventory.states
    wanted = {
        layout.checkpoint(batch.digest)
        for batch in plan.batches
        if not all(states[batch.method, identity].has_embedding for identity in batch.identities)
    }
    for name in inventory.checkpoints:
        if name not in wanted:
            store.remove(name)


def _started(store: Store, plan: Plan, inventory: Inventory, device: str) -> RunStarted:
    states = inventory.states.values()
    steps = sum(
        plan.method(state.job.method).learned.steps
        for state in states
        if not state.has_embedding and state.job.source is None
    )
    return RunStarted(
        name=plan.name,
        output=store.url,
        model=plan.model.label,
        device=device,
        dtype=plan.model.dtype,
        embeddings=len(plan.jobs),
        embeddings_done=sum(state.has_embedding for state in states),
        images=len(plan.jobs) * plan.pictures_a_job,
        images_done=sum(len(state.pictures) for state in states),
        steps=steps,
    )


def _earlier_failures(store: Store, inventory: Inventory) -> list[JobFailed]:
    """What a run before failed to learn or draw and is not there yet: scoring alone does not mend it."""
    found = [failure for failure in read_failures(store) if failure.stage != "evaluate"]
    states = [inventory.states.get((failure.method, failure.identity)) for failure in found]
    return [
        failure
        for failure, state in zip(found, states, strict=True)
        if state is not None and not inventory.is_drawn(state)
    ]


def _write_failures(store: Store, failures: list[JobFailed]) -> None:
    """Write failures.json, or remove it where nothing failed."""
    if not failures:
        store.remove(layout.FAILURES)
        return
    store.write_json(layout.FAILURES, {"failures": [asdict(failure) for failure in failures]})
