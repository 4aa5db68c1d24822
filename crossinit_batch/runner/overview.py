"""What a run would do, how far it is, and whether its files are valid: the answers of `plan`, `status` and `verify`."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from crossinit_batch import layout
from crossinit_batch.manifest.load import Manifest
from crossinit_batch.messages import count, plural, printable
from crossinit_batch.model.source import locate_model
from crossinit_batch.plan.batches import idle_workers, with_batches
from crossinit_batch.plan.estimate import (
    TimeEstimate,
    Work,
    expected_of,
    learning_rates,
    likely_device,
    likely_workers,
    work_left,
)
from crossinit_batch.plan.frozen import DamagedPlan, frozen_plan, read_plan
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.judges import planned_judges
from crossinit_batch.plan.make import make_plan
from crossinit_batch.plan.schedule import batches_of
from crossinit_batch.plan.shard import Shard
from crossinit_batch.plan.task import JobState
from crossinit_batch.report.scores.provenance import judges_of
from crossinit_batch.report.verify import Verification
from crossinit_batch.storage.store import Store

_MOST_LISTED = 12


@dataclass(frozen=True)
class Overview:
    """A manifest's plan against its output folder; `expected` is None where the model is not on this machine.

    `hint` says how workers that would have nothing to do could help.
    """

    inventory: Inventory
    expected: TimeEstimate | None
    hint: str = ""


def overview_of(
    manifest: Manifest, devices: str | None = None, workers: int | None = None, shard: Shard | None = None
) -> Overview:
    """What a manifest would do; writes nothing and loads no model.

    And how long it, or a shard of it, would take with these options.
    """
    source = locate_model(manifest.model, fetch=False)
    store = Store(manifest.output)
    try:
        frozen = read_plan(store)
    except DamagedPlan:
        frozen = None
    dtype = frozen.model.dtype if frozen and manifest.model.dtype == "auto" else manifest.model.dtype
    judges = planned_judges(manifest.evaluate, fetch=False)
    plan = make_plan(manifest, source, dtype, judges)
    inventory = take_inventory(store, plan)
    if source is None:
        return Overview(inventory, None)
    batches = batches_of(with_batches(plan, inventory.pending, frozen), shard)
    device, staff = likely_device(devices, plan.compute.threads), likely_workers(devices, workers)
    expected = expected_of(inventory, batches, source.folder, device, staff)
    return Overview(inventory, expected, idle_workers(plan, inventory.pending_of(batches), staff.count))


def print_overview(overview: Overview, stream: TextIO, *, as_json: bool) -> None:
    """Print what `run` would do."""
    inventory, expected = overview.inventory, overview.expected
    plan, work = inventory.plan, work_left(inventory)
    problems = [
        f"{photograph.path} {photograph.problem}"
        for identity in plan.identities
        for photograph in identity.photographs
        if photograph.problem
    ]
    if as_json:
        facts = {
            "name": plan.name,
            "model": {"id": plan.model.label, "fingerprint": plan.model.fingerprint, "here": expected is not None},
            "methods": _counts(inventory),
            "work": _work_facts(inventory, work),
            "estimate": _estimate_facts(expected) if expected else None,
            "hint": overview.hint,
            "approximations": plan.render.approximations,
            "stale": {"/".join(key): state.why for key, state in _stale(inventory).items()},
            "orphans": inventory.orphans,
            "unreadable": problems,
        }
        stream.write(json.dumps(facts) + "\n")
        return
    here = "" if expected else " (not on this machine yet; `run` fetches it)"
    identities, methods = count(len(plan.identities), "identity"), count(len(plan.methods), "method")
    prompts, pictures = count(len(plan.prompts), "prompt"), count(plan.render.images_per_prompt, "picture")
    stream.write(f"{printable(plan.name)}: {identities} x {methods}, {prompts} x {pictures}\n")
    stream.write(f"base model {printable(plan.model.label)}{here}\n")
    stream.write(f"pictures by {plan.render.summary}, as {plan.render.format}\n")
    for label, text in judges_of(plan):
        absent = " (not on this machine yet; `run` fetches it)" if text.endswith("digest unknown") else ""
        stream.write(f"{label} {printable(text)}{absent}\n")
    stream.write("\n")
    _print_counts(inventory, stream)
    _print_list(stream, "stale", [f"{'/'.join(key)}: {state.why}" for key, state in _stale(inventory).items()])
    _print_list(stream, "approximate", plan.render.approximations)
    _print_list(stream, "not in the manifest any more, kept", list(inventory.orphans))
    _print_list(stream, "unreadable photographs, which will fail", problems)
    stream.write(
        f"\nleft to do: {work.artifacts} {plural(plan.artifact)} "
        f"({work.optimisation_samples:,} samples forward and backward), "
        f"{work.pictures} pictures ({work.denoising_samples:,} samples forward)"
        f"{f', {work.judgements} pictures to judge' if plan.judges else ''}\n"
    )
    if expected and expected.device_seconds:
        stream.write(f"{expected.summary}\n")
    if overview.hint:
        stream.write(f"{overview.hint}\n")


def _work_facts(inventory: Inventory, work: Work) -> dict[str, int]:
    """What is left to do for JSON output, by the names that it has had since there were embeddings alone."""
    rates = learning_rates(inventory.plan)
    outside = sum(samples for rate, samples in work.learning.items() if not rates[rate].through_encoder)
    return {
        "embeddings": work.artifacts,
        "pictures": work.pictures,
        "optimisation_samples": work.optimisation_samples,
        "denoising_samples": work.denoising_samples,
        "judgements": work.judgements,
        "output_samples": outside,
    }


def _estimate_facts(expected: TimeEstimate) -> dict[str, Any]:
    """The estimate for JSON output, in seconds."""
    seconds = {"wall": expected.wall, "device": expected.device_seconds, "start": expected.start}
    works = {"learning": expected.learning, "drawing": expected.drawing, "judging": expected.judging}
    return {
        "device": expected.device.name,
        "workers": expected.workers,
        "measured": expected.measured,
        "seconds": {name: round(value, 2) for name, value in {**seconds, **works}.items()},
    }


@dataclass(frozen=True)
class Status:
    """How far a run is, and what has failed in it so far."""

    inventory: Inventory
    failures: tuple[dict[str, Any], ...]


def status_of(store: Store) -> Status:
    """Read how far a run is from what it has stored."""
    plan = frozen_plan(store)
    rows = (store.read_json(layout.FAILURES) or {}).get("failures")
    failures = tuple(row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
    return Status(take_inventory(store, plan), failures)


def print_status(status: Status, stream: TextIO, *, as_json: bool) -> None:
    """Print how far a run is."""
    inventory = status.inventory
    if as_json:
        facts = {
            "name": inventory.plan.name,
            "finished": inventory.finished,
            "methods": _counts(inventory),
            "failures": status.failures,
        }
        stream.write(json.dumps(facts) + "\n")
        return
    stream.write(f"{printable(inventory.plan.name)}: {'finished' if inventory.finished else 'not finished'}\n\n")
    _print_counts(inventory, stream)
    rows = [f"{row.get('method')}/{row.get('identity')}: {row.get('reason')}" for row in status.failures]
    _print_list(stream, "failed", rows)
    if not inventory.finished:
        stream.write("\n`crossinit resume` goes on.\n")


def follow_status(store: Store, stream: TextIO, *, every: float, as_json: bool) -> None:
    """Print how far a run is whenever that has changed, looking every so many seconds, until all is done."""
    before = None
    while True:
        status = status_of(store)
        now = (_counts(status.inventory), status.failures)
        if now != before:
            if before is not None and not as_json:
                stream.write(f"\n{datetime.now():%H:%M:%S}\n")
            print_status(status, stream, as_json=as_json)
            stream.flush()
            before = now
        if status.inventory.finished:
            return
        time.sleep(every)


def print_verification(store: Store, found: Verification, stream: TextIO, *, repaired: bool, as_json: bool) -> None:
    """Print what `verify` found."""
    if as_json:
        findings = [{"file": finding.name, "problem": finding.problem} for finding in found.findings]
        facts = {"files": found.files, "digest": found.digest, "findings": findings, "unlisted": found.unlisted}
        stream.write(json.dumps(facts) + "\n")
        return
    if not found.files and not found.findings:
        stream.write(f"{store}: no receipt, so nothing to verify\n")
        return
    _print_list(stream, "listed by no receipt, so not checked", list(found.unlisted))
    _print_list(stream, "damaged", [f"{finding.name}: {finding.problem}" for finding in found.findings], most=100)
    stream.write(f"{found.matching} of {found.files} files match their receipts; digest {found.digest[:16]}\n")
    if found.findings:
        stream.write(_remedies(found) if repaired else "`--repair` sets them aside.\n")


def _remedies(found: Verification) -> str:
    """How to make the files again that were set aside."""
    links = {finding.name for finding in found.findings if finding.is_link}
    names = {finding.name for finding in found.findings} - links
    plan = names & {layout.PLAN, layout.MANIFEST}
    extras = {name for name in names if name.startswith(("analysis/", "study"))}
    lines = ["Run the manifest again: it makes a new plan, and keeps what is done."] if plan else []
    if links:
        lines.append("A symbolic link stays where it is: remove it yourself, then `crossinit resume`.")
    if names - plan - extras:
        lines.append("Set aside; `crossinit resume` makes again what the manifest asks for.")
    if extras:
        lines.append("Set aside; `crossinit analyze` and `crossinit study` make their pages again.")
    return "".join(f"{line}\n" for line in lines)


def _counts(inventory: Inventory) -> dict[str, dict[str, int]]:
    """For each method: embeddings by state, and pictures done of all."""
    counts = {}
    for method in inventory.plan.methods:
        states = [state for state in inventory.states.values() if state.job.method == method.name]
        by_state = Counter(state.artifact for state in states)
        counts[method.name] = {
            "embeddings": len(states),
            **{kind: by_state[kind] for kind in ("done", "new", "stale")},
            "pictures": len(states) * inventory.plan.pictures_a_job,
            "pictures_done": sum(len(state.pictures) for state in states),
        }
        if inventory.plan.judges:
            counts[method.name]["scored"] = sum(inventory.pictures_scored(state) for state in states)
    return counts


def _stale(inventory: Inventory) -> dict[tuple[str, str], JobState]:
    return {key: state for key, state in inventory.states.items() if state.artifact == "stale"}


def _print_counts(inventory: Inventory, stream: TextIO) -> None:
    from rich.table import Table

    from crossinit_batch.console.tables import print_table

    table = Table(box=None, pad_edge=False)
    table.add_column("method")
    scored = ("scored",) if inventory.plan.judges else ()
    made = plural(inventory.plan.artifact)
    for heading in (made, "done", "new", "stale", "pictures", "done", *scored):
        table.add_column(heading, justify="right")
    for name, counts in _counts(inventory).items():
        columns = ("embeddings", "done", "new", "stale", "pictures", "pictures_done", *scored)
        table.add_row(name, *(str(counts[column]) for column in columns))
    print_table(table, stream)


def _print_list(stream: TextIO, heading: str, rows: list[str], most: int = _MOST_LISTED) -> None:
    if not rows:
        return
    stream.write(f"\n{heading}:\n")
    for row in rows[:most]:
        stream.write(f"  {printable(row)}\n")
    if len(rows) > most:
        stream.write(f"  … and {len(rows) - most} more\n")
