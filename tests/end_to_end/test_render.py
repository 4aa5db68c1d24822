"""Pictures from given embeddings, ours or other tools', and embeddings for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from crossinit_batch import layout
from crossinit_batch.cli import app
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.formats import dump_learned_embeds, dump_webui, read_embedding
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.store import Store
from crossinit_batch.storage.tensor_file import dump_tensors
from tests.end_to_end.small_run import PEOPLE, SmallRun
from tests.helpers.tree import tree_of

V = torch.linspace(-0.05, 0.05, 64).reshape(2, 32)
QUICK = ["--steps", "1", "--images-per-prompt", "1", "--device", "cpu", "--quiet"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "two.txt"
    file.write_text("a photo of a {} person\n{} as a statue\n")
    return file


def draw(embeddings: Path | str, prompts: Path, output: Path, *more: str) -> Result:
    options = ["--embeddings", str(embeddings), "--prompts", str(prompts), "--output", str(output)]
    return CliRunner().invoke(app, ["render", *options, *QUICK, *more])


def stored_v(output: Path, identity: str, method: str = "given") -> torch.Tensor:
    name = f"{method}/{identity}/{EMBEDDING_FILE}"
    return read_embedding(Store(str(output)).read(name) or b"", name).v


def pictures(output: Path) -> list[str]:
    return sorted(str(path.relative_to(output)) for path in output.rglob("*.png"))


def test_embeddings_of_an_output_folder_are_drawn_with_its_model(
    finished: SmallRun, prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "drawn"
    before = tree_of(finished.store)
    result = draw(finished.output, prompts, output)
    assert result.exit_code == 0, result.output
    assert len(pictures(output)) == 2 * 4 * 2
    assert torch.equal(stored_v(output, "ada", "paper"), stored_v(Path(finished.output), "ada", "paper"))
    assert verify(Store(str(output))).findings == ()
    assert tree_of(finished.store) == before
    whole = tree_of(Store(str(output)))
    again = draw(finished.output, prompts, output)
    assert again.exit_code == 0 and tree_of(Store(str(output))) == whole


def test_the_same_prompt_and_seed_give_the_pictures_of_the_run(finished: SmallRun, tmp_path: Path) -> None:
    prompts = tmp_path / "same.txt"
    prompts.write_text("a photo of a {} person\na {} person on the beach\n")
    output = tmp_path / "drawn"
    options = ["--steps", "2", "--images-per-batch", "3"]
    assert draw(finished.output, prompts, output, *options).exit_code == 0
    from PIL import Image, ImageChops

    for name in pictures(output):
        with Image.open(output / name) as mine, Image.open(Path(finished.output) / name) as theirs:
            difference = ImageChops.difference(mine, theirs).getextrema()
        assert max(high for _, high in difference) <= 1, name  # batches differ, so the last bit may


FILES = {
    "diffusers": lambda v: {"eve/learned_embeds.safetensors": dump_learned_embeds(v, "eve", {})},
    "webui": lambda v: {"eve.safetensors": dump_webui(v, {})},
    "one-key": lambda v: {"eve.safetensors": dump_tensors({"<eve>": v}, {})},
    "one-vector": lambda v: {"eve.safetensors": dump_tensors({"<eve>": v[0]}, {})},
    "authors": lambda v: {"eve.safetensors": dump_tensors({"eve_v0": v[0], "eve_v1": v[1]}, {})},
}


@pytest.mark.parametrize("form", FILES)
def test_a_folder_of_single_files_of_any_tool_is_drawn(
    form: str, pipeline_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    for name, data in FILES[form](V).items():
        (tmp_path / "given" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "given" / name).write_bytes(data)
    output = tmp_path / "drawn"
    result = draw(tmp_path / "given", prompts, output, "--model", str(pipeline_folder))
    assert result.exit_code == 0, result.output
    expected = V[:1] if form == "one-vector" else V
    assert torch.equal(stored_v(output, "eve"), expected)
    assert len(pictures(output)) == 2
    page = (output / layout.GALLERY).read_text()
    assert "eve" in page


def test_the_authors_pickle_is_read_only_when_it_is_trusted(
    pipeline_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "given", tmp_path / "drawn"
    folder.mkdir()
    torch.save({"eve_v0": V[0], "eve_v1": V[1]}, folder / "eve.bin")
    model = ["--model", str(pipeline_folder)]
    refused = draw(folder, prompts, output, *model)
    assert isinstance(refused.exception, RequestError) and refused.exception.exit_code == 2
    assert "--allow-pickle" in refused.exception.hint and not output.exists()
    assert draw(folder, prompts, output, *model, "--allow-pickle").exit_code == 0
    assert torch.equal(stored_v(output, "eve"), V)


def test_a_wrong_width_fails_alone(pipeline_folder: Path, prompts: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "given", tmp_path / "drawn"
    folder.mkdir()
    (folder / "eve.safetensors").write_bytes(dump_webui(V, {}))
    (folder / "kim.safetensors").write_bytes(dump_webui(torch.ones(2, 1024), {}))
    (folder / "max.safetensors").write_bytes(b"not an embedding")
    result = draw(folder, prompts, output, "--model", str(pipeline_folder))
    assert result.exit_code == 1
    rows = json.loads((output / layout.FAILURES).read_text())["failures"]
    reasons = {row["identity"]: row["reason"] for row in rows}
    assert "1024 wide, the model's token embeddings 32" in reasons["kim"]
    assert "max.safetensors" in reasons["max"]
    assert reasons.keys() == {"kim", "max"} and len(pictures(output)) == 2
    (folder / "kim.safetensors").write_bytes(dump_webui(-V, {}))
    (folder / "max.safetensors").write_bytes(dump_webui(V.flip(1), {}))
    assert draw(folder, prompts, output, "--model", str(pipeline_folder)).exit_code == 0
    assert len(pictures(output)) == 6 and not (output / layout.FAILURES).exists()


def test_the_output_cannot_be_the_folder_of_the_embeddings(finished: SmallRun, prompts: Path) -> None:
    before = tree_of(finished.store)
    result = draw(finished.output, prompts, Path(finished.output))
    assert isinstance(result.exception, RequestError)
    assert "is the folder of the embeddings" in result.exception.message
    assert tree_of(finished.store) == before


def test_drawing_into_a_folder_within_works_twice(pipeline_folder: Path, prompts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "eve.safetensors").write_bytes(dump_webui(V, {}))
    for _ in range(2):
        result = draw(folder, prompts, folder / "out/drawn", "--model", str(pipeline_folder))
        assert result.exit_code == 0, result.exception


@pytest.mark.parametrize("form", ["webui", "diffusers"])
def test_what_is_exported_is_read_back_and_drawn(form: str, finished: SmallRun, prompts: Path, tmp_path: Path) -> None:
    target = tmp_path / "for-others"
    options = ["export", finished.output, "--format", form, "--to", str(target)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0
    paths = result.output.splitlines()
    assert len(paths) == 8 and all(Path(path).is_file() for path in paths)
    for person in PEOPLE:
        name = f"paper/{person}.safetensors" if form == "webui" else f"paper/{person}/learned_embeds.safetensors"
        found = read_embedding((target / name).read_bytes(), name)
        assert torch.equal(found.v, stored_v(Path(finished.output), person, "paper"))
        assert found.token == (None if form == "webui" else f"<{person}>")
    result = draw(target / "paper", prompts, tmp_path / "drawn", "--model", finished.values["model"])
    assert result.exit_code == 0, result.exception
    assert len(pictures(tmp_path / "drawn")) == 8


def test_a_resumed_render_reads_pickles_only_when_told_again(
    pipeline_folder: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "given", tmp_path / "drawn"
    folder.mkdir()
    torch.save({"*": V}, folder / "eve.pt")
    assert draw(folder, prompts, output, "--model", str(pipeline_folder), "--allow-pickle").exit_code == 0
    (output / "given/eve/receipt.json").unlink()
    resume: list[Any] = ["resume", str(output), "--device", "cpu", "--quiet"]
    assert CliRunner().invoke(app, resume).exit_code == 1
    assert CliRunner().invoke(app, [*resume, "--allow-pickle"]).exit_code == 0
