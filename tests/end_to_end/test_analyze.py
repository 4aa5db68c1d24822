"""`crossinit analyze` on a run: figures, numbers and page for what was asked, one model loading, no half work."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load as load_numpy
from typer.testing import CliRunner

from crossinit_batch import layout
from crossinit_batch.cli import app
from crossinit_batch.errors import CrossinitError
from crossinit_batch.model.base_model import BaseModel, Counters
from tests.end_to_end.small_run import PEOPLE, SmallRun, small_values
from tests.helpers import chromium
from tests.helpers.tree import tree_of

FIGURES = ("scale-and-orientation", "over-steps", "through-blocks", "words")
WORDS = ("--words", "face, beach")


def analyzed(output: str, *options: str) -> str:
    """What the command prints; its error is raised as it is."""
    result = CliRunner().invoke(app, ["analyze", output, "--device", "cpu", *options], catch_exceptions=False)
    if isinstance(result.exception, CrossinitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def table(run: SmallRun, name: str) -> list[dict[str, str]]:
    data = run.store.read(layout.figure(name, "csv")) or b""
    return list(csv.DictReader(io.StringIO(data.decode())))


def analysis_of(run: SmallRun) -> dict[str, str]:
    return {name: content for name, content in tree_of(run.store).items() if name.startswith("analysis/")}


@pytest.fixture(scope="module")
def counters() -> Counters:
    """What `analysed` did."""
    return Counters()


@pytest.fixture(scope="module")
def analysed(
    finished_folder: Path, pipeline_folder: Path, tmp_path_factory: pytest.TempPathFactory, counters: Counters
) -> SmallRun:
    """A finished run with its analysis, for tests that only look."""
    folder = tmp_path_factory.mktemp("analysed") / "run"
    shutil.copytree(finished_folder, folder)
    run, load = SmallRun(folder, small_values(pipeline_folder)), BaseModel.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseModel, "load", lambda source, device, dtype, _=None: load(source, device, dtype, counters))
        printed = analyzed(run.output, *WORDS)
    (folder / "printed").write_text(printed)
    return run


def test_all_figures_come_out_with_the_model_loaded_once(analysed: SmallRun, counters: Counters) -> None:
    expected = {layout.figure(name, ending) for name in FIGURES for ending in ("png", "svg", "csv")}
    assert analysis_of(analysed).keys() == {layout.ANALYSIS, *expected}
    printed = (analysed.folder / "printed").read_text().splitlines()
    assert {line.removeprefix(f"{analysed.output}/") for line in printed} == {layout.ANALYSIS, *expected}
    assert counters.model_loads == 1
    assert counters.vae_decodes == 2 * 3  # two words and the mean name, from v and from E(v)
    for name in FIGURES:
        with Image.open(io.BytesIO(analysed.store.read(layout.figure(name, "png")) or b"")) as picture:
            caption = picture.info["Description"]
        assert "From the run small; base model small (fingerprint " in caption
        if name != "words":
            assert "paper (n = 4), quick (n = 4)" in caption


def test_the_numbers_are_those_of_the_files(analysed: SmallRun) -> None:
    rows = {(row["method"], row["identity"], row["token"]): row for row in table(analysed, "scale-and-orientation")}
    assert rows.keys() == {(method, one, token) for method in ("paper", "quick") for one in PEOPLE for token in "01"}
    (initial,) = (Path(analysed.output) / "initial").iterdir()
    v_init = load_numpy(initial.read_bytes())["v_init"].astype(np.float64)
    for (method, identity, token), row in rows.items():
        file = analysed.store.read(f"{method}/{identity}/learned_embeds.safetensors") or b""
        (v,) = load_numpy(file).values()
        one, start = v[int(token)].astype(np.float64), v_init[int(token)]
        assert float(row["norm_v"]) == pytest.approx(np.sqrt((one**2).sum()), rel=1e-5)
        assert float(row["norm_v_init"]) == pytest.approx(np.sqrt((start**2).sum()), rel=1e-5)
        cosine = (one * start).sum() / np.sqrt((one**2).sum() * (start**2).sum())
        assert float(row["cosine_v_init_v"]) == pytest.approx(cosine, rel=1e-5)
    steps = [row for row in table(analysed, "over-steps") if row["identity"] == "ada" and row["method"] == "paper"]
    assert [row["steps_done"] for row in steps] == ["0", "1", "2", "3"]
    ends = [float(rows["paper", "ada", token]["norm_v"]) for token in "01"]
    assert float(steps[0]["norm_v"]) == pytest.approx(np.linalg.norm(v_init, axis=1).mean(), rel=1e-5)
    assert float(steps[-1]["norm_v"]) == pytest.approx(np.mean(ends), rel=1e-5)
    losses = list(csv.DictReader(io.StringIO((analysed.store.read("paper/ada/losses.csv") or b"").decode())))
    names = ("norm_v", "cosine_v_init", "norm_E_v", "cosine_E_v")
    assert [[row[name] for name in names] for row in steps[:-1]] == [[row[name] for name in names] for row in losses]


def test_the_same_analysis_elsewhere_is_the_same_to_the_byte(finished: SmallRun, analysed: SmallRun) -> None:
    far = finished.at(f"memory://{finished.folder.parent.name}/analysed")
    for name in finished.store.listing():
        far.store.write(name, finished.store.read(name) or b"")
    analyzed(far.output, *WORDS)
    assert analysis_of(far) == analysis_of(analysed)


def test_methods_and_identities_can_be_chosen(finished: SmallRun) -> None:
    analyzed(finished.output, "--words", "", "--method", "quick", "--identity", "cy", "--identity", "ada")
    found = {(row["method"], row["identity"]) for row in table(finished, "scale-and-orientation")}
    assert found == {("quick", "ada"), ("quick", "cy")}
    assert not finished.store.read(layout.figure("words", "png"))
    analyzed(finished.output, "--words", "", "--limit", "2")
    found = {(row["method"], row["identity"]) for row in table(finished, "through-blocks")}
    assert found == {(method, one) for method in ("paper", "quick") for one in ("ada", "cy")}


def unfinished(run: SmallRun) -> None:
    for method in ("paper", "quick"):
        for one in PEOPLE:
            run.store.remove(f"{method}/{one}/receipt.json")


def damaged(run: SmallRun) -> None:
    run.store.write("quick/bob/learned_embeds.safetensors", b"no")


def cut_losses(run: SmallRun) -> None:
    run.store.write("paper/ada/losses.csv", (run.store.read("paper/ada/losses.csv") or b"")[:-9])


def lost_start(run: SmallRun) -> None:
    shutil.rmtree(Path(run.output) / "initial")


def other_model(run: SmallRun) -> None:
    plan = run.store.read_json(layout.PLAN) or {}
    plan["model"]["fingerprint"] = "0" * 64
    del plan["content"]
    run.store.write_json(layout.PLAN, plan)


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (unfinished, (), "none of the embeddings asked for"),
        (damaged, (), "quick/bob/learned_embeds.safetensors does not match its receipt"),
        (cut_losses, (), "paper/ada/losses.csv does not match its receipt"),
        (lost_start, (), "is missing or damaged, and it says where embeddings started"),
        (other_model, (), "has changed since"),
        (None, ("--method", "papper"), "unknown method 'papper': did you mean paper?"),
        (None, ("--identity", "eve"), "unknown identity 'eve'"),
        (None, ("--words", "face " * 17), "17 tokens long"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),  # the same in every process
)
def test_what_cannot_be_analysed_gets_a_sentence_and_no_file(
    finished: SmallRun, spoil: Callable[[SmallRun], None] | None, options: tuple[str, ...], words: str
) -> None:
    if spoil:
        spoil(finished)
    with pytest.raises(CrossinitError) as caught:
        analyzed(finished.output, *options)
    assert words in str(caught.value)
    assert analysis_of(finished) == {}


def test_embeddings_of_other_tools_have_no_start_but_a_figure(finished: SmallRun) -> None:
    command = ["render", "--embeddings", f"{finished.output}/paper", "--prompts", "paper", "--steps", "1"]
    command += ["--images-per-prompt", "1", "--output", f"{finished.folder}/given", "--device", "cpu", "--quiet"]
    prompts = finished.folder / "one.txt"
    prompts.write_text("a {} person\n")
    command[4] = str(prompts)
    command += ["--model", str(finished.values["model"])]
    assert CliRunner().invoke(app, command).exit_code == 0
    analyzed(f"{finished.folder}/given", "--words", "")
    given = replace(finished, values={**finished.values, "output": "given"})
    assert layout.figure("over-steps", "png") not in analysis_of(given)
    rows = table(given, "scale-and-orientation")
    assert len(rows) == 8 and all(row["norm_v"] and row["norm_E_v"] and not row["norm_v_init"] for row in rows)
    assert (
        "how 4 of 4 embeddings went over the steps is not known" in (given.store.read(layout.ANALYSIS) or b"").decode()
    )


@pytest.mark.browser
@pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing()))
def test_the_page_opens_from_disk_and_shows_every_figure(analysed: SmallRun, tmp_path: Path) -> None:
    with chromium.chromium(tmp_path / "profile") as driver:
        for width in (1400, 390):
            chromium.resize(driver, width, 900)
            driver.get((Path(analysed.output) / layout.ANALYSIS).as_uri())
            images: list[dict[str, Any]] = driver.execute_script(
                "return [...document.images].map((one) => ({wide: one.naturalWidth, alt: one.alt}))"
            )
            assert len(images) == len(FIGURES) and all(one["wide"] > 100 and one["alt"] for one in images)
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        text = driver.find_element("tag name", "body").text
        assert "small: scale and orientation" in text and "mean name" in text
        assert len(driver.find_elements("css selector", "tbody tr")) == 2
        assert chromium.complaints(driver) == []
