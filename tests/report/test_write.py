from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.plan import Photograph, Plan, PlannedIdentity
from crossinit_batch.report.outcomes import outcomes
from crossinit_batch.report.write import report_text
from crossinit_batch.report.write_gallery import render_summary, write_gallery
from crossinit_batch.storage.store import Store
from tests.helpers.picture_samples import picture_bytes
from tests.helpers.results import a_plan, store_all, store_embedding

FAILED = JobFailed("cross-init", "bob", "photograph", "bob.png: cut | short\n*here*", "Copy <it> again.")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_outcomes_count_what_stands_and_what_failed(store: Store) -> None:
    plan = a_plan(methods=("cross-init", "cross-init-fast"))
    store_all(store, a_plan())
    store_embedding(store, plan, plan.jobs[2], seconds=5.0)
    fast_failed = JobFailed("cross-init-fast", "bob", "photograph", "why", "what")
    first, second = outcomes(take_inventory(store, plan), [fast_failed])
    assert (first.artifacts_done, first.artifacts_failed, first.artifacts_total) == (2, 0, 2)
    assert (first.images_done, first.images_total, first.median_seconds) == (4, 4, 2.0)
    assert (second.artifacts_done, second.artifacts_failed, second.artifacts_total) == (1, 1, 2)
    assert (second.images_done, second.images_total, second.median_seconds) == (0, 4, 5.0)


def test_a_failure_while_drawing_is_no_failed_embedding(store: Store) -> None:
    store_all(store, a_plan())
    failure = JobFailed("cross-init", "ada", "render", "why", "what")
    assert outcomes(take_inventory(store, a_plan()), [failure])[0].artifacts_failed == 0


def test_the_report_says_what_was_asked_and_what_came_out(store: Store) -> None:
    store_all(store, a_plan())
    text = report_text(take_inventory(store, a_plan()), [FAILED], {"Last run": "3 s on cpu"})
    assert text.startswith("# small\n")
    assert "Base model: some/model at c0ffee, fingerprint `ffffffffffffffff`, U-Net in float32" in text
    assert "Pictures: 1 prompts x 2; dpmsolver++, 50 steps, guidance 7.5, seed 0" in text
    assert "- Last run: 3 s on cpu" in text
    assert "| cross-init | 320 steps x 8" in text and "| 2 of 2 | 0 | 4 of 4 | 2.0 |" in text
    assert "| bob | cross-init | photograph | bob.png: cut \\| short \\*here\\* | Copy \\<it\\> again. |" in text


def test_a_report_without_failures_has_no_such_part(store: Store) -> None:
    assert "Failures" not in report_text(take_inventory(store, a_plan()), [], {})


def with_photograph(plan: Plan, path: Path, digest: str) -> Plan:
    ada = PlannedIdentity(id="ada", photographs=(Photograph(path=str(path), sha256=digest),))
    return plan.model_copy(update={"identities": (ada, *plan.identities[1:])})


def test_the_gallery_has_a_small_copy_of_the_photograph(store: Store, tmp_path: Path) -> None:
    photograph, data = tmp_path / "ada.png", picture_bytes(1, side=700)
    photograph.write_bytes(data)
    plan = with_photograph(a_plan(), photograph, sha256(data))
    store_all(store, plan)
    write_gallery(store, take_inventory(store, plan), [FAILED])
    page = (store.read(layout.GALLERY) or b"").decode()
    name = layout.source_thumbnail("ada", sha256(data))
    assert name.removeprefix("gallery/") in page and "00-a-person" in page and str(tmp_path) not in page
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(store.read(name) or b"")) as picture:
        assert max(picture.size) == 512 and picture.format == "JPEG"


def test_a_photograph_that_is_gone_or_another_by_now_is_not_shown(store: Store, tmp_path: Path) -> None:
    photograph = tmp_path / "ada.png"
    plan = with_photograph(a_plan(), photograph, sha256(picture_bytes(1)))
    store_all(store, plan)
    for content in (None, picture_bytes(2), b"no picture"):
        if content is not None:
            photograph.write_bytes(content)
        write_gallery(store, take_inventory(store, plan), [])
        assert not [name for name in store.listing() if name.startswith("gallery/sources")]


def test_the_summary_of_rendering() -> None:
    assert render_summary(a_plan(seed=4)) == "dpmsolver++, 50 steps, guidance 7.5, seed 4"


def test_the_contact_sheet_shows_what_is_there_and_leaves_damage_out(store: Store) -> None:
    plan = a_plan()
    write_gallery(store, take_inventory(store, plan), [])
    assert store.read(layout.CONTACT_SHEET) is None
    store_all(store, plan)
    inventory = take_inventory(store, plan)
    write_gallery(store, inventory, [])
    pale = store.read(layout.CONTACT_SHEET)  # what `store_all` stores are no pictures
    assert pale is not None
    first = next(iter(plan.pictures(plan.jobs[0])))
    store.write(f"{layout.images_folder(*plan.jobs[0].key)}/{first.name}", picture_bytes(1))
    write_gallery(store, inventory, [])
    shown = store.read(layout.CONTACT_SHEET)
    assert shown is not None and shown != pale
    before, after = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int) for data in (pale, shown))
    rows, columns = np.nonzero(np.abs(before - after).sum(axis=2) > 30)
    assert rows.max() - rows.min() < 140 and columns.max() - columns.min() < 140  # one cell has changed
