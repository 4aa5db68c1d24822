"""Manifest → Plan: every job with its digest, for a model in a precision; the batches come when a run freezes it."""

from __future__ import annotations

from crossinit_batch.manifest.load import Manifest
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.digests import artifact_digest, method_parts
from crossinit_batch.plan.photographs import hashed
from crossinit_batch.plan.plan import Job, Plan, PlannedIdentity, PlannedJudges, PlannedModel

UNKNOWN = "unknown"
"""The fingerprint of a model that is not on this machine yet: no digest with it matches a stored result."""


def make_plan(manifest: Manifest, source: ModelSource | None, dtype: str, judges: PlannedJudges | None = None) -> Plan:
    """The plan of a manifest on this model in this precision, without batches; reads every photograph once.

    `source` is None for a model that is not on this machine yet.
    """
    photographs = hashed([path for identity in manifest.identities for path in identity.photographs])
    identities = tuple(
        PlannedIdentity(id=identity.id, photographs=tuple(photographs[path] for path in identity.photographs))
        for identity in manifest.identities
    )
    model = PlannedModel(
        settings=manifest.model,
        revision=source.revision if source else None,
        fingerprint=source.fingerprint if source else UNKNOWN,
        dtype=dtype,
    )
    jobs = []
    for method in manifest.methods:
        parts = method_parts(method, model, manifest.seed)
        jobs += [
            Job(method=method.name, identity=identity.id, digest=artifact_digest(identity, parts))
            for identity in identities
        ]
    return Plan(
        name=manifest.name,
        seed=manifest.seed,
        model=model,
        methods=manifest.methods,
        prompts=manifest.prompts,
        render=manifest.render,
        compute=manifest.compute,
        identities=identities,
        jobs=tuple(jobs),
        judges=judges,
    )
