"""failures.json: what failed, why and what to do, for as long as it is not done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from crossinit_batch import layout
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store, json_bytes


def read_failures(store: Store) -> list[JobFailed]:
    """The failures in failures.json; none where it is missing or damaged."""
    rows = (store.read_json(layout.FAILURES) or {}).get("failures")
    names = {field.name for field in fields(JobFailed)}
    valid = [row for row in rows if isinstance(row, dict) and row.keys() == names] if isinstance(rows, list) else []
    return [JobFailed(**{name: str(value) for name, value in row.items()}) for row in valid]


def unresolved(inventory: Inventory, failures: Sequence[JobFailed]) -> list[JobFailed]:
    """The failures of jobs that are not done, one a job: a failed batch may have been done again, or partly."""
    first: dict[tuple[str, str], JobFailed] = {}
    for failure in failures:
        key = (failure.method, failure.identity)
        state = inventory.states.get(key)
        if state is not None and not inventory.is_done(state):
            first.setdefault(key, failure)
    return list(first.values())


def write_failures(store: Store, failures: Sequence[JobFailed]) -> None:
    """Write failures.json, or remove it where nothing failed."""
    with publishing(store, "failures") as pages:
        if failures:
            pages.write(layout.FAILURES, json_bytes({"failures": failure_rows(failures)}))
        else:
            store.remove(layout.FAILURES)


def failure_rows(failures: Sequence[JobFailed]) -> list[dict[str, str]]:
    return [asdict(failure) for failure in failures]
