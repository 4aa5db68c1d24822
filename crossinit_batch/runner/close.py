"""The last files of a run: what failed, the gallery and the report, written from what is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crossinit_batch.errors import CrossinitError
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.report.failures import read_failures, unresolved, write_failures
from crossinit_batch.report.write import write_report
from crossinit_batch.report.write_gallery import write_gallery
from crossinit_batch.runner.shard_records import read_records
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class Closed:
    """The final inventory of a folder, and the failures that remain."""

    inventory: Inventory
    failures: tuple[JobFailed, ...]


def close(store: Store, inventory: Inventory, failures: Sequence[JobFailed], facts: dict[str, object]) -> Closed:
    """Write failures.json, gallery and report; `facts` are further lines of the report."""
    left = unresolved(inventory, failures)
    with closing(store):
        write_failures(store, left)
        write_gallery(store, inventory, left)
        write_report(store, inventory, left, facts)
    return Closed(inventory, tuple(left))


def close_again(store: Store, inventory: Inventory) -> Closed:
    """The same from the folder alone: after its shards, or of a run that was interrupted."""
    records = read_records(store, inventory.plan, inventory.files)
    failures = [failure for record in records for failure in record.failed] + read_failures(store)
    facts = {f"Shard {record.index + 1}/{record.count}": record.summary for record in records}
    return close(store, inventory, failures, dict(sorted(facts.items())))


@contextlib.contextmanager
def closing(store: Store) -> Iterator[None]:
    """Turn a failure to write the last files of a run into a CrossinitError."""
    try:
        yield
    except OSError as error:
        raise CrossinitError(
            f"{store}: the run's last files cannot be written: {reason_of(error)}",
            "Mend that, then `crossinit resume`; what is done is kept.",
        ) from None
