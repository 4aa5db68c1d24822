"""One run, from a manifest, an interrupted run's folder or imported embeddings to a finished output folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions, place
from crossinit_batch.errors import OutputError, RequestError
from crossinit_batch.events import Note, Reporter, Warned
from crossinit_batch.manifest.evaluation import default_evaluation
from crossinit_batch.manifest.load import Manifest
from crossinit_batch.model.device import resolve_dtype
from crossinit_batch.model.source import ModelSource, fetched_model
from crossinit_batch.plan.frozen import frozen_plan, planned_source
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.judges import fetched_judges
from crossinit_batch.plan.make import make_plan
from crossinit_batch.plan.plan import Plan
from crossinit_batch.runner.execution import Execution, RunResult
from crossinit_batch.runner.freeze import freeze
from crossinit_batch.runner.resolve import resolved, with_frozen_batches
from crossinit_batch.settings import EvaluationSettings, ModelSettings
from crossinit_batch.storage.publication import is_published, publishing
from crossinit_batch.storage.retry import retries_told
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.stopping import StopRequest


class PlanIt(Protocol):
    """Makes a plan without batches for a model in a precision."""

    def __call__(self, *, source: ModelSource, dtype: str) -> Plan: ...


def run_manifest(manifest: Manifest, report: Reporter, stop: StopRequest, options: RunOptions) -> RunResult:
    """Plan a manifest and do what is not done yet."""
    plan_it = partial(make_plan, manifest, judges=fetched_judges(manifest.evaluate, report))
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
    placement = place(options, os.environ)

    def decide(frozen: Plan | None) -> Inventory:
        asked = frozen.model.dtype if frozen and model.dtype == "auto" else model.dtype
        plan = plan_it(source=source, dtype=resolve_dtype(asked, placement.first_device))
        return resolved(take_inventory(store, plan), frozen, source, placement)

    with _own(store, placement.shard_name, report, stop, options):
        inventory = freeze(store, decide, placement.shard, report)
        if text is not None:
            _keep_manifest(store, text.encode())
        return Execution(store, source, placement, report, stop, options).run(inventory)


def _keep_manifest(store: Store, text: bytes) -> None:
    """Write the manifest into the output folder, where it is not there already."""
    if store.read(layout.MANIFEST) != text or not is_published(store, "manifest", layout.MANIFEST):
        with publishing(store, "manifest") as files:
            files.write(layout.MANIFEST, text)


def evaluate(
    store: Store, settings: EvaluationSettings | None, report: Reporter, stop: StopRequest, options: RunOptions
) -> RunResult:
    """Score the pictures that an output folder has, drawing none.

    By the judges of `settings`, else the plan's, else the demo model's own or CLIP alone.
    """
    planned = frozen_plan(store)
    if settings is None:
        before = planned.judges.settings if planned.judges else None
        settings = before or default_evaluation(planned.model.settings.id == "demo")
    judges = fetched_judges(settings, report)
    if judges is None:
        raise RequestError("there is no judge to evaluate by", "Name --recogniser with --detector, or --clip.")
    asked = planned.model_copy(update={"judges": judges})
    placement = place(options, os.environ)
    with _own(store, placement.shard_name, report, stop, options):
        inventory = freeze(store, partial(_as_it_is, store, asked), placement.shard, report)
        return Execution(store, None, placement, report, stop, options).run(inventory)


def resume(store: Store, report: Reporter, stop: StopRequest, options: RunOptions) -> RunResult:
    """Go on with the plan that is frozen in an output folder."""
    planned = frozen_plan(store)
    source = planned_source(store, planned)
    placement = place(options, os.environ)
    with _own(store, placement.shard_name, report, stop, options):
        inventory = freeze(store, lambda frozen: _as_it_is(store, frozen or planned, frozen), placement.shard, report)
        return Execution(store, source, placement, report, stop, options).run(inventory)


def _as_it_is(store: Store, plan: Plan, frozen: Plan | None) -> Inventory:
    """What is done of a plan that leaves nothing open."""
    return with_frozen_batches(take_inventory(store, plan), frozen)


@contextlib.contextmanager
def _own(store: Store, shard: str | None, report: Reporter, stop: StopRequest, options: RunOptions) -> Iterator[None]:
    """Create and lock the folder for this run, or its shard, and report where storage makes it wait."""
    with retries_told(report, lambda: bool(stop)):
        store.prepare()
        if not store.keeps_runs_apart:
            problem = f"{store} cannot be locked, as {store.no_locks}"
            if options.require_locks:
                raise OutputError(
                    problem,
                    "Name a folder on a disk, on AWS S3, Google Cloud Storage or Azure; or leave --require-locks out "
                    "and start one run at a time.",
                )
            report(Warned(f"{problem}: start one run at a time"))
        with store.locked(shard, tell=lambda message: report(Note(message))):
            yield
