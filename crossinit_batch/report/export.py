"""Stored artifacts as files for other tools."""

from __future__ import annotations

from dataclasses import dataclass

from crossinit_batch import layout
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.artifact import ArtifactKind, Unexportable, lists_artifact, stored_artifact
from crossinit_batch.methods.registry import methods
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.plan import Job, Plan
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class Exported:
    """The paths written, and the methods whose artifacts no other tool can load, each with the reason."""

    written: tuple[str, ...]
    left_out: dict[str, Unexportable]


def formats() -> tuple[str, ...]:
    """The formats that any kind of artifact can be exported in."""
    return tuple(dict.fromkeys(form for method in methods() for form in method.artifact.formats))


def export_artifacts(store: Store, form: str, folder: str | None) -> Exported:
    """Write every artifact that has a receipt and that other tools can load; see each kind's `export` for the files.

    They are in a folder for each method, which is left out where there is one alone. RequestError where there is
    nothing to export.
    """
    if form not in formats():
        raise RequestError(f"--format {form!r} is not known", f"Choose one of: {', '.join(formats())}.")
    plan = read_plan(store)
    if plan is None:
        raise RequestError(
            f"{store} is not an output folder of crossinit", "Name the folder a manifest's output names."
        )
    target = Store(folder or f"{store.url.rstrip('/')}/export-{form}")
    written: list[str] = []
    left_out: dict[str, Unexportable] = {}
    for job in plan.jobs:
        try:
            files = _exported(store, job, plan.method(job.method).artifact, form)
        except Unexportable as reason:
            left_out.setdefault(job.method, reason)
            continue
        prefix = f"{job.method}/" if len(plan.methods) > 1 else ""
        for path, content in files.items():
            target.write(f"{prefix}{path}", content)
            written.append(f"{target}/{prefix}{path}")
    if not written:
        raise _nothing(store, plan, left_out)
    return Exported(tuple(written), left_out)


def _exported(store: Store, job: Job, kind: ArtifactKind, form: str) -> dict[str, bytes]:
    """A job's files for other tools, none where it has no artifact yet."""
    receipt = read_receipt(store, f"{layout.artifact_folder(*job.key)}/{layout.RECEIPT_FILE}")
    if receipt is None or not lists_artifact(receipt, kind):
        return {}
    if form not in kind.formats:
        known = ", ".join(kind.formats) or "none"
        raise Unexportable(f"has no format {form!r}", f"Formats of this kind: {known}.")
    return stored_artifact(store, receipt, kind).export(form, job.identity)


def _nothing(store: Store, plan: Plan, left_out: dict[str, Unexportable]) -> RequestError:
    if left_out:
        first = next(iter(left_out.values()))
        return RequestError(f"{store}: every {plan.artifact} {first.reason}", first.hint)
    return RequestError(f"{store} has no {plan.artifact} yet", "`crossinit status` shows how far its run is.")
