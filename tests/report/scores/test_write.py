from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.plan import Job, Plan
from crossinit_batch.plan.scores import PictureScore
from crossinit_batch.prompts import Prompt
from crossinit_batch.report.outcomes import outcomes
from crossinit_batch.report.scores.write import write_scores
from crossinit_batch.report.write import write_report
from crossinit_batch.storage.store import Store
from tests.helpers import chromium
from tests.helpers.scored_run import PROMPTS, score, scored_plan, scored_run, show

NASTY = '<script>alert(1)</script>&"|*'
METHODS = ("cross-init", "cross-init-fast", "textual-inversion")


def scoring(job: Job, number: int, index: int) -> PictureScore:
    """Plausible cosines, the same every time."""
    rng = random.Random(f"{job.key} {number} {index}")
    rank = METHODS.index(job.method)
    prompt = rng.gauss(0.28 - 0.02 * rank, 0.02)
    if number == 2:
        return score(None, None, None, prompt)
    likeness = rng.gauss(0.25 - 0.04 * rank, 0.08)
    return score(2, likeness, likeness + 0.05, prompt) if rng.random() < 0.95 else score(0, None, None, prompt)


def plan_of(people: int = 12, prompts: tuple[Prompt, ...] = PROMPTS) -> Plan:
    return scored_plan(people, METHODS, prompts).model_copy(update={"name": NASTY})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def report(store: Store, inventory: Inventory, failures: list[JobFailed] | None = None) -> tuple[str, str]:
    """report.html and report.md."""
    write_report(store, inventory, failures or [], {"Last run": "3 s"})
    page, text = (store.read(name) for name in (layout.REPORT_PAGE, layout.REPORT))
    assert text is not None
    return (page or b"").decode(), text.decode()


def test_the_page_is_a_function_of_what_is_stored(store: Store) -> None:
    inventory = scored_run(store, plan_of(), scoring)
    first, _ = report(store, inventory)
    assert report(store, inventory)[0] == first
    for method in METHODS:
        assert first.count(method) > 3
    assert "0.2517" in first and "346" in first  # the paper's own row
    assert "base model: some/model here, Stable Diffusion 2.1 there" in first
    assert "e" * 64 in first and "arc.onnx" in first and "/nets/" not in first
    assert "person-03" in first and "cubism painting of a" in first


def test_nothing_a_user_writes_is_markup(store: Store) -> None:
    failed = JobFailed("cross-init", NASTY, "evaluate", NASTY, NASTY)
    prompts = (Prompt(f"{NASTY} {{}}", NASTY), *PROMPTS)
    page, text = report(store, scored_run(store, plan_of(2, prompts), scoring), [failed])
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert re.search(r"<[^>]* (style|on\w+)=", page) is None


def test_the_markdown_has_the_same_facts(store: Store) -> None:
    page, text = report(store, scored_run(store, plan_of(), scoring))
    for heading in ("## Scores", "### Differences to cross-init", "### Prompts with a second person", "### By category",
                    "### By prompt", "### Times", "### Best and worst faces", "### How it was measured"):  # fmt: skip
        assert heading in text
    (row,) = re.findall(r"\| cross-init \| (\d\.\d{3}) \[(\d\.\d{3}), (\d\.\d{3})\]", text)[:1]
    assert all(number in page for number in row)
    assert "| *the paper: Cross Initialization* | *0.2517* |" in text
    assert text.count("![person") == 3 * 2 * 6
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) > 3 for line in rows)


def test_without_scores_there_is_no_page_and_an_old_one_goes(store: Store) -> None:
    plan = plan_of(2)
    scored_run(store, plan, scoring)
    assert report(store, take_inventory(store, plan))[0]
    unjudged = take_inventory(store, plan.model_copy(update={"judges": None}))
    page, text = report(store, unjudged)
    assert page == "" and "## Scores" not in text
    assert not {layout.REPORT_PAGE, layout.SCORES, layout.SUMMARY} & store.listing().keys()


def test_scores_of_another_recogniser_are_never_mixed_in(store: Store) -> None:
    plan = plan_of(2)
    inventory = scored_run(store, plan, scoring)
    assert plan.judges is not None
    other = plan.judges.model_copy(update={"recogniser": "0" * 64})
    changed = take_inventory(store, plan.model_copy(update={"judges": other}))
    assert write_scores(store, changed, outcomes(changed, []), []) == []
    assert write_scores(store, inventory, outcomes(inventory, []), []) != []


@pytest.mark.parametrize("measure", ["identity", "prompt"])
def test_one_kind_of_score_alone_makes_a_whole_report(store: Store, measure: str) -> None:
    def alone(job: Job, number: int, index: int) -> PictureScore:
        full = scoring(job, number, index)
        if measure == "identity":
            return score(full.faces, full.identity, full.identity_best, None)
        return score(None, None, None, full.prompt)

    page, text = report(store, scored_run(store, plan_of(3), alone))
    assert "Likeness against prompt" not in page
    heading = "| method | identity | missing as 0 | faces found |" if measure == "identity" else "| method | prompt |"
    assert heading in text


@pytest.mark.browser
@pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing()))
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_opens_from_disk_and_fits(store: Store, tmp_path: Path, width: int, dark: bool) -> None:
    inventory = scored_run(store, plan_of(), scoring)
    show(store, inventory)
    report(store, inventory)
    with chromium.chromium(tmp_path / "profile", width=width, dark=dark) as driver:
        driver.get(f"file://{store.root}/{layout.REPORT_PAGE}")
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert _broken(driver) == []
        assert chromium.complaints(driver) == []
        dots = driver.execute_script("return document.querySelectorAll('.chart .faint').length")
        assert dots == 3 * 12


def _broken(driver: Any) -> list[str]:
    """The pictures that did not load, lazily loaded ones too."""
    script = """
      const done = arguments[0], pictures = [...document.images];
      for (const picture of pictures) picture.loading = "eager";
      const loaded = pictures.map(one => one.decode().then(() => "", () => one.src));
      Promise.all(loaded).then(all => done(all.filter(Boolean)));
    """
    found: list[str] = driver.execute_async_script(script)
    return found
