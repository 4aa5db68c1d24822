"""The bundled world itself: whole, small enough, and able to draw whom and what it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

import crossinit_batch
from crossinit_batch.cli import app
from crossinit_batch.demo import exam_names
from crossinit_batch.demo.drawing.scene import BACKGROUNDS
from crossinit_batch.demo.faces import write_faces
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training.vocabulary import demo_tokenizer
from crossinit_batch.methods.embedding.initial_vector import initial_vector
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings, RenderSettings
from crossinit_batch.world import JUDGES, PIPELINE

WORLD = Path(crossinit_batch.__file__).parent / "world"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model() -> BaseModel:
    return BaseModel.load(fetched_model(ModelSettings(id="demo")), torch.device("cpu"), "float32")


def test_all_weights_together_fit_the_package() -> None:
    files = [path for path in WORLD.rglob("*") if path.suffix in (".safetensors", ".onnx")]
    assert {path.name for path in files} >= {"detector.onnx", "recogniser.onnx", "attributes.onnx"}
    assert 10 * MEGABYTE < sum(path.stat().st_size for path in files) <= 20 * MEGABYTE
    for path in PIPELINE.rglob("*.safetensors"):
        with safe_open(path, "np") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        assert kinds == {"F16"}, path


def test_its_words_are_those_of_the_program() -> None:
    """A word added to names, prompts or templates moves the numbers of all others: then the world is trained anew."""
    stored = json.loads((PIPELINE / "tokenizer/tokenizer.json").read_text())["model"]["vocab"]
    assert stored == demo_tokenizer().get_vocab()


def test_the_papers_gap_of_scales_is_there(model: BaseModel) -> None:
    """Token embeddings are small and the encoder's outputs large (Fig. 2): about 0.4 and 28 in Stable Diffusion 2.1."""
    start, _ = initial_vector(model, InitSettings())
    table = model.text_encoder.get_input_embeddings().weight
    assert 5 < float(start.v_init.norm(dim=-1).mean()) / float(table.norm(dim=-1).mean()) < 100


def test_famous_people_and_what_prompts_ask_for_are_told_apart(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few persons and steps, so the floors are low; by chance one person in twelve is right."""
    monkeypatch.setattr(exam_names, "RENDER", RenderSettings(images_per_prompt=1, steps=12, guidance=3.0))
    found, sheet = exam_names.examine_names(model, DemoJudges.open(JUDGES), 12, seed=3)
    assert found["identity_photo"]["mean"] > 0.5
    assert found["attributes_each"]["mean"] > 0.8
    assert found["identity_photo"]["low"] <= found["identity_photo"]["mean"] <= found["identity_photo"]["high"]
    assert sheet.width > 9 * 128 and sheet.height > 12 * 128


def test_a_short_run_learns_a_stranger_and_draws_what_is_asked(tmp_path: Path) -> None:
    """The command line on the real model: an embedding whose pictures the judges find a face and a beach in."""
    write_faces(1, tmp_path / "faces", seed=5, size=128)
    manifest = tmp_path / "short.yaml"
    manifest.write_text(
        "model: demo\noutput: out\nidentities: [faces/*.png]\n"
        "methods: [{name: short, use: cross-init-fast, steps: 8}]\n"
        "prompts: ['a photo of a {} person', 'a photo of a {} person on the beach']\n"
        "render: {images_per_prompt: 1, steps: 12, guidance: 3}\n"
    )
    done = CliRunner().invoke(app, ["run", str(manifest), "--quiet"])
    assert done.exit_code == 0, done.output
    paths = sorted((tmp_path / "out/short/person-000/images").rglob("*.png"))
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    assert pictures.shape == (2, 64, 64, 3)
    panel = DemoJudges.open(JUDGES)
    assert not panel.who(pictures).isnan().any()
    seen = panel.what(pictures)
    assert BACKGROUNDS[int(seen[1, 1])] == "beach"
    assert (tmp_path / "out/gallery/contact-sheet.jpg").is_file()
