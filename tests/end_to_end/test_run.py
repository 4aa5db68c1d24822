"""A run from a manifest to a finished folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.methods.embedding.formats import read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.model.base_model import Counters
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.receipts import read_receipt
from tests.end_to_end.small_run import PEOPLE, SmallRun, work_done
from tests.helpers.picture_samples import picture_bytes
from tests.helpers.tree import tree_of


def test_a_run_leaves_the_folder_that_the_design_promises(small: SmallRun) -> None:
    result, record = small.run()
    assert result.exit_code == 0
    assert work_done(record) == (8, 16)
    names = set(small.store.listing())
    per_job = {
        "learned_embeds.safetensors",
        "losses.csv",
        "receipt.json",
        "images/receipt.json",
        "images/00-a-photo-of-a-person/000.png",
        "images/01-a-person-on-the-beach/000.png",
    }
    expected = {f"{method}/{person}/{name}" for method in ("paper", "quick") for person in PEOPLE for name in per_job}
    expected |= {"manifest.yaml", "plan.json", "report.md", layout.GALLERY, layout.CONTACT_SHEET, layout.LOCK}
    expected |= {layout.publication(group) for group in ("manifest", "gallery", "report")}
    rest = names - expected
    assert expected <= names
    assert sorted(re.sub(r"[0-9a-f]{8,16}", "#", name) for name in rest) == sorted(
        [
            "initial/#.safetensors",
            layout.publication("initial-#"),
            *(f"gallery/sources/{person}-#.jpg" for person in PEOPLE),
        ]
    )
    assert small.store.read(layout.MANIFEST) == small.manifest.read_bytes()


def test_what_was_stored_is_what_its_receipts_say(finished: SmallRun) -> None:
    store = finished.store
    checked = verify(store)
    assert checked.findings == () and checked.files == 8 * 4 + 9  # and the pages
    receipt = read_receipt(store, "paper/ada/receipt.json")
    assert receipt is not None
    data = store.read("paper/ada/learned_embeds.safetensors") or b""
    embedding = read_embedding(data, "ada")
    assert embedding.token == "<ada>" and tuple(embedding.v.shape) == (2, 32)
    assert embedding.metadata["digest"] == receipt.digest
    assert receipt.files[EMBEDDING_FILE].sha256 == sha256(data)
    assert receipt.facts["steps"] == 3
    assert receipt.facts["norm"] == pytest.approx([float(row.norm()) for row in embedding.v])
    assert receipt.facts["decided"]["photographs"] == [sha256((finished.folder / "photos/ada.png").read_bytes())]
    assert {"crossinit", "python", "torch", "diffusers"} <= receipt.run["versions"].keys()
    losses = (store.read("paper/ada/losses.csv") or b"").decode().splitlines()
    assert losses[0] == "step,denoising_loss,distance,norm_v,cosine_v_init,norm_E_v,cosine_E_v" and len(losses) == 4
    assert float(losses[1].split(",")[2]) == 0.0 < float(losses[3].split(",")[2])


def test_no_two_people_and_no_two_methods_have_the_same_embedding(finished: SmallRun) -> None:
    contents = {
        finished.store.read(f"{method}/{person}/{EMBEDDING_FILE}") for method in ("paper", "quick") for person in PEOPLE
    }
    assert len(contents) == 8 and None not in contents  # fmt: skip


def test_a_picture_says_how_it_was_made(finished: SmallRun) -> None:
    with Image.open(Path(finished.output) / "quick/cy/images/01-a-person-on-the-beach/000.png") as picture:
        assert picture.size == (64, 64)
        text = "\n".join(str(value) for value in picture.info.values())
    assert "a <cy> person on the beach" in text and "Steps: 2" in text and "quick" in text


def test_gallery_and_report_show_the_run(finished: SmallRun) -> None:
    page = (finished.store.read(layout.GALLERY) or b"").decode()
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    hrefs = [source for _, source in data["people"]]
    cells = zip(*[iter(data["cells"])] * 3, strict=True)
    hrefs += [data["parents"][a] + data["leaves"][b] + file for a, b, c in cells for file, *_ in data["series"][c]]
    assert len(set(hrefs)) == 4 + 16
    for href in hrefs:
        assert (Path(finished.output) / "gallery" / href).resolve().is_file(), href
    report = (finished.store.read(layout.REPORT) or b"").decode()
    assert "| paper | 3 steps x 2, learning rate 0.005" in report
    assert "| 4 of 4 | 0 | 8 of 8 |" in report
    assert str(finished.folder) not in report and str(finished.folder) not in page


def test_a_second_run_does_nothing(finished: SmallRun, counters: Counters) -> None:
    before = tree_of(finished.store)
    times = {path: path.stat().st_mtime_ns for path in Path(finished.output).rglob("*.png")}
    for again in (finished.run, finished.resume):
        result, record = again()
        assert result.exit_code == 0
        assert work_done(record) == (0, 0)
    assert counters == Counters()
    assert tree_of(finished.store) == before
    assert times == {path: path.stat().st_mtime_ns for path in Path(finished.output).rglob("*.png")}


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No initial vector is there yet."""
    monkeypatch.setenv("CROSSINIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("people", [1, 2, 8])
def test_the_expensive_things_are_done_once(small: SmallRun, counters: Counters, people: int) -> None:
    for number in range(people):
        (small.folder / f"photos/p{number}.png").write_bytes(picture_bytes(number))
    small.values["identities"] = [f"photos/p{number}.png" for number in range(people)]
    small.values["methods"] = small.values["methods"][1:]  # 2 steps of batch 1
    small.values["render"] = {"images_per_prompt": 3, "steps": 1}
    small.run()
    assert counters.model_loads == 1
    assert counters.vae_encodes == 2 * people
    assert counters.vae_decodes == 2 * 3 * people
    initial_vector, steps, negative_prompt, prompts = 1, 2 * people, 1, 2 * people
    looks = 2 * people
    assert counters.text_encodes == initial_vector + steps + looks + negative_prompt + prompts


@pytest.mark.usefixtures("empty_cache")
def test_the_negative_prompt_and_the_initial_vector_are_encoded_once_for_all_methods(
    small: SmallRun, counters: Counters
) -> None:
    small.run()
    training = 4 * 3 * (2 + 1) + 4 * 2 * (1 + 1)  # batch and one look at E(v), each step
    assert counters.text_encodes == 1 + training + 1 + 2 * 4 * 2


def test_storage_without_folders_holds_the_same(small: SmallRun) -> None:
    small.values["identities"] = small.values["identities"][:2]
    small.run()
    far = small.at(f"memory://{small.folder.name}/a b/out")
    result, _ = far.run()
    assert result.exit_code == 0
    local = tree_of(small.store)
    remote = tree_of(far.store)
    differs = {name for name in local | remote if local.get(name) != remote.get(name)}
    assert differs == {layout.MANIFEST}  # it names the output
    assert verify(far.store).digest == verify(small.store).digest
    _, record = far.run()
    assert work_done(record) == (0, 0)


def test_results_do_not_depend_on_how_the_work_was_ordered(finished: SmallRun) -> None:
    turned = finished.at("turned")
    turned.values["methods"] = turned.values["methods"][::-1]
    turned.run()
    kept = {name: content for name, content in tree_of(finished.store).items() if name.startswith(("paper", "quick"))}
    assert kept == {name: tree_of(turned.store)[name] for name in kept}
