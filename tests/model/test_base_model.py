"""The frozen base model: loaded whole or not at all, nothing in it ever changes, captions put the slot where it is."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from crossinit_batch.errors import JobError, ModelError
from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.embedding.conditioning import encode_prompt
from crossinit_batch.methods.embedding.optimization import Optimization
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel, Counters
from crossinit_batch.model.sampling import denoise
from crossinit_batch.model.source import locate_model
from crossinit_batch.settings import ModelSettings, RenderSettings


def _loaded(folder: Path, dtype: str = "float32", counters: Counters | None = None) -> BaseModel:
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    return BaseModel.load(source, torch.device("cpu"), dtype, counters)


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return _loaded(pipeline_folder)


@pytest.fixture
def copy(pipeline_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))


def _picture() -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _personalize_and_draw(model: BaseModel) -> np.ndarray:
    """One step and one picture."""
    moments = [model.encode_image(picture) for picture in (_picture(), _picture().flip(3))]
    mean, std = (torch.cat(parts)[None] for parts in zip(*moments, strict=True))
    settings = EmbeddingSettings(steps=1, batch_size=2)
    optimization = Optimization(model, [Subject("ada", mean, std)], torch.randn(2, 32), settings, seed=0)
    assert optimization.run(lambda _step, _loss: True)
    progress = optimization.snapshot()
    assert progress.failed_at.tolist() == [-1]
    assert progress.v.dtype == torch.float32
    empty = encode_prompt(model, "", None)
    latents = denoise(model, encode_prompt(model, "a {}", progress.v[0]), empty, [1], RenderSettings(steps=1))
    assert latents is not None
    assert torch.isfinite(latents).all()
    (pixels,) = model.decode(latents)
    return pixels


# --- loading ---


def test_nothing_of_a_loaded_model_can_be_trained(model: BaseModel) -> None:
    for module in (model.text_encoder, model.vae, model.unet):
        assert not module.training
        assert not any(one.requires_grad for one in module.parameters())


def test_what_a_model_says_of_itself(model: BaseModel) -> None:
    assert (model.width, model.context_length, model.latent_scale, model.native_size) == (32, 77, 8, 64)
    assert model.prediction_type == "epsilon"


def test_a_bfloat16_unet_works_from_step_to_picture(pipeline_folder: Path) -> None:
    model = _loaded(pipeline_folder, "bfloat16")
    assert {one.dtype for one in model.unet.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in model.text_encoder.parameters()} == {torch.float32}
    assert {one.dtype for one in model.vae.parameters()} == {torch.float32}
    picture = _personalize_and_draw(model)
    assert picture.shape == (64, 64, 3)
    assert picture.std() > 1


def test_a_bfloat16_unet_draws_nearly_the_same(pipeline_folder: Path, model: BaseModel) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    states = encode_prompt(model, "a photo", None).states
    exact = model.predict_noise(latents, torch.tensor([500]), states)
    rounded = _loaded(pipeline_folder, "bfloat16").predict_noise(latents, torch.tensor([500]), states)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.1 * exact.std()


def test_everything_expensive_is_counted(pipeline_folder: Path) -> None:
    counters = Counters()
    model = _loaded(pipeline_folder, counters=counters)
    assert counters == Counters(model_loads=1)
    _personalize_and_draw(model)
    assert counters == Counters(
        model_loads=1, vae_encodes=2, vae_decodes=1, text_encodes=2 + 2 + 1, unet_forwards=2 + 2
    )


def test_nothing_in_the_model_changes(pipeline_folder: Path) -> None:
    model = _loaded(pipeline_folder)
    modules = {"text_encoder": model.text_encoder, "vae": model.vae, "unet": model.unet}
    before = {part: {k: v.clone() for k, v in module.state_dict().items()} for part, module in modules.items()}
    words = len(model.tokenizer)
    _personalize_and_draw(model)
    for part, module in modules.items():
        after = module.state_dict()
        assert after.keys() == before[part].keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in before[part].items())
    assert len(model.tokenizer) == words == model.text_encoder.get_input_embeddings().weight.shape[0]
    assert not model.text_encoder.get_input_embeddings()._forward_hooks


def test_a_failure_inside_the_text_encoder_leaves_it_undressed(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    caption = model.caption("a {}", 2)
    v = torch.randn(1, 2, 32)
    with pytest.raises(RuntimeError):
        model.encode_text(caption.ids, torch.tensor([76]), v)  # the second vector would stand behind the end
    assert not model.text_encoder.get_input_embeddings()._forward_hooks


class _Trap:
    """What a hostile pickle does when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def test_pickles_beside_the_weights_are_never_opened(copy: Path, tmp_path: Path, model: BaseModel) -> None:
    mark = tmp_path / "opened"
    for name in ("text_encoder/pytorch_model.bin", "unet/diffusion_pytorch_model.bin", "vae/model.ckpt"):
        (copy / name).write_bytes(pickle.dumps(_Trap(mark)))
    (copy / "unet/unet.py").write_text(f"open({str(mark)!r}, 'w')")
    found = _loaded(copy)
    assert torch.equal(found.unet.conv_in.weight, model.unet.conv_in.weight)
    source = locate_model(ModelSettings(id=str(copy)))
    assert source is not None
    (copy / "unet/diffusion_pytorch_model.safetensors").unlink()  # gone between plan and run
    with pytest.raises(ModelError, match="unet"):
        BaseModel.load(source, torch.device("cpu"), "float32")
    assert not mark.exists()


def _lose_a_tensor(path: Path) -> None:
    weights = load_file(path)
    del weights[max(weights)]
    save_file(weights, path, {"format": "pt"})


def _misshape_a_tensor(path: Path) -> None:
    weights = load_file(path)
    name = max(weights)
    save_file({**weights, name: weights[name].flatten()[:-1].clone()}, path, {"format": "pt"})


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("damage", [_lose_a_tensor, _misshape_a_tensor, _cut])
@pytest.mark.parametrize(
    "file",
    [
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_damaged_weights_are_an_error_that_names_the_component(
    copy: Path, file: str, damage: Callable[[Path], None]
) -> None:
    """Not a model whose missing weights are random numbers, as the libraries would have it."""
    damage(copy / file)
    with pytest.raises(ModelError, match=file.split("/")[0]) as caught:
        _loaded(copy)
    assert "again" in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("file", ["tokenizer/tokenizer.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_damaged_configuration_is_an_error_that_names_the_component(copy: Path, file: str) -> None:
    (copy / file).write_text("{")
    with pytest.raises(ModelError, match=file.split("/")[0]):
        _loaded(copy)


def test_weights_with_the_names_of_older_releases_are_the_same_model(copy: Path, model: BaseModel) -> None:
    """The hub's Stable Diffusion repositories call them text_model.…, and keep a table of positions beside them."""
    path = copy / "text_encoder/model.safetensors"
    weights = {f"text_model.{name}": tensor for name, tensor in load_file(path).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, path, {"format": "pt"})
    ids = model.caption("a photo of a person", 0).ids
    assert torch.equal(_loaded(copy).encode_text(ids), model.encode_text(ids))


# --- captions ---


@pytest.mark.parametrize(
    ("text", "slot"),
    [("{}", 1), ("{} on the beach", 1), ("a photo of {}", 4), ("a photo of {}, happy", 4), ("a {}'s cake", 2)],
)
@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_a_caption_is_what_the_tokenizer_makes_of_added_tokens(
    pipeline_folder: Path, model: BaseModel, text: str, slot: int, tokens: int
) -> None:
    caption = model.caption(text, tokens)
    tokenizer = CLIPTokenizer.from_pretrained(pipeline_folder, subfolder="tokenizer")
    names = [f"<x{number}>" for number in range(tokens)]
    tokenizer.add_tokens(names)
    expected = tokenizer(text.replace("{}", " ".join(names)), padding="max_length", max_length=77).input_ids
    assert caption.slot == slot
    assert caption.ids.shape == (1, 77)
    ids = caption.ids[0].tolist()
    assert expected[slot : slot + tokens] == tokenizer.convert_tokens_to_ids(names)
    assert ids[:slot] == expected[:slot]
    assert ids[slot + tokens :] == expected[slot + tokens :]
    assert caption.cut == ""


def test_a_text_without_a_slot_has_nobody_in_it(model: BaseModel) -> None:
    caption = model.caption("A photo.", 2)
    assert caption.slot is None
    assert caption.ids[0].tolist() == model.tokenizer("A photo.", padding="max_length", max_length=77).input_ids
    assert model.caption("", 0).ids[0, :2].tolist() == [model.tokenizer.bos_token_id, model.tokenizer.eos_token_id]


def test_padding_is_the_models_own(copy: Path) -> None:
    """Stable Diffusion 2.x pads with "!", 1.x with the end token."""
    path = copy / "tokenizer/tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "pad_token": "!"}))
    tokenizer = CLIPTokenizer.from_pretrained(copy, subfolder="tokenizer")
    ids = _loaded(copy).caption("A photo! {}", 0).ids[0].tolist()
    assert ids == tokenizer("A photo!", padding="max_length", max_length=77).input_ids
    assert ids[-1] == tokenizer.convert_tokens_to_ids("!") != tokenizer.eos_token_id


def test_what_does_not_fit_is_cut_and_told(model: BaseModel) -> None:
    caption = model.caption("{} " + "cake " * 73 + "beach snow", 2)
    assert caption.cut == "beach snow"
    assert caption.ids.shape == (1, 77)
    (cake,) = model.token_ids("cake")
    assert caption.ids[0, -3:].tolist() == [cake, cake, model.tokenizer.eos_token_id]
    assert model.caption("{} " + "cake " * 73, 2).cut == ""


def test_a_slot_may_stand_last_but_not_behind_the_end(model: BaseModel) -> None:
    caption = model.caption("cake " * 73 + "{} beach", 2)
    assert caption.slot == 74
    assert caption.cut == "beach"
    for text in ("cake " * 74 + "{}", "cake " * 200 + "{}"):
        with pytest.raises(JobError, match="before the person") as caught:
            model.caption(text, 2)
        assert "beginning" in caught.value.hint


def test_a_caption_of_a_long_text_leaves_the_library_silent(
    model: BaseModel, capfd: pytest.CaptureFixture[str]
) -> None:
    model.caption("cake " * 300, 0)
    assert capfd.readouterr().err == ""


# --- encoding and decoding ---


def test_each_text_of_a_batch_wears_its_own_vectors_in_its_own_place(model: BaseModel) -> None:
    texts = ["a photo of {}", "{}", "a happy {} person"]
    captions = [model.caption(text, 2) for text in texts]
    v = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(1))
    ids = torch.cat([caption.ids for caption in captions])
    together = model.encode_text(ids, torch.tensor([caption.slot for caption in captions]), v)
    for number, text in enumerate(texts):
        alone = encode_prompt(model, text, v[number]).states
        torch.testing.assert_close(together[number], alone[0], rtol=0, atol=1e-5)


def test_a_token_embedding_worn_is_the_token_itself(model: BaseModel) -> None:
    table = model.text_encoder.get_input_embeddings().weight
    plain = model.encode_text(model.caption("a happy person", 0).ids)
    worn = encode_prompt(model, "a {} person", table[model.token_ids("happy")]).states
    assert torch.equal(plain, worn)


def test_decode_gives_the_bytes_that_the_autoencoder_means(model: BaseModel) -> None:
    mean, std = model.encode_image(_picture())
    assert mean.shape == std.shape == (1, 4, 8, 8)
    assert (std > 0).all()
    with torch.no_grad():
        sample = model.vae.decode(mean).sample[0]
    expected = np.clip((sample.numpy().transpose(1, 2, 0) + 1) * 127.5, 0, 255).round().astype(np.uint8)
    (pixels,) = model.decode(model.scale_latents(mean))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= 1


def test_block_states_end_in_e_of_v_and_follow_each_block(model: BaseModel) -> None:
    v = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(5))
    encodes = model.counters.text_encodes
    states = model.block_states(v)
    assert model.counters.text_encodes == encodes + 3
    encoder = model.text_encoder
    assert states.shape == (encoder.config.num_hidden_layers + 2, 3, 2, 32)
    positions = encoder.embeddings.position_embedding.weight[1:3]
    torch.testing.assert_close(states[0], v + positions, rtol=0, atol=1e-6)
    torch.testing.assert_close(states[-1], model.encode_alone(v), rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder.final_layer_norm(states[-2]), states[-1], rtol=0, atol=1e-5)
