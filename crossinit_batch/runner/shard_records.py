"""What shards say of themselves when they end, so that the last one, or `crossinit report`, can tell of all."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from crossinit_batch import layout
from crossinit_batch.digest import digest_of
from crossinit_batch.engines.launcher import Share
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.plan import Plan
from crossinit_batch.storage.store import Store

SCHEMA = 1


class ShardRecord(BaseModel):
    """How one shard of a plan ended: whether it came to its end or was stopped, and what failed in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def write_record(store: Store, share: Share, record: ShardRecord) -> None:
    store.write_json(layout.shard_record(share.part), record.model_dump(mode="json"))


def forget_record(store: Store, share: Share) -> None:
    """A shard that is at work again has not ended."""
    store.remove(layout.shard_record(share.part))


def read_records(store: Store, plan: Plan) -> list[ShardRecord]:
    """The records of this plan's shards; those of earlier plans, and damaged ones, are left out."""
    found = []
    for name in store.listing():
        if name.startswith(f"{layout.SHARDS}/") and (record := _read(store.read_json(name))) is not None:
            found.append(record)
    return [record for record in found if record.plan == plan_digest(plan)]


def _read(value: dict[str, Any] | None) -> ShardRecord | None:
    if value is None or value.get("shard") != SCHEMA:
        return None
    try:
        return ShardRecord.model_validate(value)
    except ValidationError:
        return None


def all_have_ended(records: list[ShardRecord], share: Share) -> bool:
    """Whether every shard that counts as this one has come to its end."""
    ended = {record.index for record in records if record.count == share.count and record.ended}
    return len(ended) == share.count
