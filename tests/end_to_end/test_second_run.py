"""A run into a folder that an earlier one has finished: what edits of the manifest and damage leave to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.model.base_model import Counters
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.report.verify import repair, verify
from crossinit_batch.runner.execution import RunResult
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import Recorder, SmallRun, failed, notes, work_done
from tests.helpers.picture_samples import picture_bytes
from tests.helpers.tree import tree_of

Edit = Callable[[dict[str, Any]], None]


def edited(small: SmallRun, edit: Edit) -> tuple[RunResult, Recorder]:
    edit(small.values)
    return small.run()


def pictures_of(store: Store) -> dict[str, str]:
    return {name: content for name, content in tree_of(store).items() if name.endswith(".png")}


def test_a_prompt_more_draws_only_its_pictures(finished: SmallRun) -> None:
    before = pictures_of(finished.store)
    result, record = edited(finished, lambda values: values["prompts"].append("cubism painting of a {} person"))
    assert result.exit_code == 0 and work_done(record) == (0, 8)
    after = pictures_of(finished.store)
    assert before.items() < after.items()
    assert all("02-cubism-painting-of-a-person" in name for name in after.keys() - before.keys())
    assert verify(finished.store).findings == ()


def test_more_pictures_a_prompt_draw_only_the_new_ones(finished: SmallRun) -> None:
    before = pictures_of(finished.store)
    _, record = edited(finished, lambda values: values["render"].update(images_per_prompt=3))
    assert work_done(record) == (0, 32)
    after = pictures_of(finished.store)
    assert before.items() < after.items() and len(after) == 48
    assert len(set(after.values())) == 48


def test_another_learning_rate_does_that_method_again(finished: SmallRun) -> None:
    before = tree_of(finished.store)
    _, record = edited(finished, lambda values: values["methods"][0].update(learning_rate=0.01))
    assert work_done(record) == (4, 8)
    after = tree_of(finished.store)
    changed = {name for name in before if after[name] != before[name]}
    assert {name.split("/")[0] for name in changed} == {"paper", "manifest.yaml", "gallery"}
    assert verify(finished.store).findings == ()
    fresh = finished.at("fresh")
    fresh.run()
    assert {**tree_of(fresh.store), layout.MANIFEST: ""} == {**after, layout.MANIFEST: ""}


def test_another_sampler_draws_again_and_learns_nothing(finished: SmallRun) -> None:
    before = pictures_of(finished.store)
    _, record = edited(finished, lambda values: values["render"].update(scheduler="ddim"))
    assert work_done(record) == (0, 16)
    after = pictures_of(finished.store)
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())
    assert verify(finished.store).findings == ()


def test_a_person_who_was_removed_is_kept_and_reported(finished: SmallRun) -> None:
    kept = {name: content for name, content in tree_of(finished.store).items() if "/dee/" in name}
    result, record = edited(finished, lambda values: values["identities"].pop())
    assert work_done(record) == (0, 0) and result.exit_code == 0
    assert result.inventory.orphans == ("paper/dee", "quick/dee")
    after = tree_of(finished.store)
    assert {name: after[name] for name in kept} == kept
    assert b"dee" not in (finished.store.read(layout.GALLERY) or b"")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda values: values["identities"].reverse(), id="identities-reordered"),
        pytest.param(lambda values: values["methods"].reverse(), id="methods-reordered"),
        pytest.param(lambda values: values.update(name="renamed"), id="renamed"),
        pytest.param(
            lambda values: values.update(
                compute={"identities_per_batch": 1, "images_per_batch": 1, "checkpoint_every": 1}
            ),
            id="compute",
        ),
    ],
)
def test_edits_that_leave_nothing_to_do(finished: SmallRun, counters: Counters, edit: Edit) -> None:
    _, record = edited(finished, edit)
    assert work_done(record) == (0, 0)
    assert counters == Counters()


def test_a_comment_changes_nothing(finished: SmallRun) -> None:
    finished.values["# just a comment"] = None
    lines = finished.save().read_text().splitlines()
    text = "\n".join(line for line in lines if "# just a comment" not in line).rstrip().rstrip("}").rstrip()
    finished.manifest.write_text("# a comment\n" + text.rstrip(",") + "\n}\n")
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.manifest.load import load_manifest
    from crossinit_batch.runner.run import run_manifest

    record = Recorder()
    run_manifest(load_manifest(finished.manifest), record, record.stop, RunOptions("cpu"))
    assert work_done(record) == (0, 0)
    assert (finished.store.read(layout.MANIFEST) or b"").startswith(b"# a comment")


def test_everything_in_the_folder_is_verified_and_made_again_as_it_was(finished: SmallRun) -> None:
    """Whatever a run leaves: a bit of every file that is no result is flipped, or the file is taken away."""
    before, found = tree_of(finished.store), verify(finished.store)
    assert found.findings == () and found.unlisted == ()
    (initial,) = (name for name in before if name.startswith("initial/"))
    flipped = {layout.REPORT, *(name for name in before if name.startswith(("gallery/", "initial/")))}
    assert len(flipped) >= 8
    for name in flipped:
        data = bytearray(finished.store.read(name) or b"")
        data[len(data) // 2] ^= 1
        finished.store.write(name, bytes(data))
    assert {finding.name for finding in verify(finished.store).findings} == flipped
    repair(finished.store, verify(finished.store).findings)
    assert verify(finished.store).findings == ()
    assert not flipped & finished.store.listing().keys()
    result, record = finished.resume()
    assert result.exit_code == 0 and work_done(record) == (0, 0)
    assert verify(finished.store).findings == ()
    after = {name: content for name, content in tree_of(finished.store).items() if not name.startswith(layout.ASIDE)}
    assert after == before and initial in after


def test_a_small_photograph_whose_bytes_were_flipped_is_made_again_unasked(finished: SmallRun) -> None:
    before = tree_of(finished.store)
    name = next(name for name in before if name.startswith("gallery/sources/"))
    data = finished.store.read(name) or b""
    finished.store.write(name, data[:-1] + bytes([data[-1] ^ 1]))
    finished.resume()
    assert tree_of(finished.store) == before


def test_a_photograph_replaced_under_its_name_size_and_time_is_seen(small: SmallRun) -> None:
    photograph = small.folder / "photos/bob.png"
    first, second = picture_bytes(1), picture_bytes(7)
    size = max(len(first), len(second))
    photograph.write_bytes(first.ljust(size, b"\0"))
    facts = photograph.stat()
    small.run()
    photograph.write_bytes(second.ljust(size, b"\0"))
    os.utime(photograph, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (photograph.stat().st_size, photograph.stat().st_mtime_ns) == (size, facts.st_mtime_ns)
    before = tree_of(small.store)
    _, record = small.run()
    assert failed(record) == [] and work_done(record) == (2, 4)
    after = tree_of(small.store)
    changed = {name for name in before if before[name] != after.get(name)}
    assert {name.split("/")[1] for name in changed} == {"bob", "index.html", "contact-sheet.jpg"}


def test_another_model_does_everything_again_and_resume_refuses_it(
    small: SmallRun, pipeline_folder: Path, tmp_path: Path
) -> None:
    import shutil

    from crossinit_batch.errors import OutputError

    model = tmp_path / "model"
    shutil.copytree(pipeline_folder, model)
    small.values.update(model=str(model), identities=["photos/ada.png"], methods=small.values["methods"][1:])
    small.run()
    weights = model / "unet/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(OutputError, match="has changed since .* was planned"):
        small.resume()
    _, record = small.run()
    assert work_done(record) == (1, 2)


def test_damaged_and_missing_results_are_found_and_made_again_as_they_were(finished: SmallRun) -> None:
    finished.run()  # so that the plan was frozen with nothing left to do
    whole = tree_of(finished.store)
    folder = Path(finished.output)
    (folder / "paper/ada/learned_embeds.safetensors").write_bytes(b"short")
    (folder / "paper/bob/receipt.json").write_text("{")
    (folder / "quick/cy/images/receipt.json").unlink()
    (folder / "quick/dee/images/00-a-photo-of-a-person/000.png").unlink()
    plan = read_plan(finished.store)
    assert plan is not None
    states = take_inventory(finished.store, plan).states
    assert states["paper", "ada"].why == "missing or of another size: learned_embeds.safetensors"
    assert states["paper", "bob"].why == "its receipt is damaged"
    assert len(states["quick", "cy"].pictures) == 0 and len(states["quick", "dee"].pictures) == 1
    _, record = finished.resume()
    assert work_done(record) == (2, 2 + 2 + 2 + 1)  # a new embedding draws all its pictures
    assert tree_of(finished.store) == whole


def test_the_plan_says_which_setting_has_changed(finished: SmallRun) -> None:
    finished.values["methods"][0]["learning_rate"] = 0.01
    finished.values["seed"] = 3
    from crossinit_batch.manifest.load import load_manifest
    from crossinit_batch.runner.overview import overview_of

    overview = overview_of(load_manifest(finished.save()))
    inventory = overview.inventory
    assert overview.expected is not None and overview.expected.device_seconds > 0
    assert inventory.states["paper", "ada"].why == "seed 0 → 3, settings.learning_rate 0.005 → 0.01"
    assert inventory.states["quick", "ada"].why == "seed 0 → 3"


def test_a_damaged_plan_is_planned_anew_and_a_newer_one_is_refused(small: SmallRun) -> None:
    from crossinit_batch.errors import OutputError
    from crossinit_batch.events import Warned

    small.values["identities"] = small.values["identities"][:1]
    small.run()
    whole = tree_of(small.store)
    small.store.write(layout.PLAN, b'{"plan": 1, "name"')
    _, record = small.run()
    assert work_done(record) == (0, 0) and tree_of(small.store) == whole
    assert any("planning anew" in warning.message for warning in record.of(Warned))
    newer = json.dumps({"plan": 99}).encode()
    small.store.write(layout.PLAN, newer)
    with pytest.raises(OutputError, match="schema 99"):
        small.run()
    assert small.store.read(layout.PLAN) == newer


def test_a_changed_request_says_what_becomes_of_what_was_done(finished: SmallRun) -> None:
    finished.values["methods"][1]["steps"] = 3
    finished.values["identities"] = finished.values["identities"][:3]
    _, record = finished.run()
    told = notes(record)
    assert "3 embeddings are kept, 3 are made again: 3 x settings.steps 2 → 3" in told
    assert "2 results that are not asked for any more are kept as they are" in told
    _, again = finished.run()
    assert "made again" not in notes(again)
