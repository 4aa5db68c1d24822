from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all, store_embedding

ADA = ("cross-init", "ada")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_of_an_empty_folder_everything_is_new(store: Store) -> None:
    plan = a_plan()
    inventory = take_inventory(store, plan)
    assert {state.artifact for state in inventory.states.values()} == {"new"}
    assert inventory.pending == [(job, True) for job in plan.jobs]
    assert not inventory.finished and inventory.orphans == ()


def test_of_a_finished_run_nothing_is_left(store: Store) -> None:
    plan = a_plan()
    store_all(store, plan)
    inventory = take_inventory(store, plan)
    assert inventory.finished and inventory.pending == []
    assert inventory.states[ADA].seconds == 2.0
    assert inventory.states[ADA].pictures == {"00-a-person/000.png", "00-a-person/001.png"}


def test_an_embedding_without_pictures_is_pending_for_them_alone(store: Store) -> None:
    plan = a_plan()
    store_all(store, plan)
    store.remove("cross-init/ada/images/00-a-person/001.png")
    inventory = take_inventory(store, plan)
    assert inventory.pending == [(plan.jobs[0], False)]
    assert inventory.states[ADA].pictures == {"00-a-person/000.png"}


@pytest.mark.parametrize("size", [0, 3])
def test_a_file_of_another_size_is_not_done(store: Store, size: int) -> None:
    plan = a_plan()
    store_all(store, plan)
    store.write(f"cross-init/ada/{EMBEDDING_FILE}", b"x" * size)
    store.write("cross-init/bob/images/00-a-person/000.png", b"x" * size)
    states = take_inventory(store, plan).states
    assert states[ADA].artifact == "stale"
    assert states[ADA].why == f"missing or of another size: {EMBEDDING_FILE}"
    assert states["cross-init", "bob"].pictures == {"00-a-person/001.png"}


def test_a_stale_embedding_says_what_has_changed(store: Store) -> None:
    store_all(store, a_plan())
    state = take_inventory(store, a_plan(seed=7)).states[ADA]
    assert (state.artifact, state.why) == ("stale", "seed 0 → 7")
    assert state.pictures == frozenset()


def test_pictures_of_another_seed_do_not_count(store: Store) -> None:
    """Their embedding may be the right one again while they are not."""
    store_all(store, a_plan())
    other = a_plan(seed=7)
    store_embedding(store, other, other.jobs[0])
    assert take_inventory(store, other).states[ADA].pictures == frozenset()


def test_a_receipt_that_is_damaged_or_of_another_version_is_not_done(store: Store) -> None:
    plan = a_plan()
    store_all(store, plan)
    store.write("cross-init/ada/receipt.json", b"{")
    value: dict[str, Any] = store.read_json("cross-init/bob/receipt.json") or {}
    store.write_json("cross-init/bob/receipt.json", {**value, "receipt": 99})
    states = take_inventory(store, plan).states
    assert {state.why for state in states.values()} == {"its receipt is damaged"}


def test_orphans_are_folders_with_a_receipt_that_no_job_has(store: Store) -> None:
    store_all(store, a_plan(methods=("cross-init", "cross-init-fast")))
    store.write("notes/mine/receipt.txt", b"not ours")
    assert take_inventory(store, a_plan()).orphans == ("cross-init-fast/ada", "cross-init-fast/bob")


def test_checkpoints_are_named(store: Store) -> None:
    name = layout.checkpoint("c" * 64)
    store.write(name, b"")
    assert take_inventory(store, a_plan()).checkpoints == [name]


def test_the_folder_is_listed_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan(methods=("cross-init", "cross-init-fast"))
    store_all(store, plan)
    listing, calls = store.listing, []
    monkeypatch.setattr(store, "listing", lambda: calls.append(1) or listing())
    assert take_inventory(store, plan).finished
    assert len(calls) == 1
