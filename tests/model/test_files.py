"""What a model's folder must have, its fingerprint, and the sentence for a folder that we cannot use."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from crossinit_batch.errors import ModelError
from crossinit_batch.model import files as model_files
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.files import check_pipeline
from tests.helpers.models import located, refused

WEIGHTS = {
    "text_encoder": "text_encoder/model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}


@pytest.fixture
def copy(pipeline_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))


# --- fingerprints ---


def test_a_copy_elsewhere_has_the_same_fingerprint(pipeline_folder: Path, copy: Path) -> None:
    assert located(copy).fingerprint == located(pipeline_folder).fingerprint


@pytest.mark.parametrize("part", sorted(WEIGHTS))
def test_the_fingerprint_follows_the_weights_of_each_component(copy: Path, part: str) -> None:
    before = located(copy)
    path = copy / WEIGHTS[part]
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({**weights, name: weights[name] * 1.001}, path)
    after = located(copy)
    assert after.fingerprint != before.fingerprint
    changed = [one for one in before.components if before.components[one] != after.components[one]]
    assert changed == [part]


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("scheduler/scheduler_config.json", "scheduler"),
        ("tokenizer/tokenizer.json", "tokenizer"),
        ("unet/config.json", "unet"),
    ],
)
def test_the_fingerprint_follows_configurations(copy: Path, file: str, part: str) -> None:
    before = located(copy)
    content = json.loads((copy / file).read_bytes())
    (copy / file).write_text(json.dumps({**content, "new": 1}))
    assert located(copy).components[part] != before.components[part]


def test_the_fingerprint_does_not_follow_what_is_not_used(copy: Path) -> None:
    before = located(copy).fingerprint
    (copy / "README.md").write_text("read me")
    (copy / "v2-1.ckpt").write_bytes(b"weights")
    (copy / "unet/diffusion_pytorch_model.bin").write_bytes(b"weights")
    (copy / "unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"weights")
    (copy / "safety_checker").mkdir()
    (copy / "safety_checker/config.json").write_text("{}")
    assert located(copy).fingerprint == before


def test_large_files_are_read_once(
    copy: Path, own_cache: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "_REMEMBERED_FROM", 20_000)
    weights = {(copy / file).resolve() for file in WEIGHTS.values()}
    first = located(copy).fingerprint
    assert weights < set(read)
    read.clear()
    assert located(copy).fingerprint == first
    assert read
    assert all(path.stat().st_size < 20_000 for path in read)

    changed = (copy / WEIGHTS["vae"]).resolve()
    save_file({name: tensor + 1 for name, tensor in load_file(changed).items()}, changed)
    read.clear()
    assert located(copy).fingerprint != first
    assert weights & set(read) == {changed}

    for note in (own_cache / "hashes").iterdir():
        note.write_text("half a dig")
    read.clear()
    located(copy)
    assert weights < set(read)


def test_a_cache_that_cannot_be_written_does_not_stop_a_local_model(
    pipeline_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CROSSINIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(model_files, "_REMEMBERED_FROM", 1000)
    assert located(pipeline_folder).fingerprint


# --- folders we cannot use ---


def _change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "no model_index.json"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "no model_index.json"),
        (
            lambda folder: _change_json(folder / "model_index.json", _class_name="StableDiffusionXLPipeline"),
            "is a StableDiffusionXLPipeline",
        ),
        (lambda folder: _change_json(folder / "model_index.json", text_encoder_2=["a", "b"]), "is a Stable"),
        (lambda folder: _change_json(folder / "model_index.json", _class_name="FluxPipeline"), "is a FluxPipeline"),
        (lambda folder: _change_json(folder / "unet/config.json", in_channels=9), "takes 9 channels"),
        (
            lambda folder: _change_json(folder / "scheduler/scheduler_config.json", prediction_type="sample"),
            "predicts 'sample'",
        ),
        (lambda folder: shutil.rmtree(folder / "vae"), "no vae/config.json"),
        (lambda folder: shutil.rmtree(folder / "tokenizer"), "no tokenizer/tokenizer.json or tokenizer/vocab.json"),
        (lambda folder: (folder / "unet/config.json").unlink(), "no unet/config.json"),
        (lambda folder: (folder / "scheduler/scheduler_config.json").unlink(), "no scheduler/scheduler_config"),
        (lambda folder: (folder / WEIGHTS["unet"]).unlink(), "unet/ has no weights"),
        (
            lambda folder: (folder / WEIGHTS["vae"]).rename(folder / "vae/diffusion_pytorch_model.bin"),
            "vae/ has only pickled weights",
        ),
        (
            lambda folder: (folder / WEIGHTS["unet"]).rename(
                folder / "unet/diffusion_pytorch_model-00001-of-00002.safetensors"
            ),
            "unet/ has other weights, or not all parts of these",
        ),
    ],
)
def test_a_folder_we_cannot_use_is_refused_with_the_reason(
    copy: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(copy)
    refusal = refused(copy)
    assert words in refusal.message
    assert str(copy) in refusal.message


def test_a_variant_that_is_not_there(pipeline_folder: Path) -> None:
    refusal = refused(pipeline_folder, variant="fp16")
    assert "model.fp16.safetensors is needed" in refusal.message
    assert "variant" in refusal.hint


def test_a_single_file_is_told_how_to_become_a_folder(tmp_path: Path) -> None:
    (tmp_path / "v2-1.safetensors").write_bytes(b"weights")
    assert "from_single_file" in refused(tmp_path).hint


# --- variants and shards ---


@pytest.mark.parametrize("part", sorted(WEIGHTS))
@pytest.mark.parametrize("left", [0.9, 0.001, 0])
def test_weights_that_were_cut_short_are_refused_before_anything_is_loaded(copy: Path, part: str, left: float) -> None:
    path = copy / WEIGHTS[part]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    error = refused(copy)
    assert f"{WEIGHTS[part]} is damaged" in error.message and "again, whole" in error.hint


def test_weights_that_git_did_not_fetch_are_named_so(copy: Path) -> None:
    (copy / WEIGHTS["unet"]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    error = refused(copy)
    assert "git-lfs pointer" in error.message and "git lfs pull" in error.hint


def test_weights_in_shards_of_a_variant_are_one_model(copy: Path) -> None:
    whole = located(copy)
    unet = UNet2DConditionModel.from_pretrained(copy, subfolder="unet")
    unet.save_pretrained(copy / "unet", variant="fp16", max_shard_size="100KB")
    shards = sorted((copy / "unet").glob("diffusion_pytorch_model.fp16-*-of-*.safetensors"))
    assert len(shards) > 1
    for part in ("text_encoder", "vae"):
        path = copy / WEIGHTS[part]
        path.rename(path.with_suffix(".fp16.safetensors"))
    (copy / WEIGHTS["unet"]).unlink()
    source = located(copy, variant="fp16")
    assert source.components["unet"] != whole.components["unet"]
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    assert all(torch.equal(model.unet.state_dict()[name], tensor) for name, tensor in unet.state_dict().items())
    before = source.fingerprint
    weights = load_file(shards[1])
    name = sorted(weights)[0]
    save_file({**weights, name: weights[name] + 1}, shards[1], {"format": "pt"})
    assert located(copy, variant="fp16").fingerprint != before
    shards[1].unlink()
    assert "not all parts" in refused(copy, variant="fp16").message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model_index.json", "is a named pipe"),
        ("unet/config.json", "is a named pipe"),
        ("tokenizer/merges.txt", "is a device"),
        ("tokenizer/added_tokens.json", "is a named pipe"),
        ("vae/diffusion_pytorch_model.safetensors", "is a named pipe"),
        ("scheduler/scheduler_config.json", "is too large"),
        ("text_encoder/config.json", "is too large"),
    ],
)
def test_what_would_be_waited_for_or_read_without_end_is_named_at_once(
    pipeline_folder: Path, tmp_path: Path, name: str, words: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(pipeline_folder, folder)
    path = folder / name
    path.unlink(missing_ok=True)
    if "pipe" in words:
        os.mkfifo(path)
    elif "device" in words:
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(40 * 2**30)
    began = time.monotonic()
    with pytest.raises(ModelError, match=rf"{path.name} {words}"):
        check_pipeline("mine", folder, None)
    assert time.monotonic() - began < 1
