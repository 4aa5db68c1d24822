"""Embeddings that are given, not learned: a folder of files → a plan that only draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from crossinit_batch import layout
from crossinit_batch.digest import digest_of, sha256
from crossinit_batch.errors import RequestError
from crossinit_batch.manifest.naming import id_of, problem_of_id
from crossinit_batch.methods import Method
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.plan import Job, Plan, PlannedIdentity, PlannedModel, read_plan
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.storage.store import Store

GIVEN = "given"
"""The method's name for embeddings of which nothing more is known."""

_PICKLES = frozenset({".bin", ".pt", ".pth"})
_UNNAMED = frozenset({"learned_embeds", "embedding", "embeddings", "emb_params"})


@dataclass(frozen=True)
class GivenEmbedding:
    """A file that holds one identity's embedding, and the method that made it where that is known."""

    method: str
    identity: str
    path: str
    sha256: str


@dataclass(frozen=True)
class GivenFolder:
    """The embeddings of a folder; `plan` is its frozen plan where it is one of our output folders."""

    embeddings: tuple[GivenEmbedding, ...]
    plan: Plan | None


def find_embeddings(url: str, *, allow_pickle: bool = False) -> GivenFolder:
    """The embeddings below a folder: of an output folder those with a receipt, else every single file.

    A file is named by its stem, or by its folder where the stem says nothing (learned_embeds). RequestError where
    there are none, or two of one name.
    """
    store = Store(url)
    names = store.listing()
    if not names:
        raise RequestError(f"--embeddings {store}: there is no such folder, or it is empty")
    plan = read_plan(store) if layout.PLAN in names else None
    embeddings = _learned(store, names) if plan else _single_files(store, names, allow_pickle)
    if not embeddings:
        pickles = [name for name in names if PurePosixPath(name).suffix.lower() in _PICKLES]
        if pickles and not allow_pickle:
            raise RequestError(
                f"--embeddings {store}: only pickled files ({pickles[0]}), which can run code when read",
                "If you trust them, add --allow-pickle.",
            )
        raise RequestError(
            f"--embeddings {store}: no embeddings found",
            "Name an output folder, or a folder of .safetensors files with one embedding each.",
        )
    seen: dict[tuple[str, str], str] = {}
    for embedding in embeddings:
        key = embedding.method, embedding.identity.casefold()
        if key in seen:
            raise RequestError(
                f"--embeddings {store}: {seen[key]} and {embedding.path} are both named {embedding.identity!r}",
                "Rename one of them.",
            )
        seen[key] = embedding.path
    return GivenFolder(tuple(embeddings), plan)


def _learned(store: Store, names: dict[str, int]) -> list[GivenEmbedding]:
    """The embeddings of an output folder that have a receipt."""
    found = []
    for name in names:
        folder, _, file = name.rpartition("/")
        if file == layout.EMBEDDING_FILE and folder.count("/") == 1:
            receipt = read_receipt(store, f"{folder}/{layout.RECEIPT_FILE}")
            if receipt is not None:
                content = receipt.files[layout.EMBEDDING_FILE].sha256
                found.append(GivenEmbedding(receipt.method, receipt.identity, store.path_of(name), content))
    return found


def _single_files(store: Store, names: dict[str, int], allow_pickle: bool) -> list[GivenEmbedding]:
    """Every embedding file of a folder that is not ours."""
    suffixes = {".safetensors"} | (_PICKLES if allow_pickle else set())
    outputs = {PurePosixPath(name).parent for name in names if PurePosixPath(name).name == layout.PLAN}
    found = []
    for name in names:
        path = PurePosixPath(name)
        if outputs & set(path.parents):
            continue  # a folder of ours within, such as an earlier render's, holds copies
        if path.suffix.lower() in suffixes and not any(part.startswith(".") for part in path.parts):
            parents = [part for part in (PurePosixPath(store.root) / path).parts[:-1] if part != "/"]
            stem = parents[-1] if path.stem.lower() in _UNNAMED and parents else path.stem
            data = store.read(name)
            assert data is not None
            found.append(GivenEmbedding(GIVEN, identity_of(stem, name), store.path_of(name), sha256(data)))
    return found


def identity_of(stem: str, name: str) -> str:
    """The identity that a file's or folder's name gives; RequestError where none can be made of it."""
    identity = id_of(stem)
    if problem_of_id(identity):
        raise RequestError(f"{name}: no identity can be named after {stem!r}", "Rename it with letters or digits.")
    return identity


def plan_given(
    folder: GivenFolder,
    *,
    name: str,
    model: ModelSettings,
    source: ModelSource,
    dtype: str,
    seed: int,
    prompts: tuple[Prompt, ...],
    render: RenderSettings,
    compute: ComputeSettings,
) -> Plan:
    """A plan whose jobs take their embedding from a file."""
    known = {method.name: method for method in folder.plan.methods} if folder.plan else {}
    people = folder.plan.people if folder.plan else {}
    names = dict.fromkeys(embedding.method for embedding in folder.embeddings)
    identities = dict.fromkeys(embedding.identity for embedding in folder.embeddings)
    return Plan(
        name=name,
        seed=seed,
        model=PlannedModel(settings=model, revision=source.revision, fingerprint=source.fingerprint, dtype=dtype),
        methods=tuple(known.get(method, Method(method, GIVEN, None)) for method in names),
        prompts=prompts,
        render=render,
        compute=compute,
        identities=tuple(people.get(identity, PlannedIdentity(id=identity)) for identity in identities),
        jobs=tuple(
            Job(
                method=embedding.method,
                identity=embedding.identity,
                digest=digest_of("given", {"content": embedding.sha256}),
                source=embedding.path,
            )
            for embedding in sorted(folder.embeddings, key=lambda given: list(names).index(given.method))
        ),
    )
