"""The base model of a frozen plan, brought here and held against what was planned."""

from __future__ import annotations

from crossinit_batch.errors import OutputError
from crossinit_batch.model.source import ModelSource, fetched_model
from crossinit_batch.plan.plan import Plan
from crossinit_batch.storage.store import Store


def planned_source(store: Store, plan: Plan) -> ModelSource:
    """The model that an output folder was planned with; OutputError where it is another one by now."""
    source = fetched_model(plan.model.pinned)
    if source.fingerprint != plan.model.fingerprint:
        raise OutputError(
            f"model {plan.model.label!r} has changed since {store} was planned "
            f"(fingerprint {source.fingerprint[:16]}, planned {plan.model.fingerprint[:16]})",
            "Bring back the old model, or run the manifest again to do everything with the new one.",
        )
    return source
