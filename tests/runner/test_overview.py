from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.errors import OutputError
from crossinit_batch.model.device_speed import Device
from crossinit_batch.plan.estimate import TimeEstimate, Work, work_left
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.report.verify import repair, verify
from crossinit_batch.runner.overview import (
    Overview,
    follow_status,
    print_overview,
    print_status,
    print_verification,
    status_of,
)
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_all, store_embedding


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_work_is_counted_in_samples_of_the_unet(store: Store) -> None:
    plan = a_plan(methods=("cross-init", "cross-init-fast"))
    assert work_left(take_inventory(store, plan)) == Work(4, {"learning": 2 * (320 + 25) * 8}, 8, 8 * 50 * 2)
    store_embedding(store, plan, plan.jobs[0])
    assert work_left(take_inventory(store, plan)) == Work(3, {"learning": (320 + 2 * 25) * 8}, 8, 8 * 50 * 2)
    store_all(store, plan)
    assert work_left(take_inventory(store, plan)) == Work(0, {}, 0, 0)


def test_without_guidance_a_step_is_one_sample(store: Store) -> None:
    plan = a_plan()
    plan = plan.model_copy(update={"render": plan.render.model_copy(update={"guidance": 1.0})})
    assert work_left(take_inventory(store, plan)).denoising_samples == 4 * 50


def printed(store: Store, seed: int = 0, *, as_json: bool = False, here: bool = True, hint: str = "") -> str:
    stream = io.StringIO()
    expected = TimeEstimate(Device("cpu", "Some Processor"), 6.0, 200.0, 64.0, 10.0, 140.0, 2, True) if here else None
    print_overview(Overview(take_inventory(store, a_plan(seed=seed)), expected, hint), stream, as_json=as_json)
    return stream.getvalue()


def test_the_overview_says_what_is_new_stale_and_left_over(store: Store) -> None:
    store_all(store, a_plan(methods=("cross-init", "textual-inversion")))
    text = printed(store, seed=1, here=False)
    assert "small: 2 identities x 1 method, 1 prompt x 2 pictures" in text
    assert "some/model (not on this machine yet; `run` fetches it)" in text
    assert "cross-init/ada: seed 0 → 1" in text
    assert "not in the manifest any more, kept:\n  textual-inversion/ada\n  textual-inversion/bob" in text
    assert "left to do: 2 embeddings (5,120 samples forward and backward), 4 pictures (400 samples forward)" in text
    assert "estimate" not in text  # nothing is known of a model that is not here
    assert (
        "estimate by an earlier run here: 2 min 26 s with 2 workers on Some Processor "
        "(start 6 s; summed over workers learning 3 min 20 s, drawing 1 min 4 s, judging 10 s)\n"
    ) in printed(store, seed=1)
    facts = json.loads(printed(store, seed=1, as_json=True))
    seconds = {"wall": 146, "device": 274, "start": 6, "learning": 200, "drawing": 64, "judging": 10}
    assert facts["estimate"]["seconds"] == seconds and facts["estimate"]["workers"] == 2
    assert facts["stale"] == {"cross-init/ada": "seed 0 → 1", "cross-init/bob": "seed 0 → 1"}
    assert facts["methods"]["cross-init"] == {
        "embeddings": 2, "done": 0, "new": 0, "stale": 2, "pictures": 4, "pictures_done": 0,
    }  # fmt: skip


def test_the_overview_says_how_idle_workers_could_help(store: Store) -> None:
    assert printed(store, hint="1 of 2 workers have nothing to do").endswith("1 of 2 workers have nothing to do\n")
    assert json.loads(printed(store, hint="1 of 2", as_json=True))["hint"] == "1 of 2"


def test_status_shows_progress_and_failures(store: Store) -> None:
    plan = a_plan()
    store_all(store, plan)
    store.remove("cross-init/bob/receipt.json")
    row = {"method": "cross-init", "identity": "bob", "stage": "photograph", "reason": "cut \x1b[31mshort", "hint": ""}
    store.write_json(layout.FAILURES, {"failures": [row]})
    stream = io.StringIO()
    status = status_of(store)
    print_status(status, stream, as_json=False)
    text = stream.getvalue()
    assert "small: not finished" in text and "`crossinit resume` goes on." in text
    assert "cross-init/bob: cut \\x1b[31mshort" in text
    stream = io.StringIO()
    print_status(status, stream, as_json=True)
    assert json.loads(stream.getvalue())["methods"]["cross-init"]["done"] == 1


def test_status_of_a_finished_run(store: Store) -> None:
    store_all(store, a_plan())
    stream = io.StringIO()
    print_status(status_of(store), stream, as_json=False)
    assert stream.getvalue().startswith("small: finished\n") and "resume" not in stream.getvalue()


@pytest.mark.parametrize("failures", [b"{", b'{"failures": 3}', b'{"failures": ["x"]}', b"[]"])
def test_a_damaged_list_of_failures_does_not_hide_the_rest(store: Store, failures: bytes) -> None:
    store_all(store, a_plan())
    store.write(layout.FAILURES, failures)
    stream = io.StringIO()
    print_status(status_of(store), stream, as_json=False)
    assert stream.getvalue().startswith("small: finished\n")


def test_status_needs_a_folder_of_ours(store: Store) -> None:
    with pytest.raises(OutputError, match=r"has no plan\.json"):
        status_of(store)


def test_a_verification_is_told_with_what_to_do(store: Store) -> None:
    store_all(store, a_plan())
    store.write("cross-init/ada/images/00-a-person/000.png", b"other")
    found = verify(store)
    stream = io.StringIO()
    print_verification(store, found, stream, repaired=False, as_json=False)
    text = stream.getvalue()
    assert "000.png: its content is not what its receipt says" in text
    assert f"5 of 6 files match their receipts; digest {found.digest[:16]}" in text
    assert "`--repair` sets them aside." in text
    repair(store, found.findings)
    stream = io.StringIO()
    print_verification(store, found, stream, repaired=True, as_json=True)
    assert json.loads(stream.getvalue())["findings"][0]["file"].endswith("000.png")


def test_following_shows_every_change_and_ends_with_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's run, seen between its receipts."""
    plan = a_plan()
    write_plan(store, plan)
    waited: list[float] = []

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:  # at the first look nothing had changed
            store_embedding(store, plan, plan.jobs[0])
        if len(waited) == 3:
            store_all(store, plan)

    monkeypatch.setattr("time.sleep", meanwhile)
    stream = io.StringIO()
    follow_status(store, stream, every=7, as_json=True)
    assert waited == [7, 7, 7]
    looks = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [look["methods"]["cross-init"]["done"] for look in looks] == [0, 1, 2]
    assert [look["finished"] for look in looks] == [False, False, True]
    stream = io.StringIO()
    follow_status(store, stream, every=7, as_json=False)
    assert stream.getvalue().startswith("small: finished\n") and len(waited) == 3
