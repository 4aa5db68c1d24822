"""The last files of a run: what failed, the gallery and the report, written from what is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from crossinit_batch import layout
from crossinit_batch.errors import CrossinitError
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.report.failures import read_failures
from crossinit_batch.report.write import write_gallery, write_report
from crossinit_batch.runner.shard_records import read_records
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store, json_bytes


@dataclass(frozen=True)
class Assembled:
    """A folder as it stands, and what failed in it and is not done since."""

    inventory: Inventory
    failures: tuple[JobFailed, ...]


def assemble(store: Store, plan: Plan, failures: Sequence[JobFailed], facts: dict[str, object]) -> Assembled:
    """Write failures.json, gallery and report; `facts` are further lines of the report."""
    inventory = take_inventory(store, plan)
    left = unresolved(inventory, failures)
    with closing(store):
        write_failures(store, left)
        write_gallery(store, inventory, left)
        write_report(store, inventory, left, facts)
    return Assembled(inventory, tuple(left))


def assemble_again(store: Store, plan: Plan) -> Assembled:
    """The same from the folder alone: after its shards, or of a run that was cut."""
    records = read_records(store, plan)
    failures = [failure for record in records for failure in record.failed] + read_failures(store)
    facts = {f"Shard {record.index + 1}/{record.count}": record.summary for record in records}
    return assemble(store, plan, failures, dict(sorted(facts.items())))


def unresolved(inventory: Inventory, failures: Sequence[JobFailed]) -> list[JobFailed]:
    """The failures of jobs that are not done, one a job: a batch that failed may have been done again, or in part."""
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


@contextlib.contextmanager
def closing(store: Store) -> Iterator[None]:
    """Say in a sentence that the last files of a run could not be written."""
    try:
        yield
    except OSError as error:
        raise CrossinitError(
            f"{store}: the run's last files cannot be written: {reason_of(error)}",
            "Mend that, then `crossinit resume`; what is done is kept.",
        ) from None
