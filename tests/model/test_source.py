"""Where a model's files are, and the sentence a user reads when they are not to be had."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors

import crossinit_batch
from crossinit_batch.errors import ModelError
from crossinit_batch.model import files as model_files
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import MIRRORS, locate_model
from crossinit_batch.settings import ModelSettings
from tests.helpers.models import located, refused

COMMIT, OLDER = "1" * 40, "2" * 40
REMOVED = "stabilityai/stable-diffusion-2-1-base"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, which reads its place once, when it is imported."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def _put_into_hub(hub: Path, name: str, pipeline: Path, commit: str = COMMIT) -> Path:
    """A repository in the cache as the hub's client lays it out; its snapshot's folder."""
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    for path in (path for path in pipeline.rglob("*") if path.is_file()):
        data = path.read_bytes()
        kind = hashlib.sha256 if path.suffix == ".safetensors" else hashlib.sha1
        blob = repository / "blobs" / kind(data).hexdigest()
        blob.write_bytes(data)
        link = snapshot / path.relative_to(pipeline)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs/main").write_text(commit)
    return snapshot


# --- folders ---


def test_a_local_folder_is_the_model(pipeline_folder: Path) -> None:
    source = located(pipeline_folder)
    assert source.folder == pipeline_folder.resolve()
    assert source.revision is None
    assert set(source.components) == {"tokenizer", "scheduler", "text_encoder", "unet", "vae"}
    assert source.fingerprint == located(pipeline_folder).fingerprint


def test_looking_at_a_model_without_fetching_writes_nothing(
    pipeline_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "_REMEMBERED_FROM", 1000)
    assert locate_model(ModelSettings(id=str(pipeline_folder)), fetch=False) == located(pipeline_folder)
    shutil.rmtree(own_cache)
    locate_model(ModelSettings(id=str(pipeline_folder)), fetch=False)
    assert not own_cache.exists()


# --- the hub's cache ---


def test_a_hub_id_in_the_cache_needs_no_network(hub: Path, pipeline_folder: Path) -> None:
    snapshot = _put_into_hub(hub, "org/name", pipeline_folder)
    source = located("org/name")
    assert source.folder == snapshot
    assert source.revision == COMMIT
    assert source.fingerprint == located(pipeline_folder).fingerprint
    assert BaseModel.load(source, torch.device("cpu"), "float32").width == 32


def test_a_revision_is_a_commit_or_a_branch(hub: Path, pipeline_folder: Path, velocity_folder: Path) -> None:
    _put_into_hub(hub, "org/name", velocity_folder, OLDER)
    _put_into_hub(hub, "org/name", pipeline_folder, COMMIT)
    (hub / "models--org--name/refs/old").write_text(OLDER)
    assert located("org/name").revision == COMMIT
    assert located("org/name", revision=OLDER).revision == OLDER
    assert located("org/name", revision="old").fingerprint == located(velocity_folder).fingerprint
    assert "not in the local cache" in refused("org/name", revision="3" * 40).message


def test_blobs_whose_names_are_their_digests_are_not_read(hub: Path, pipeline_folder: Path, read: list[Path]) -> None:
    _put_into_hub(hub, "org/name", pipeline_folder)
    located("org/name")
    assert read
    assert all(len(path.name) == 40 for path in read)


def test_a_removed_id_names_those_who_keep_its_weights(hub: Path) -> None:
    for name, mirrors in MIRRORS.items():
        for fetch in (True, False):
            with pytest.raises(ModelError, match="taken off the hub") as caught:
                locate_model(ModelSettings(id=name), fetch=fetch)
            assert all(f"model: {mirror}" in caught.value.hint for mirror in mirrors)
            assert not set(mirrors) & set(MIRRORS)


def test_a_removed_id_that_is_in_the_cache_is_used(hub: Path, pipeline_folder: Path) -> None:
    _put_into_hub(hub, REMOVED, pipeline_folder)
    assert located(REMOVED).revision == COMMIT


def test_offline_and_not_in_the_cache(hub: Path) -> None:
    refusal = refused("org/name")
    assert "'org/name' is not in the local cache" in refusal.message
    assert "network" in refusal.hint
    assert locate_model(ModelSettings(id="org/name"), fetch=False) is None


@pytest.mark.parametrize("lost", ["unet/diffusion_pytorch_model.safetensors", "tokenizer", "model_index.json"])
def test_a_snapshot_that_is_not_whole_is_fetched_again(
    hub: Path, pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    snapshot = _put_into_hub(hub, "org/name", pipeline_folder)
    assert locate_model(ModelSettings(id="org/name"), fetch=False) is not None
    if (snapshot / lost).is_dir():
        shutil.rmtree(snapshot / lost)
    else:
        (snapshot / lost).unlink()
    assert locate_model(ModelSettings(id="org/name"), fetch=False) is None

    def download(**wanted: Any) -> str:
        if not wanted.get("local_files_only"):
            shutil.rmtree(snapshot)
            _put_into_hub(hub, "org/name", pipeline_folder)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert located("org/name").fingerprint == located(pipeline_folder).fingerprint


def test_what_is_asked_of_the_hub_is_what_is_needed(
    hub: Path, pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def download(**wanted: Any) -> str:
        asked.append(wanted)
        if wanted.get("local_files_only"):
            raise errors.LocalEntryNotFoundError("not there")
        return str(pipeline_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    located("org/name", revision="main")
    assert [wanted.get("local_files_only", False) for wanted in asked] == [True, False]
    assert asked[1]["revision"] == "main"

    def wanted(variant: str | None) -> Callable[[str], bool]:
        return lambda file: any(fnmatch(file, pattern) for pattern in model_files.patterns(variant))

    needed = [str(path.relative_to(pipeline_folder)) for path in pipeline_folder.rglob("*") if path.is_file()]
    assert all(map(wanted(None), needed))
    useless = [
        "v2-1_512-ema-pruned.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "safety_checker/model.safetensors",
        "README.md",
    ]
    for variant, middle in ((None, ""), ("fp16", ".fp16")):
        assert wanted(variant)(f"unet/diffusion_pytorch_model{middle}.safetensors")
        assert wanted(variant)(f"unet/diffusion_pytorch_model{middle}-00001-of-00002.safetensors")
        assert wanted(variant)(f"text_encoder/model.safetensors.index{middle}.json")
        assert not any(map(wanted(variant), useless))
    assert not wanted(None)("unet/diffusion_pytorch_model.fp16.safetensors")
    assert not wanted("fp16")("unet/diffusion_pytorch_model.safetensors")


def _answer(kind: type[Exception]) -> Exception:
    """One of the client's errors, which carry the server's response."""
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    return kind("a long\nanswer", response=response)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda: _answer(errors.GatedRepoError), "is gated"),
        (lambda: _answer(errors.RevisionNotFoundError), "has no revision 'v9'"),
        (lambda: _answer(errors.RepositoryNotFoundError), "is not on the hub, or is private"),
        (lambda: ConnectionError("no route\nto host"), "cannot be downloaded: no route"),
        (lambda: OSError(), "cannot be downloaded: OSError"),
    ],
    ids=["gated", "revision", "repository", "network", "wordless"],
)
def test_what_the_hub_answers_is_told_in_one_line(
    hub: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], words: str
) -> None:
    def download(**wanted: Any) -> str:
        raise errors.LocalEntryNotFoundError("not there") if wanted.get("local_files_only") else error()

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    refusal = refused("org/name", revision="v9")
    assert words in refusal.message
    assert "org/name" in refusal.message
    assert "\n" not in refusal.message


@pytest.mark.parametrize(
    "name", ["nothing", "./nothing", "/nothing/here", "~/nothing", "a/b/c", "org/-name", "o--rg/name", "x" * 5000]
)
def test_a_name_that_is_neither_folder_nor_hub_id(hub: Path, name: str) -> None:
    refusal = refused(name)
    assert "no such folder, and it is no hub id" in refusal.message
    assert "model_index.json" in refusal.hint


# --- demo ---


def test_the_demo_model_is_in_the_package_and_whole() -> None:
    source = located("demo")
    assert source == locate_model(ModelSettings(id="demo"), fetch=False)
    assert source.folder.is_relative_to(Path(crossinit_batch.__file__).parent)
    assert source.fingerprint == located(source.folder).fingerprint
