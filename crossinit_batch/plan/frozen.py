"""The plan that is frozen in an output folder: written, read back, and its model found again."""

from __future__ import annotations

from pydantic import ValidationError

from crossinit_batch import layout
from crossinit_batch.errors import OutputError
from crossinit_batch.model.source import ModelSource, fetched_model
from crossinit_batch.plan.plan import SCHEMA, Plan
from crossinit_batch.record import CHECKSUM, verified, with_checksum
from crossinit_batch.storage.store import Store, json_bytes


class DamagedPlan(OutputError):
    """The frozen plan cannot be read, but it was ours: planning anew repairs it."""


def dump_plan(plan: Plan) -> bytes:
    """The plan as the JSON file in the output folder, with a checksum since runs rely on it."""
    return json_bytes(with_checksum(plan.model_dump(mode="json")))


def write_plan(store: Store, plan: Plan) -> None:
    """Freeze the plan in the output folder."""
    store.write(layout.PLAN, dump_plan(plan))


def frozen_plan(store: Store) -> Plan:
    """The frozen plan of an output folder that must have one; OutputError where it has none that we can read."""
    plan = read_plan(store)
    if plan is None:
        raise OutputError(
            f"{store} has no {layout.PLAN}, so it is not an output folder of crossinit",
            "Name the folder that a manifest's `output:` names.",
        )
    return plan


def read_plan(store: Store) -> Plan | None:
    """The frozen plan of an output folder, None where there is none; OutputError for one that we cannot read."""
    value = store.read_json(layout.PLAN)
    if value is None:
        if store.read(layout.PLAN) is not None:
            raise DamagedPlan(f"{store}/{layout.PLAN} is damaged", "Run the manifest again; what is done is kept.")
        return None
    if value.get("plan") != SCHEMA:
        raise OutputError(
            f"{store}/{layout.PLAN} is of schema {value.get('plan')!r}, this crossinit writes {SCHEMA}",
            "Use the version of crossinit that made this folder, or another output folder.",
        )
    try:
        plan = Plan.model_validate({key: item for key, item in value.items() if key != CHECKSUM})
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        raise DamagedPlan(
            f"{store}/{layout.PLAN} is damaged at {location}: {first['msg']}",
            "Run the manifest again; what is done is kept.",
        ) from None
    if verified(value) is None:
        raise DamagedPlan(
            f"{store}/{layout.PLAN} is damaged: its content is not what was written",
            "Run the manifest again; what is done is kept.",
        )
    return plan


def planned_source(store: Store, plan: Plan) -> ModelSource:
    """The model that an output folder was planned with; OutputError where it has changed since."""
    source = fetched_model(plan.model.pinned)
    if source.fingerprint != plan.model.fingerprint:
        raise OutputError(
            f"model {plan.model.label!r} has changed since {store} was planned "
            f"(fingerprint {source.fingerprint[:16]}, planned {plan.model.fingerprint[:16]})",
            "Bring back the old model, or run the manifest again to do everything with the new one.",
        )
    return source
