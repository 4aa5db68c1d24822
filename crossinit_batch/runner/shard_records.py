"""Records that shards write when they end, so that the last one, or `crossinit report`, can report on all."""

from __future__ import annotations

from collections.abc import Iterable

from crossinit_batch import layout
from crossinit_batch.digest import digest_of
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.shard import Shard
from crossinit_batch.record import Record, read_record
from crossinit_batch.storage.store import Store

SCHEMA = 1


class ShardRecord(Record):
    """How one shard of a plan ended: whether it came to its end or was stopped, and what failed in it."""

    shard: int = SCHEMA
    plan: str
    index: int
    count: int
    ended: bool
    seconds: float
    summary: str
    failures: tuple[dict[str, str], ...] = ()

    @property
    def failed(self) -> list[JobFailed]:
        return [JobFailed(**row) for row in self.failures]


def plan_digest(plan: Plan) -> str:
    """The digest of a plan with its batches: shards of one plan have the same."""
    return digest_of("plan", plan.model_dump(mode="json"))[:16]


def write_record(store: Store, shard: Shard, record: ShardRecord) -> None:
    store.write_json(layout.shard_record(shard.name), record.model_dump(mode="json"))


def forget_record(store: Store, shard: Shard) -> None:
    """Remove the record of a shard that is at work again."""
    store.remove(layout.shard_record(shard.name))


def read_records(store: Store, plan: Plan, names: Iterable[str]) -> list[ShardRecord]:
    """The records of this plan's shards among the folder's files; those of earlier plans and damaged ones left out."""
    ours = [name for name in names if name.startswith(f"{layout.SHARDS}/")]
    found = [read_record(ShardRecord, store.read_json(name), "shard", SCHEMA) for name in ours]
    return [record for record in found if record is not None and record.plan == plan_digest(plan)]


def all_have_ended(records: list[ShardRecord], shard: Shard) -> bool:
    """Whether every shard of this one's count has ended."""
    ended = {record.index for record in records if record.count == shard.count and record.ended}
    return len(ended) == shard.count
