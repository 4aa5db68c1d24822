from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.digest import digest_of
from crossinit_batch.errors import OutputError
from crossinit_batch.manifest.load import Identity, Manifest
from crossinit_batch.methods.embedding.settings import EmbeddingSettings, InitSettings
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.batches import with_batches
from crossinit_batch.plan.digests import method_parts, picture_digest
from crossinit_batch.plan.frozen import DamagedPlan, read_plan, write_plan
from crossinit_batch.plan.make import make_plan
from crossinit_batch.plan.plan import Plan, PlannedModel
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings, Settings
from crossinit_batch.storage.store import Store

SOURCE = ModelSource("some/model", Path("/models/some"), "c0ffee", None, {"unet": "1" * 64, "vae": "2" * 64})

OTHER_EMBEDDING: dict[str, Any] = {
    "steps": 25,
    "learning_rate": 0.08,
    "batch_size": 4,
    "weight_decay": 0.0,
    "regularization": 1e-4,
    "regularizer": "l2",
    "init": InitSettings(vectors=3),
    "templates": "object",
    "flip": False,
    "crop": "stretch",
    "place": "output",
}
OTHER_INIT: dict[str, Any] = {
    "names": "names.txt",
    "columns": "words",
    "vectors": 1,
    "words": ("person",),
    "encoder": False,
}
OTHER_RENDER: dict[str, Any] = {
    "steps": 20,
    "guidance": 5.0,
    "scheduler": "ddim",
    "negative_prompt": "hands",
    "size": 256,
    "guidance_until": 0.5,
    "format": "webp",
    "quality": 50,
}
NEEDED = {"quality": {"format": "jpeg"}}
"""What must be set beside a setting for it to mean anything."""
OTHER_COMPUTE: dict[str, Any] = {
    "identities_per_batch": 1,
    "samples_per_pass": 3,
    "images_per_batch": 2,
    "checkpoint_every": 7,
    "checkpoint_minutes": 0.5,
    "compile": True,
    "threads": 2,
}


def a_manifest(folder: Path, **changes: Any) -> Manifest:
    """Two people by two methods, made of files in the folder."""
    for name in ("ada", "bob"):
        if not (folder / f"{name}.png").exists():
            (folder / f"{name}.png").write_bytes(name.encode())
    manifest = Manifest(
        text="",
        name="small",
        model=ModelSettings(id="some/model"),
        output=str(folder / "out"),
        seed=0,
        identities=tuple(Identity(name, (str(folder / f"{name}.png"),)) for name in ("ada", "bob")),
        methods=(
            LearnedMethod("paper", "cross-init", presets()["cross-init"]),
            LearnedMethod("quick", "cross-init-fast", presets()["cross-init-fast"]),
        ),
        prompts=(Prompt("a {} person"), Prompt("a {} person on the beach")),
        render=RenderSettings(images_per_prompt=2),
        compute=ComputeSettings(),
    )
    return replace(manifest, **changes)


def plan_of(folder: Path, dtype: str = "float32", source: ModelSource = SOURCE, **changes: Any) -> Plan:
    return make_plan(a_manifest(folder, **changes), source, dtype)


def embedding_digests(plan: Plan) -> list[str]:
    return [job.digest for job in plan.jobs]


def picture_digests(plan: Plan) -> list[str]:
    return [picture_digest(plan, picture) for job in plan.jobs for picture in plan.pictures(job)]


def with_settings(**changes: Any) -> tuple[LearnedMethod, ...]:
    settings = EmbeddingSettings.model_validate({**dict(presets()["cross-init"]), **changes})
    return (LearnedMethod("paper", "cross-init", settings), LearnedMethod("quick", "cross-init", settings))


WITHOUT_PLACE = {
    "cross-init": "2ba9f47980dc7cabecd409fccf6e7f5f89507c0704f2e8b3d3003c4144febf26",
    "cross-init-fast": "2856475b2d9b688de2430a4860692fdec11295b90bceaefd2e2a2071026bd7d4",
    "cross-init-released": "12292e4afc1596a457d86909ef43b1c4b15a3d075fa9066ec2d74f7a17abbb84",
    "textual-inversion": "9125a7a781b6baf9372b0f6b90c504fb6dc684f3368f6222a23cae4b6bc1a07e",
}
"""Digests from before a method could say on which side of the text encoder v lives."""


@pytest.mark.parametrize("preset", WITHOUT_PLACE)
def test_results_from_before_there_was_a_place_still_stand(preset: str) -> None:
    settings = presets()[preset].model_copy(update={"init": InitSettings(words=("person",))})
    model = PlannedModel(settings=ModelSettings(id="demo"), revision=None, fingerprint="f" * 64, dtype="float32")
    decided = method_parts(LearnedMethod(preset, preset, settings), model, 0)
    assert digest_of("embedding", decided) == WITHOUT_PLACE[preset]


def test_a_plan_has_every_job_and_picture_with_a_digest_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert [job.key for job in plan.jobs] == [
        ("paper", "ada"), ("paper", "bob"), ("quick", "ada"), ("quick", "bob"),
    ]  # fmt: skip
    assert len(set(embedding_digests(plan))) == 4
    assert len(set(picture_digests(plan))) == 4 * 4 == 4 * plan.pictures_a_job
    assert [picture.name for picture in plan.pictures(plan.jobs[0])] == [
        "00-a-person/000.png",
        "00-a-person/001.png",
        "01-a-person-on-the-beach/000.png",
        "01-a-person-on-the-beach/001.png",
    ]


def test_the_same_request_gives_the_same_digests(tmp_path: Path) -> None:
    assert plan_of(tmp_path) == plan_of(tmp_path)
    moved = replace(SOURCE, id="/copy/of/it", folder=Path("/copy/of/it"), revision=None)
    assert embedding_digests(plan_of(tmp_path)) == embedding_digests(plan_of(tmp_path, source=moved))


@pytest.mark.parametrize("word", list(EmbeddingSettings.model_fields))
def test_every_setting_of_a_method_changes_embeddings_and_pictures(tmp_path: Path, word: str) -> None:
    before = plan_of(tmp_path, methods=with_settings())
    after = plan_of(tmp_path, methods=with_settings(**{word: OTHER_EMBEDDING[word]}))
    assert not set(embedding_digests(before)) & set(embedding_digests(after))
    assert not set(picture_digests(before)) & set(picture_digests(after))


@pytest.mark.parametrize("word", list(InitSettings.model_fields))
def test_every_setting_of_the_initial_vector_changes_embeddings(tmp_path: Path, word: str) -> None:
    (tmp_path / "names.txt").write_text("Ada Lovelace\nAlan Turing\n")
    value = str(tmp_path / "names.txt") if word == "names" else OTHER_INIT[word]
    before = plan_of(tmp_path, methods=with_settings(init=InitSettings()))
    after = plan_of(tmp_path, methods=with_settings(init=InitSettings(**{word: value})))
    assert not set(embedding_digests(before)) & set(embedding_digests(after))


@pytest.mark.parametrize("word", [name for name in RenderSettings.model_fields if name != "images_per_prompt"])
def test_every_setting_of_rendering_changes_pictures_and_no_embedding(tmp_path: Path, word: str) -> None:
    needed: dict[str, Any] = NEEDED.get(word, {})
    before = plan_of(tmp_path, render=RenderSettings(**needed))
    after = plan_of(tmp_path, render=RenderSettings(**needed, **{word: OTHER_RENDER[word]}))
    assert embedding_digests(before) == embedding_digests(after)
    assert not set(picture_digests(before)) & set(picture_digests(after))


@pytest.mark.parametrize("word", list(ComputeSettings.model_fields))
def test_no_setting_of_how_work_is_cut_up_changes_anything(tmp_path: Path, word: str) -> None:
    before = plan_of(tmp_path)
    compute = ComputeSettings(**{word: OTHER_COMPUTE[word]})
    assert compute != before.compute
    after = plan_of(tmp_path, compute=compute)
    assert embedding_digests(before) == embedding_digests(after)
    assert picture_digests(before) == picture_digests(after)


def test_the_tables_above_have_other_values_for_all_fields() -> None:
    tables: list[tuple[type[Settings], dict[str, Any], set[str]]] = [
        (EmbeddingSettings, OTHER_EMBEDDING, set()),
        (InitSettings, OTHER_INIT, set()),
        (RenderSettings, OTHER_RENDER, {"images_per_prompt"}),
        (ComputeSettings, OTHER_COMPUTE, set()),
    ]
    for settings, table, apart in tables:
        assert table.keys() | apart == settings.model_fields.keys()
        default = settings()
        assert all(getattr(default, word) != value for word, value in table.items())


def test_model_precision_and_seed_change_everything(tmp_path: Path) -> None:
    before = plan_of(tmp_path)
    for after in (
        plan_of(tmp_path, source=replace(SOURCE, components={**SOURCE.components, "unet": "3" * 64})),
        plan_of(tmp_path, dtype="bfloat16"),
        plan_of(tmp_path, seed=1),
    ):
        assert not set(embedding_digests(before)) & set(embedding_digests(after))
        assert not set(picture_digests(before)) & set(picture_digests(after))


def test_names_texts_and_paths_change_nothing(tmp_path: Path) -> None:
    before = plan_of(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    after = plan_of(tmp_path / "elsewhere", name="other", text="# a comment")
    assert embedding_digests(before) == embedding_digests(after)
    assert picture_digests(before) == picture_digests(after)


def test_more_pictures_keep_those_that_are_there(tmp_path: Path) -> None:
    before = picture_digests(plan_of(tmp_path))
    after = picture_digests(plan_of(tmp_path, render=RenderSettings(images_per_prompt=3)))
    assert set(before) < set(after)
    assert len(after) == 24


def test_a_photograph_counts_by_its_bytes(tmp_path: Path) -> None:
    before = plan_of(tmp_path)
    (tmp_path / "ada.png").write_bytes(b"ADA")
    after = plan_of(tmp_path)
    changed = [old.identity for old, new in zip(before.jobs, after.jobs, strict=True) if old != new]
    assert changed == ["ada", "ada"]


def test_a_photograph_that_cannot_be_read_is_planned_with_the_reason(tmp_path: Path) -> None:
    manifest = a_manifest(tmp_path)
    (tmp_path / "bob.png").unlink()
    (photograph,) = make_plan(manifest, SOURCE, "float32").identity("bob").photographs
    assert photograph.problem == "cannot be read: no such file or directory"


def test_of_a_model_that_is_not_here_nothing_matches(tmp_path: Path) -> None:
    absent = make_plan(a_manifest(tmp_path), None, "auto")
    assert not set(embedding_digests(absent)) & set(embedding_digests(plan_of(tmp_path)))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    assert read_plan(store) is None
    plan = plan_of(tmp_path, methods=with_settings(init=InitSettings(words=("a", "b"))))
    plan = with_batches(plan, [(job, True) for job in plan.jobs], None)
    write_plan(store, plan)
    assert read_plan(store) == plan


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\x00" * 100])
def test_a_plan_that_is_no_json_object_is_damaged(tmp_path: Path, damage: bytes) -> None:
    store = Store(str(tmp_path))
    store.write(layout.PLAN, damage)
    with pytest.raises(DamagedPlan, match=r"plan\.json is damaged"):
        read_plan(store)


def test_a_damaged_plan_says_where(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_plan(store, plan_of(tmp_path))
    value = json.loads(store.read(layout.PLAN) or b"")
    value["render"]["steps"] = "many"
    store.write_json(layout.PLAN, value)
    with pytest.raises(DamagedPlan, match=r"damaged at render\.steps"):
        read_plan(store)


def test_a_plan_of_a_newer_schema_is_not_ours_to_replace(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_json(layout.PLAN, {"plan": 2, "surprise": True})
    with pytest.raises(OutputError, match="of schema 2, this crossinit writes 1") as caught:
        read_plan(store)
    assert not isinstance(caught.value, DamagedPlan)
