from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from crossinit_batch.errors import EmbeddingError, RequestError
from crossinit_batch.methods.embedding.formats import read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.report.export import export_artifacts, formats
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all, store_embedding, vector_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_webui_files_are_named_after_people_and_have_its_key(store: Store, tmp_path: Path) -> None:
    plan = a_plan()
    store_all(store, plan)
    written = export_artifacts(store, "webui", str(tmp_path / "embeddings")).written
    assert written == tuple(str(tmp_path / f"embeddings/{name}.safetensors") for name in ("ada", "bob"))
    for path, job in zip(written, plan.jobs, strict=True):
        with safe_open(path, framework="pt") as file:
            assert list(file.keys()) == ["emb_params"]
            assert torch.equal(file.get_tensor("emb_params"), vector_of(job))


def test_diffusers_folders_hold_one_token_each(store: Store, tmp_path: Path) -> None:
    plan = a_plan()
    store_all(store, plan)
    written = export_artifacts(store, "diffusers", str(tmp_path / "d")).written
    assert written == tuple(str(tmp_path / f"d/{name}/learned_embeds.safetensors") for name in ("ada", "bob"))
    found = read_embedding(Path(written[1]).read_bytes(), "bob")
    assert found.token == "<bob>" and torch.equal(found.v, vector_of(plan.jobs[1]))


@pytest.mark.parametrize("form", formats())
def test_several_methods_have_a_folder_each(store: Store, form: str) -> None:
    store_all(store, a_plan(methods=("cross-init", "cross-init-fast")))
    written = export_artifacts(store, form, None).written
    assert len(written) == len(set(written)) == 4
    assert all(path.startswith(f"{store}/export-{form}/cross-init") for path in written)


def test_only_what_is_done_is_exported(store: Store, tmp_path: Path) -> None:
    plan = a_plan()
    write_plan(store, plan)
    with pytest.raises(RequestError, match="has no embedding yet"):
        export_artifacts(store, "webui", None)
    store_embedding(store, plan, plan.jobs[1])
    assert export_artifacts(store, "webui", str(tmp_path / "e")).written == (str(tmp_path / "e/bob.safetensors"),)


@pytest.mark.parametrize("form", formats())
def test_what_lives_in_the_encoders_output_is_left_out_and_alone_refused(store: Store, form: str) -> None:
    plan = a_plan(methods=("cross-init", "cross-init-fast"))
    write_plan(store, plan)
    for job in plan.jobs[2:]:
        store_embedding(store, plan, job, anchor=True)
    with pytest.raises(RequestError, match="lives in the text encoder's output") as caught:
        export_artifacts(store, form, None)
    assert "render --embeddings" in caught.value.hint
    for job in plan.jobs[:2]:
        store_embedding(store, plan, job)
    exported = export_artifacts(store, form, None)
    assert len(exported.written) == 2 and all("/cross-init/" in path for path in exported.written)
    assert list(exported.left_out) == ["cross-init-fast"]


def test_a_damaged_embedding_is_not_passed_on(store: Store) -> None:
    store_all(store, a_plan())
    name = f"cross-init/ada/{EMBEDDING_FILE}"
    store.write(name, bytes(len(store.read(name) or b"")))
    with pytest.raises(EmbeddingError, match="does not match its receipt"):
        export_artifacts(store, "webui", None)


def test_what_cannot_be_exported_is_refused(store: Store) -> None:
    with pytest.raises(RequestError, match="is not an output folder"):
        export_artifacts(store, "webui", None)
    with pytest.raises(RequestError, match="'kohya' is not known"):
        export_artifacts(store, "kohya", None)
