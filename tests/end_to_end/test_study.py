"""The user study driven as a participant drives it, in a real browser, and its answers counted by the command."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from crossinit_batch import layout
from crossinit_batch.cli import app
from crossinit_batch.errors import CrossinitError
from crossinit_batch.study.key import Key
from tests.end_to_end.small_run import SmallRun
from tests.helpers import chromium

METHODS = ("paper", "quick")


def command(*arguments: str) -> str:
    """What a command prints; its error is raised as it is."""
    result = CliRunner().invoke(app, ["study", *arguments], catch_exceptions=False)
    if isinstance(result.exception, CrossinitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def made(run: SmallRun, *options: str) -> Key:
    study = command(run.output, *options).split()[1].rstrip(":")
    key = Key.read(run.store, study)
    assert key is not None
    return key


def named(page: str) -> list[str]:
    """The methods that a page names, its style sheet (with its colour of paper) apart."""
    return [name for name in METHODS if name in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)]


def rows_of(run: SmallRun) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((run.store.read(layout.STUDY_TALLY) or b"").decode())))


def test_nothing_a_participant_gets_names_a_method(finished: SmallRun) -> None:
    key = made(finished, "--pairs", "8")
    page = (finished.store.read(layout.STUDY) or b"").decode()
    assert len(key.items) == 8 and named(page) == []
    files = [name for name in finished.store.listing() if name.startswith("study/")]
    assert len(files) == 1 + 16 + 4 and not any(name in file for file in files for name in METHODS)
    for item in key.items.values():
        assert sorted(item.pictures.values()) == ["paper", "quick"]
        for copy, method in item.pictures.items():
            with Image.open(io.BytesIO(finished.store.read(layout.study_picture(copy)) or b"")) as picture:
                assert not picture.info
                pixels = np.asarray(picture)
            number = finished.values["prompts"].index(item.prompt)
            (original,) = Path(finished.output, method, item.identity, "images").glob(f"0{number}-*/000.png")
            with Image.open(original) as picture:
                np.testing.assert_array_equal(np.asarray(picture), pixels)


def test_a_seed_is_a_study_and_its_key_outlives_the_next(finished: SmallRun) -> None:
    first, second = made(finished, "--pairs", "4"), made(finished, "--pairs", "4", "--seed", "1")
    assert first.study != second.study
    assert Key.read(finished.store, first.study) == first
    assert made(finished, "--pairs", "4") == first
    kept = {name for name in finished.store.listing() if name.startswith(layout.STUDY_PICTURES)}
    shown = {layout.study_picture(name) for item in first.items.values() for name in item.pictures}
    assert shown <= kept and all(name.endswith(".jpg") for name in kept - shown)
    people = [item.identity for item in first.items.values()]
    assert len(set(people)) == 4 and len({item.prompt for item in first.items.values()}) == 2


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium.chromium(tmp_path / "profile") as driver:
        behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        yield driver


def begin(driver: Any, run: SmallRun, name: str) -> None:
    driver.get((Path(run.output) / layout.STUDY).as_uri())
    driver.find_element("id", "name").send_keys(name)
    driver.find_element("css selector", "#begin button").click()


def shown(driver: Any) -> tuple[str, str, str, str]:
    """The count, the question, and the file names left and right."""
    script = "return [count.textContent, question.textContent, left.firstChild.src, right.firstChild.src]"
    script = "const q = (id) => document.getElementById(id);" + script
    for one in ("count", "question", "left", "right"):
        script = script.replace(f"{one}.", f"q('{one}').", 1)
    count, question, left, right = driver.execute_script(script)
    return count, question, left.rpartition("/")[2], right.rpartition("/")[2]


def downloaded(folder: Path, name: str) -> Path:
    for _ in range(100):
        found = list(folder.glob(f"answers-*-{name}.json"))
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no file of answers was saved")


@pytest.mark.browser
@pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing()))
def test_a_participant_answers_undoes_comes_back_saves_and_is_counted(
    finished: SmallRun, browser: Any, tmp_path: Path
) -> None:
    key = made(finished, "--pairs", "6")
    owner = {name: method for item in key.items.values() for name, method in item.pictures.items()}
    begin(browser, finished, "p1")
    keyboard = browser.switch_to.active_element
    assert shown(browser)[0] == "1 of 12"

    keyboard.send_keys("0")  # answered, then taken back
    assert shown(browser)[0] == "2 of 12"
    keyboard.send_keys("\ue003")  # Backspace
    assert shown(browser)[0] == "1 of 12"

    wins = {"identity": 0, "prompt": 0}
    for number in range(12):
        count, question, left, right = shown(browser)
        assert count == f"{number + 1} of 12" and {owner[left], owner[right]} == {"paper", "quick"}
        kind = "identity" if "photograph" in question else "prompt"
        if number == 4:
            browser.find_element("id", "same").click()
        else:
            better = "paper" if kind == "identity" else "quick"
            side = "left" if owner[left] == better else "right"
            wins[kind] += 1
            if number % 2:
                browser.find_element("id", side).click()
            else:
                browser.find_element("tag name", "body").send_keys({"left": "1", "right": "\ue014"}[side])
        if number == 6:
            browser.refresh()
            assert shown(browser)[0] == "8 of 12"
    assert "Thank you" in browser.find_element("id", "end").text
    assert named(browser.page_source) == []
    browser.find_element("css selector", "#end .save").click()
    file = downloaded(tmp_path, "p1")
    assert chromium.complaints(browser) == []

    printed = command("tally", str(file), "--output", finished.output)
    assert "100.0 %" in printed or "0.0 %" in printed
    rows = {row["question"]: row for row in rows_of(finished)}
    assert (rows["identity"]["method"], rows["identity"]["other"]) == ("paper", "quick")
    assert int(rows["identity"]["preferred"]) == wins["identity"] and rows["identity"]["other_preferred"] == "0"
    assert int(rows["prompt"]["other_preferred"]) == wins["prompt"] and rows["prompt"]["preferred"] == "0"
    assert sum(int(row["same"]) for row in rows.values()) == 1 and wins["identity"] + wins["prompt"] == 11


@pytest.mark.browser
@pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing()))
def test_every_width_fits_and_participants_meet_other_orders_and_sides(finished: SmallRun, browser: Any) -> None:
    made(finished, "--pairs", "8")
    begin(browser, finished, "p1")
    first = shown(browser)
    for width in (1400, 390):
        chromium.resize(browser, width, 780)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.execute_script("return [...document.images].every((one) => one.alt && one.naturalWidth > 0)")
    met = {first}
    for name in ("p2", "p3", "p4", "p5"):
        browser.execute_script("localStorage.clear()")
        begin(browser, finished, name)
        met.add(shown(browser))
    assert len(met) > 1


def answers(key: Key, participant: str, choose: Callable[[str], int | None]) -> dict[str, Any]:
    """A file of answers as the page saves it; `choose` gives the method's number, or None, for a question."""
    import zlib

    given = []
    for name, item in key.items.items():
        for question in item.questions:
            pictures, number = list(item.pictures), choose(question)
            sides = {"left": pictures[0], "right": pictures[1], "chosen": None if number is None else pictures[number]}
            given.append({"item": name, "question": question, **sides})
    said = [key.study, participant, *(part for one in given for part in one.values())]
    check = f"{zlib.crc32(json.dumps(said, separators=(',', ':')).encode()):08x}"
    head = {"kind": "crossinit study answers", "schema_number": 1, "study": key.study, "participant": participant}
    return {**head, "answers": given, "check": check}


def test_files_that_do_not_belong_are_refused_each_with_a_sentence(finished: SmallRun, tmp_path: Path) -> None:
    other, key = made(finished, "--pairs", "4", "--seed", "1"), made(finished, "--pairs", "4")
    whole = answers(key, "a", lambda _: 0)
    files = {
        "good.json": json.dumps(whole),
        "other.json": json.dumps(answers(other, "b", lambda _: 0)),
        "twice.json": json.dumps(whole, indent=1),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CrossinitError) as caught:
        command("tally", *(str(tmp_path / name) for name in files), "--output", finished.output)
    assert "other.json: these are answers to another study" in caught.value.message
    assert (
        "twice.json: participant a has answered in" in caught.value.message and "good.json:" not in caught.value.message
    )
    damaged = {
        "cut.json": files["good.json"][:-20],
        "changed.json": files["good.json"].replace(whole["answers"][0]["chosen"], "0" * 20 + ".png", 1),
        "foreign.json": "[1, 2]",
    }
    for name, text in damaged.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CrossinitError) as caught:
        command("tally", *(str(tmp_path / name) for name in (*damaged, "missing.json")), "--output", finished.output)
    lines = caught.value.message.splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == [*damaged, "missing.json"]
    assert not finished.store.read(layout.STUDY_TALLY)


def test_the_study_is_found_under_out(finished: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = made(finished, "--pairs", "4")
    said = answers(key, "a", lambda question: 0 if question == "identity" else None)
    (tmp_path / "a.json").write_text(json.dumps(said))
    monkeypatch.chdir(finished.folder)
    printed = command("tally", str(tmp_path / "a.json"))
    assert "4 : 0 : 0" in printed and "0 : 4 : 0" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "papper"), "did you mean paper?"),
        (("--method", "paper"), "there is only paper"),
        (("--reference", "none"), "unknown method 'none'"),
    ],
)
def test_a_study_that_cannot_be_gets_a_sentence(finished: SmallRun, options: tuple[str, ...], words: str) -> None:
    with pytest.raises(CrossinitError) as caught:
        command(finished.output, *options)
    assert words in str(caught.value)
    assert not finished.store.read(layout.STUDY)
