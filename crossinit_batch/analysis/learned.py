"""The embeddings of an output folder to be analysed, each with its initial vector and its trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from crossinit_batch import layout
from crossinit_batch.errors import EmbeddingError, RequestError
from crossinit_batch.messages import unknown
from crossinit_batch.methods.artifact import stored_artifact
from crossinit_batch.methods.embedding.artifact import Embedding
from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.methods.embedding.losses import read_trajectory
from crossinit_batch.methods.embedding.method import EMBEDDING, EMBEDDING_ARTIFACT
from crossinit_batch.methods.planned import ImportedMethod, PlannedMethod
from crossinit_batch.plan.plan import Job, Plan
from crossinit_batch.storage.receipts import read_receipt, stored_file
from crossinit_batch.storage.store import Store


@dataclass(frozen=True, eq=False)
class Learned:
    """One embedding v (tokens, width). `start` is None where it was imported, not learned.

    `trajectory` (steps, 4) is from its losses.csv, None where an earlier version wrote that. Where `in_output`, v
    belongs in the text encoder's output: there is no E(v).
    """

    method: str
    identity: str
    v: Tensor
    start: InitialVector | None
    trajectory: NDArray[np.float64] | None
    in_output: bool = False


@dataclass(frozen=True)
class Chosen:
    """The methods and identities to analyse, empty for all; `limit` identities a method at most."""

    methods: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    limit: int = 200


def read_learned(store: Store, plan: Plan, chosen: Chosen) -> dict[str, list[Learned]]:
    """The chosen embeddings that are as planned, by method; RequestError where there are none, or no such names."""
    _check_names("method", chosen.methods, [method.name for method in plan.methods])
    _check_names("identity", chosen.identities, [job.identity for job in plan.jobs])
    there = store.listing().keys()

    @cache
    def start_of(name: str) -> InitialVector:
        return _start(store, name)

    found: dict[str, list[Learned]] = {}
    for method in plan.methods:
        if method.artifact != EMBEDDING_ARTIFACT or (chosen.methods and method.name not in chosen.methods):
            continue
        jobs = [job for job in plan.jobs if job.method == method.name and _receipt_name(job) in there]
        jobs = [job for job in jobs if not chosen.identities or job.identity in chosen.identities]
        for job in _evenly(jobs, chosen.limit):
            receipt = read_receipt(store, _receipt_name(job))
            if receipt is None or receipt.digest != job.digest:
                continue
            artifact = stored_artifact(store, receipt, method.artifact)
            assert isinstance(artifact, Embedding)
            embedding, started = artifact.file, receipt.prepared if _starts_from_a_vector(method) else None
            start = start_of(started) if started is not None else None
            logged = layout.LOSSES_FILE in receipt.files
            trajectory = read_trajectory(stored_file(store, receipt, layout.LOSSES_FILE)) if logged else None
            one = Learned(*job.key, embedding.v, start, trajectory, embedding.anchor is not None)
            found.setdefault(method.name, []).append(one)
    if not found:
        raise RequestError(
            f"{store} has none of the embeddings asked for yet", "`crossinit status` shows how far its run is."
        )
    return found


def _starts_from_a_vector(method: PlannedMethod) -> bool:
    """Whether the prepared file that its receipts name is an initial vector."""
    return isinstance(method, ImportedMethod) or method.method is EMBEDDING


def _check_names(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise RequestError(f"--{kind}: {unknown(name, tuple(dict.fromkeys(known))[:1000], kind)}")


def _receipt_name(job: Job) -> str:
    return f"{layout.artifact_folder(*job.key)}/{layout.RECEIPT_FILE}"


def _evenly(jobs: Sequence[Job], limit: int) -> list[Job]:
    """At most `limit` of them, spread evenly; the same for all methods that have the same identities."""
    if len(jobs) <= limit:
        return list(jobs)
    return [jobs[number * len(jobs) // limit] for number in range(limit)]


def _start(store: Store, name: str) -> InitialVector:
    """The initial vector that a receipt names."""
    start = InitialVector.load(store.read(name) or b"", name)
    if start is None:
        raise EmbeddingError(
            f"{store}/{name} is missing or damaged, and it says where embeddings started",
            "Bring that file back, or make its embeddings again.",
        )
    return start
