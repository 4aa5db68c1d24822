"""Embeddings that live in the text encoder's output, from the manifest to the figures, beside those of its input."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops
from typer.testing import CliRunner, Result

from crossinit_batch import layout
from crossinit_batch.cli import app
from crossinit_batch.errors import Interrupted, RequestError
from crossinit_batch.events import CheckpointSaved
from crossinit_batch.methods.embedding.formats import EmbeddingFile, read_embedding
from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.model.counters import Counters
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.receipts import read_receipt
from tests.end_to_end.small_run import Recorder, SmallRun, small_values
from tests.helpers.tree import tree_of

METHODS = [
    {"name": "paper", "use": "cross-init", "steps": 3, "batch_size": 2},
    {"name": "outside", "use": "cross-init", "steps": 3, "batch_size": 2, "place": "output"},
]


@pytest.fixture
def both(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Two people by both methods, nothing done yet."""
    return SmallRun(photographs.parent, small_values(pipeline_folder, ("ada", "bob"), methods=METHODS))


def stored(run: SmallRun, method: str, identity: str) -> EmbeddingFile:
    name = f"{method}/{identity}/{EMBEDDING_FILE}"
    return read_embedding(run.store.read(name) or b"", name)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_they_start_where_the_others_do_with_the_mean_name_standing_in(both: SmallRun) -> None:
    result, _ = both.run()
    assert result.exit_code == 0
    outside, inside = stored(both, "outside", "ada"), stored(both, "paper", "ada")
    assert inside.anchor is None and not torch.equal(inside.v, outside.v)
    receipts = [read_receipt(both.store, f"{method}/ada/receipt.json") for method in ("paper", "outside")]
    starts = {receipt.facts["initial"] for receipt in receipts if receipt}
    assert len(starts) == 1
    start = InitialVector.load(both.store.read(starts.pop()) or b"", "start")
    assert start is not None and outside.anchor is not None and torch.equal(outside.anchor, start.v_bar)
    assert receipts[1] is not None and receipts[1].facts["decided"]["settings"]["place"] == "output"
    assert receipts[0] is not None and "place" not in receipts[0].facts["decided"]["settings"]
    with_both = (both.store.read(layout.REPORT) or b"").decode()
    assert with_both.count("v in the text encoder's output") == 1
    assert verify(both.store).findings == ()


def test_a_run_that_is_cut_while_it_learns_them_ends_as_one_that_is_not(both: SmallRun) -> None:
    whole, cut = both.at("whole"), both.at("cut")
    whole.run()
    recorder = Recorder(when=lambda event, _: isinstance(event, CheckpointSaved) and event.method == "outside")
    with pytest.raises(Interrupted):
        cut.run(recorder)
    cut.resume()
    for name in ("ada", "bob"):
        file = f"outside/{name}/{EMBEDDING_FILE}"
        assert cut.store.read(file) == whole.store.read(file) is not None


def test_given_to_render_they_draw_the_pictures_of_their_run(both: SmallRun, tmp_path: Path) -> None:
    both.run()
    prompts = tmp_path / "same.txt"
    prompts.write_text("a photo of a {} person\na {} person on the beach\n")
    options = ["--steps", "2", "--images-per-prompt", "1", "--images-per-batch", "3", "--device", "cpu", "--quiet"]
    (tmp_path / "single").mkdir()
    (tmp_path / "single/ada.safetensors").write_bytes(both.store.read(f"outside/ada/{EMBEDDING_FILE}") or b"")
    for given, method in ((both.output, "outside"), (str(tmp_path / "single"), "given")):
        drawn = tmp_path / f"drawn-{method}"
        more = ["--prompts", str(prompts), "--output", str(drawn), "--model", str(both.values["model"])]
        result = command("render", "--embeddings", given, *more, *options)
        assert result.exit_code == 0, result.output
        for picture in sorted((Path(both.output) / "outside/ada").rglob("*.png")):
            name = picture.relative_to(Path(both.output) / "outside")
            with Image.open(picture) as theirs, Image.open(drawn / method / name) as mine:
                extrema = ImageChops.difference(mine, theirs).getextrema()
            assert max(high for _, high in extrema) <= 1, name
        copied = read_embedding((drawn / method / "ada" / EMBEDDING_FILE).read_bytes(), "copied")
        assert copied.anchor is not None and torch.equal(copied.v, stored(both, "outside", "ada").v)


def test_no_other_tool_gets_them(both: SmallRun) -> None:
    both.run()
    exported = command("export", both.output)
    assert exported.exit_code == 0 and "outside is left out" in exported.stderr
    assert [Path(line).name for line in exported.stdout.split()] == ["ada.safetensors", "bob.safetensors"]
    alone = both.at("alone")
    alone.values["methods"] = METHODS[1:]
    alone.run()
    before = tree_of(alone.store)
    refused = command("export", alone.output)
    assert isinstance(refused.exception, RequestError) and refused.exception.exit_code == 2
    assert tree_of(alone.store) == before


def test_figures_say_which_of_them_have_no_way_through_the_encoder(both: SmallRun) -> None:
    both.run()
    result = command("analyze", both.output, "--device", "cpu", "--words", "")
    assert result.exit_code == 0, result.output
    assert "outside: 2 of 2 embeddings live in the text encoder's output" in result.stderr

    def table(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((both.store.read(layout.figure(name, "csv")) or b"").decode())))

    for row in table("scale-and-orientation"):
        assert row["norm_v"] and row["norm_v_init"] and row["cosine_v_init_v"]
        assert all((row[name] == "") == (row["method"] == "outside") for name in ("norm_E_v", "cosine_v_E_v"))
    assert {row["method"] for row in table("over-steps")} == {"paper", "outside"}
    assert {row["method"] for row in table("through-blocks")} == {"paper"}
    page = (both.store.read(layout.ANALYSIS) or b"").decode()
    assert page.count("In outside v lives in the text encoder") == 2
    only = command("analyze", both.output, "--device", "cpu", "--words", "", "--method", "outside")
    assert only.exit_code == 0, only.output
    assert "through-blocks" not in only.stdout


def test_learning_them_passes_no_caption_through_the_encoder_twice(both: SmallRun, counters: Counters) -> None:
    """Two batches of three steps and two prompts, the negative prompt, and the initial vector."""
    both.values["methods"] = METHODS[1:]
    both.run()
    assert counters.model_loads == 1
    learned, drawn = 81, 2 * 2 + 1
    assert counters.text_encodes - learned - drawn in (0, 1)  # one where no test before has cached the start
