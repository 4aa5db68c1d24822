"""Artifacts that are imported, not learned: a folder of files → a plan that only draws."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import RequestError
from crossinit_batch.manifest.naming import id_of, problem_of_id
from crossinit_batch.methods.artifact import lists_artifact
from crossinit_batch.methods.embedding.method import EMBEDDING_ARTIFACT
from crossinit_batch.methods.planned import IMPORTED, ImportedMethod
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.digests import imported_digest
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.plan import Job, Plan, PlannedIdentity, PlannedModel
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.storage.store import Store, given_folder, read_source

_PICKLES = frozenset({".bin", ".pt", ".pth"})
_UNNAMED = frozenset({"learned_embeds", "embedding", "embeddings", "emb_params"})


@dataclass(frozen=True)
class ImportedArtifact:
    """One identity's artifact by its main file, its kind, and the method that made it where that is known."""

    method: str
    identity: str
    path: str
    sha256: str
    kind: str = EMBEDDING_ARTIFACT.name


@dataclass(frozen=True)
class ImportedFolder:
    """The artifacts of a folder; `plan` is its frozen plan where it is one of our output folders."""

    artifacts: tuple[ImportedArtifact, ...]
    plan: Plan | None


def find_artifacts(url: str, *, allow_pickle: bool = False) -> ImportedFolder:
    """The artifacts below a folder: of an output folder those with a receipt, else every embedding file.

    A file is named by its stem, or by its folder where the stem says nothing (learned_embeds). RequestError where
    there are none, or two of one name.
    """
    store = given_folder(url)
    names = store.listing()
    if not names:
        raise RequestError(f"--embeddings {store}: there is no such folder, or it is empty")
    plan = read_plan(store) if layout.PLAN in names else None
    artifacts = _stored(store, plan, names) if plan else _single_files(store, names, allow_pickle)
    if not artifacts:
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
    for artifact in artifacts:
        key = artifact.method, artifact.identity.casefold()
        if key in seen:
            raise RequestError(
                f"--embeddings {store}: {seen[key]} and {artifact.path} are both named {artifact.identity!r}",
                "Rename one of them.",
            )
        seen[key] = artifact.path
    return ImportedFolder(tuple(artifacts), plan)


def _stored(store: Store, plan: Plan, names: dict[str, int]) -> list[ImportedArtifact]:
    """The artifacts of an output folder with receipt and file, also those its plan does not ask for any more."""
    kinds = {method.name: method.artifact for method in plan.methods}
    found = []
    for name in names:
        folder, _, file = name.rpartition("/")
        if file != layout.RECEIPT_FILE or folder.count("/") != 1:
            continue
        receipt = read_receipt(store, name)
        kind = kinds.get(folder.partition("/")[0], EMBEDDING_ARTIFACT)
        main = f"{folder}/{kind.main_file}"
        if receipt is not None and main in names and lists_artifact(receipt, kind):
            path, content = store.path_of(main), receipt.files[kind.main_file].sha256
            found.append(ImportedArtifact(receipt.method, receipt.identity, path, content, kind.name))
    return found


def read_artifact(path: str) -> bytes:
    """The bytes of an artifact's file that was found; in an output folder of ours no link is followed to them."""
    root = path.rsplit("/", 3)[0]
    if Path(path).is_absolute() and root and os.path.lexists(f"{root}/{layout.PLAN}"):
        data = Store(root).read(path.removeprefix(f"{root}/"))
        if data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return data
    return read_source(path)


def _single_files(store: Store, names: dict[str, int], allow_pickle: bool) -> list[ImportedArtifact]:
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
            found.append(ImportedArtifact(IMPORTED, identity_of(stem, name), store.path_of(name), sha256(data)))
    return found


def identity_of(stem: str, name: str) -> str:
    """The identity that a file's or folder's name gives; RequestError where none can be made of it."""
    identity = id_of(stem)
    if problem_of_id(identity):
        raise RequestError(f"{name}: no identity can be named after {stem!r}", "Rename it with letters or digits.")
    return identity


def plan_imported(
    folder: ImportedFolder,
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
    """A plan whose jobs take their artifact from a file."""
    known = {method.name: method for method in folder.plan.methods} if folder.plan else {}
    planned = {identity.id: identity for identity in folder.plan.identities} if folder.plan else {}
    names = {artifact.method: artifact.kind for artifact in folder.artifacts}
    identities = dict.fromkeys(artifact.identity for artifact in folder.artifacts)
    return Plan(
        name=name,
        seed=seed,
        model=PlannedModel(settings=model, revision=source.revision, fingerprint=source.fingerprint, dtype=dtype),
        methods=tuple(known.get(name, ImportedMethod(name, kind=kind)) for name, kind in names.items()),
        prompts=prompts,
        render=render,
        compute=compute,
        identities=tuple(planned.get(identity, PlannedIdentity(id=identity)) for identity in identities),
        jobs=tuple(
            Job(
                method=artifact.method,
                identity=artifact.identity,
                digest=imported_digest(artifact.sha256),
                source=artifact.path,
            )
            for artifact in sorted(folder.artifacts, key=lambda one: list(names).index(one.method))
        ),
    )
