from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.plan.frozen import DamagedPlan, read_plan
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.report.verify import Finding, repair, verify
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    store_all(store, a_plan())
    return store


def test_a_whole_folder_has_no_findings(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    found = verify(store, lambda done, total: seen.append((done, total)))
    assert found.files == 6 and found.findings == ()
    assert seen == [(number, 6) for number in range(1, 7)]


def test_the_digest_is_that_of_results_wherever_they_are(store: Store) -> None:
    far = Store("memory://verify/elsewhere")
    store_all(far, a_plan())
    assert verify(far).digest == verify(store).digest
    other = Store("memory://verify/other")
    store_all(other, a_plan(seed=1))
    assert verify(other).digest != verify(store).digest


def test_every_kind_of_damage_is_found(store: Store) -> None:
    embedding = f"cross-init/ada/{EMBEDDING_FILE}"
    data = bytearray(store.read(embedding) or b"")
    data[-1] ^= 1  # the same size: only the content tells
    store.write(embedding, bytes(data))
    store.remove("cross-init/ada/images/00-a-person/000.png")
    store.write("cross-init/bob/images/receipt.json", b'{"receipt": 1')
    assert set(verify(store).findings) == {
        Finding(embedding, "its content is not what its receipt says"),
        Finding("cross-init/ada/images/00-a-person/000.png", "missing"),
        Finding("cross-init/bob/images/receipt.json", "the receipt is damaged"),
    }


def test_repair_sets_damage_aside_so_that_it_is_pending(store: Store) -> None:
    plan = a_plan()
    name = f"cross-init/ada/{EMBEDDING_FILE}"
    good = store.read(name) or b""
    store.write(name, bytes(len(good)))
    assert take_inventory(store, plan).finished  # sizes alone do not tell
    repair(store, verify(store).findings)
    assert store.read(name) is None
    assert [job.identity for job, needed in take_inventory(store, plan).pending if needed] == ["ada"]
    aside = [name for name in store.listing() if name.startswith(layout.ASIDE)]
    assert len(aside) == 2 and bytes(len(good)) in [store.read(name) for name in aside]  # and its receipt
    assert verify(store).findings == ()


def test_a_repaired_folder_lists_what_stands_whoever_asks_for_it(store: Store) -> None:
    """What no manifest asks for any more would never be made again, and be missing for ever."""
    lost = "cross-init/ada/images/00-a-person/000.png"
    stays = "cross-init/ada/images/00-a-person/001.png"
    store.remove(lost)
    for group, pages in (("gallery", ("a.html", "b.html")), ("initial", ("c.safetensors",))):
        with publishing(store, group) as published:
            for page in pages:
                published.write(f"{group}/{page}", page.encode())
    store.write("gallery/a.html", b"A.HTML")
    store.remove("initial/c.safetensors")
    repair(store, verify(store).findings)
    after = verify(store)
    assert after.findings == () and after.unlisted == ()
    names = store.listing().keys()
    assert stays in names and "gallery/b.html" in names
    assert layout.publication("initial") not in names  # it would list nothing
    plan = a_plan()
    (state,) = (state for state in take_inventory(store, plan).states.values() if state.job.identity == "ada")
    assert state.has_artifact and lost.removeprefix("cross-init/ada/images/") not in state.pictures


def test_pages_and_other_files_are_checked_by_the_receipts_of_their_groups(store: Store) -> None:
    for group in ("gallery", "other"):
        with publishing(store, group) as pages:
            pages.write(f"{group}/a.html", group.encode())
            pages.write(f"{group}/b.jpg", b"picture")
    before = verify(store)
    assert (before.files, before.findings) == (10, ())
    store.write("gallery/a.html", b"GALLERY")
    store.remove("gallery/b.jpg")
    store.write(layout.publication("other"), b"{")
    found = verify(store)
    assert set(found.findings) == {
        Finding("gallery/a.html", "its content is not what its receipt says"),
        Finding("gallery/b.jpg", "missing"),
        Finding(layout.publication("other"), "the receipt is damaged"),
    }
    assert found.unlisted == ("other/a.html", "other/b.jpg")
    assert found.digest == before.digest  # of results, whatever pages tell of them


def test_files_that_no_receipt_lists_are_told(store: Store) -> None:
    store.write("notes.txt", b"mine")
    store.write(f"{layout.CHECKPOINTS}/x.safetensors", b"")
    assert verify(store).unlisted == ("notes.txt",)


def test_a_plan_that_still_reads_as_one_is_found_too_and_left_to_say_so(store: Store) -> None:
    data = store.read(layout.PLAN) or b""
    store.write(layout.PLAN, data.replace(b'"seed": 0', b'"seed": 1'))
    (finding,) = verify(store).findings
    assert finding.name == layout.PLAN
    repair(store, (finding,))
    with pytest.raises(DamagedPlan, match="its content is not what was written") as caught:
        read_plan(store)
    assert "Run the manifest again" in caught.value.hint


def test_a_receipt_cannot_make_verify_read_elsewhere(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    value = store.read_json("cross-init/ada/receipt.json") or {}
    value["files"]["../../../secret"] = {"size": 1, "sha256": "0" * 64}
    store.write_json("cross-init/ada/receipt.json", value)
    assert verify(store).findings == (Finding("cross-init/ada/receipt.json", "the receipt is damaged"),)


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    found = verify(Store(str(tmp_path / "nothing")))
    assert (found.files, found.findings) == (0, ())


LINK = "is a symbolic link, which is never followed"


@pytest.mark.parametrize(
    "name",
    [
        f"cross-init/ada/{EMBEDDING_FILE}",
        "cross-init/ada/images/00-a-person/000.png",
        "cross-init/ada/receipt.json",
        "cross-init/ada/images",
        "cross-init",
        "plan.json",
        "_state",
        "_state/run.lock",
        "link",
    ],
)
def test_links_are_damage_that_repair_neither_follows_nor_removes(store: Store, tmp_path: Path, name: str) -> None:
    """A folder as somebody else may have packed it; the receipts list what lies behind the link, too."""
    store.write("_state/x", b"x")
    path, outside = tmp_path / "out" / name, tmp_path / "outside"
    if path.exists():
        path.rename(outside)
    else:
        outside.mkdir()
        (outside / "precious.txt").write_bytes(b"precious")
    path.symlink_to(outside)
    if name == "link":
        facts = {"size": 8, "sha256": "0" * 64}
        store.write_json(
            layout.publication("x"), {"receipt": 1, "kind": "published", "files": {f"{name}/p.txt": facts}}
        )
    before = {str(one): one.read_bytes() for one in [outside, *outside.rglob("*")] if one.is_file()}
    found = verify(store)
    assert Finding(name, LINK) in found.findings
    repair(store, found.findings)
    assert {str(one): one.read_bytes() for one in [outside, *outside.rglob("*")] if one.is_file()} == before
    assert path.is_symlink()
    again = verify(store).findings
    assert again == (Finding(name, LINK),)  # what it hid is forgotten, or cannot be told


def test_a_pipe_or_a_huge_file_in_place_of_a_result_is_set_aside_at_once(store: Store, tmp_path: Path) -> None:
    picture, embedding = "cross-init/ada/images/00-a-person/000.png", f"cross-init/bob/{EMBEDDING_FILE}"
    for name in (picture, embedding):
        (tmp_path / "out" / name).unlink()
    os.mkfifo(tmp_path / "out" / picture)
    with (tmp_path / "out" / embedding).open("wb") as file:
        file.truncate(40 * 2**30)
    found = verify(store)
    assert set(found.findings) == {
        Finding(picture, "is a named pipe, not a file"),
        Finding(embedding, "its content is not what its receipt says"),
    }
    repair(store, found.findings)
    assert verify(store).findings == ()


def test_a_huge_receipt_and_a_huge_plan_are_damaged(store: Store, tmp_path: Path) -> None:
    for name in ("cross-init/ada/receipt.json", layout.PLAN):
        with (tmp_path / "out" / name).open("wb") as file:
            file.truncate(40 * 2**30)
    found = set(verify(store).findings)
    assert found == {
        Finding("cross-init/ada/receipt.json", "the receipt is damaged"),
        Finding(layout.PLAN, "the plan is damaged"),
    }
