from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from crossinit_batch.errors import RefusedFile, RequestError
from crossinit_batch.methods.embedding.formats import dump_learned_embeds, dump_webui
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.methods.planned import IMPORTED
from crossinit_batch.methods.registry import presets
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.plan.imported import find_artifacts, plan_imported, read_artifact
from crossinit_batch.plan.plan import Plan
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all, store_embedding

V = torch.ones(2, 4)


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names, start=1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(dump_webui(V * number, {}))


def found_in(folder: Path, **options: bool) -> list[tuple[str, str]]:
    return [(one.method, one.identity) for one in find_artifacts(str(folder), **options).artifacts]


def test_single_files_are_named_by_stem_or_folder(tmp_path: Path) -> None:
    put(tmp_path, "ada.safetensors", "bob/learned_embeds.safetensors", "deep/er/Cy.safetensors", "d e.safetensors")
    (tmp_path / "readme.txt").write_text("no embedding")
    (tmp_path / ".cache.safetensors").write_bytes(b"hidden")
    found = found_in(tmp_path)
    assert found == [(IMPORTED, "ada"), (IMPORTED, "bob"), (IMPORTED, "d-e"), (IMPORTED, "Cy")]


def test_a_file_that_says_nothing_is_named_by_the_folder_that_was_given(tmp_path: Path) -> None:
    put(tmp_path / "eve", "learned_embeds.safetensors")
    assert found_in(tmp_path / "eve") == [(IMPORTED, "eve")]


def test_the_hubs_cache_of_links_is_read(tmp_path: Path) -> None:
    put(tmp_path, "blobs/0123")
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/learned_embeds.safetensors").symlink_to("../blobs/0123")
    assert found_in(tmp_path / "snapshots") == [(IMPORTED, "snapshots")]


@pytest.mark.parametrize(
    "names",
    [
        ("a/ada.safetensors", "b/ada.safetensors"),
        ("ada.safetensors", "Ada.safetensors"),
        ("x y.safetensors", "x-y.safetensors"),
    ],
)
def test_two_files_of_one_name_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    put(tmp_path, *names)
    with pytest.raises(RequestError, match="are both named") as caught:
        find_artifacts(str(tmp_path))
    assert all(Path(name).name in caught.value.message for name in names)


def test_pickles_need_trust(tmp_path: Path) -> None:
    torch.save({"ada_v0": V[0], "ada_v1": V[1]}, tmp_path / "ada.bin")
    with pytest.raises(RequestError, match=r"only pickled files \(ada\.bin\)") as caught:
        find_artifacts(str(tmp_path))
    assert "--allow-pickle" in caught.value.hint
    assert found_in(tmp_path, allow_pickle=True) == [(IMPORTED, "ada")]


def test_a_folder_without_embeddings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such folder, or it is empty"):
        find_artifacts(str(tmp_path / "missing"))
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(RequestError, match="no embeddings found"):
        find_artifacts(str(tmp_path))


def test_a_name_of_which_no_identity_can_be_made_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "___.safetensors")
    with pytest.raises(RequestError, match="no identity can be named after '___'"):
        find_artifacts(str(tmp_path))


def test_our_folder_gives_what_has_a_receipt_with_its_methods(tmp_path: Path) -> None:
    store, plan = Store(str(tmp_path)), a_plan(methods=("cross-init", "cross-init-fast"))
    write_plan(store, plan)
    for job in plan.jobs[:3]:
        store_embedding(store, plan, job)
    store.write(f"cross-init-fast/bob/{EMBEDDING_FILE}", b"half a result")
    found = find_artifacts(str(tmp_path))
    assert found.plan == plan
    assert [(one.method, one.identity) for one in found.artifacts] == [
        ("cross-init-fast", "ada"), ("cross-init", "ada"), ("cross-init", "bob"),
    ]  # fmt: skip


def test_a_receipt_whose_file_is_gone_gives_nothing(tmp_path: Path) -> None:
    store, plan = Store(str(tmp_path)), a_plan()
    write_plan(store, plan)
    for job in plan.jobs[:2]:
        store_embedding(store, plan, job)
    gone, kept = plan.jobs[0], plan.jobs[1]
    (tmp_path / gone.method / gone.identity / EMBEDDING_FILE).unlink()
    assert found_in(tmp_path) == [(kept.method, kept.identity)]


def test_results_of_ours_within_a_given_folder_are_not_given(tmp_path: Path) -> None:
    put(tmp_path, "ada.safetensors")
    store_all(Store(str(tmp_path / "out/drawn")), a_plan())
    assert found_in(tmp_path) == [(IMPORTED, "ada")]


def planned(folder: Path) -> Plan:
    return plan_imported(
        find_artifacts(str(folder)),
        name="drawn",
        model=ModelSettings(id="some/model"),
        source=ModelSource("some/model", folder, None, None, {"unet": "1" * 64}),
        dtype="float32",
        seed=3,
        prompts=(Prompt("{} as a statue"),),
        render=RenderSettings(),
        compute=ComputeSettings(),
    )


def test_the_plan_takes_embeddings_from_their_files(tmp_path: Path) -> None:
    put(tmp_path, "ada.safetensors", "bob.safetensors")
    plan = planned(tmp_path)
    assert [job.source for job in plan.jobs] == [str(tmp_path / "ada.safetensors"), str(tmp_path / "bob.safetensors")]
    assert plan.jobs[0].digest != plan.jobs[1].digest
    assert plan.method(IMPORTED).settings is None
    before = [job.digest for job in plan.jobs]
    (tmp_path / "bob.safetensors").write_bytes(dump_learned_embeds(V, "bob", {}))
    after = [job.digest for job in planned(tmp_path).jobs]
    assert before[0] == after[0] and before[1] != after[1]


def test_the_plan_of_our_folder_knows_people_and_methods(tmp_path: Path) -> None:
    store_all(Store(str(tmp_path)), a_plan())
    plan = planned(tmp_path)
    assert plan.method("cross-init").settings == presets()["cross-init"]
    assert plan.identity("ada").photographs[0].path == "/ada.png"


def test_an_artifact_of_ours_behind_a_link_is_not_read(tmp_path: Path) -> None:
    """Also where the link has come after the plan: the worker opens it so."""
    store, plan = Store(str(tmp_path / "out")), a_plan()
    store_all(store, plan)
    job = plan.jobs[0]
    path = tmp_path / "out" / job.method / job.identity / EMBEDDING_FILE
    (found,) = (one for one in find_artifacts(str(tmp_path / "out")).artifacts if one.identity == job.identity)
    assert read_artifact(found.path) == path.read_bytes()
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(RefusedFile, match="is a symbolic link, which is never followed"):
        read_artifact(found.path)


@pytest.mark.parametrize("kind", ["sparse", "pipe", "device"])
def test_what_is_no_embedding_file_is_named_at_once_or_passed_over(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "ada.safetensors")
    odd = tmp_path / "x.safetensors"
    if kind == "sparse":
        with odd.open("wb") as file:
            file.truncate(30 * 2**30)
        with pytest.raises(RequestError, match=r"x\.safetensors is too large: 32,212\.3 MB"):
            find_artifacts(str(tmp_path))
        return
    os.mkfifo(odd) if kind == "pipe" else odd.symlink_to("/dev/zero")
    assert found_in(tmp_path) == [(IMPORTED, "ada")]
