"""Which files of a model's folder count, whether they make a pipeline we can use, and their digests."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from crossinit_batch.digest import digest_of
from crossinit_batch.errors import ModelError
from crossinit_batch.storage.cache import cache_folder
from crossinit_batch.storage.failures import UnfitFile, reason_of
from crossinit_batch.storage.reading import JSON_BYTES, opened_file, read_file

WEIGHTS = {"text_encoder": "model", "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
"""The components with weights, and the stem of their weight files."""
COMPONENTS = ("tokenizer", "scheduler", *WEIGHTS)
INDEX = "model_index.json"

# The configuration that each component is read by; of a tokenizer's, one is enough.
_CONFIGURATIONS = {
    "tokenizer": ("tokenizer.json", "vocab.json"),
    "scheduler": ("scheduler_config.json",),
    **dict.fromkeys(WEIGHTS, ("config.json",)),
}
_SHARD = re.compile(r"-\d+-of-(\d+)\.safetensors$")
_TEXTS = frozenset({".json", ".txt", ".model"})
_REMEMBERED_FROM = 2**20
"""Bytes from which a file's digest is remembered: smaller ones are read again in no time."""


def patterns(variant: str | None) -> list[str]:
    """The files of a hub repository that we need: configurations, tokenizer, and one set of safetensors."""
    middle = f".{variant}" if variant else ""
    endings = (f"{middle}.safetensors", f"{middle}-*-of-*.safetensors", f".safetensors.index{middle}.json")
    weights = [f"{part}/{stem}{ending}" for part, stem in WEIGHTS.items() for ending in endings]
    configurations = [f"{part}/config.json" for part in WEIGHTS]
    return [INDEX, "scheduler/*.json", "tokenizer/*", *configurations, *weights]


def is_whole(folder: Path, variant: str | None) -> bool:
    """Whether a folder is complete: has every file that we need."""
    return (
        (folder / INDEX).is_file()
        and all(_is_configured(folder / part) for part in COMPONENTS)
        and all(_weight_files(folder / part, variant) for part in WEIGHTS)
    )


def check_pipeline(name: str, folder: Path, variant: str | None) -> None:
    """ModelError unless the folder holds a Stable Diffusion 1.x or 2.x pipeline in safetensors."""
    what = f"model {name!r}"
    _check_files(folder)
    _check_kind(what, folder)
    for part in COMPONENTS:
        if not _is_configured(folder / part):
            wanted = " or ".join(f"{part}/{file}" for file in _CONFIGURATIONS[part])
            raise ModelError(f"{what}: {folder} has no {wanted}", "Download or copy it again, whole.")
    channels = (_json(folder / "unet/config.json") or {}).get("in_channels", 4)
    latents = (_json(folder / "vae/config.json") or {}).get("latent_channels", 4)
    if channels != latents:
        raise ModelError(
            f"{what}: its U-Net takes {channels} channels, and its latents have {latents}, "
            "so it is for inpainting, depth or upscaling",
            "Name a text-to-image model.",
        )
    prediction = (_json(folder / "scheduler/scheduler_config.json") or {}).get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ModelError(f"{what} predicts {prediction!r}", "crossinit knows epsilon and v_prediction.")
    for part in WEIGHTS:
        _check_weights(what, folder / part, variant)


def _check_files(folder: Path) -> None:
    """ModelError for what the libraries that read a model would wait for, or not end to read."""
    for part in (folder, *(folder / name for name in COMPONENTS)):
        for path in part.iterdir() if part.is_dir() else ():
            text = path.suffix in _TEXTS
            if path.is_dir() or not path.exists() or not (text or path.suffix == ".safetensors"):
                continue
            try:
                with opened_file(path, JSON_BYTES if text else sys.maxsize):
                    pass
            except UnfitFile as error:
                raise ModelError(f"{path} {error.strerror}", error.hint) from None
            except OSError as error:
                raise ModelError(f"{path} cannot be read: {reason_of(error)}", "Make it readable.") from None


def _check_kind(what: str, folder: Path) -> None:
    index = _json(folder / INDEX)
    if index is None:
        raise ModelError(
            f"{what}: {folder} has no {INDEX}, so it is not a pipeline in diffusers' layout",
            "A single-file checkpoint is converted with diffusers' "
            "StableDiffusionPipeline.from_single_file(…).save_pretrained(FOLDER).",
        )
    kind = str(index.get("_class_name"))
    if "text_encoder_2" in index or "transformer" in index or kind != "StableDiffusionPipeline":
        hint = "crossinit needs a Stable Diffusion 1.x or 2.x text-to-image pipeline."
        raise ModelError(f"{what} is a {kind}", hint)


def _check_weights(what: str, component: Path, variant: str | None) -> None:
    if files := _weight_files(component, variant):
        for file in files:
            _check_length(what, file)
        return
    wanted = f"{WEIGHTS[component.name]}{f'.{variant}' if variant else ''}.safetensors"
    pickled = any(component.glob("*.bin")) or any(component.glob("*.ckpt"))
    if pickled:
        why = "only pickled weights, which can run code when read"
    elif any(component.glob("*.safetensors")):
        why = "other weights, or not all parts of these"
    else:
        why = "no weights"
    raise ModelError(
        f"{what}: {component.name}/ has {why}; {wanted} is needed",
        "Choose another `variant:`, or a repository that has safetensors.",
    )


def _check_length(what: str, file: Path) -> None:
    """ModelError for weights that were cut short on their way here: a file's header says how long it is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            return
    except (SafetensorError, OSError) as error:
        with file.open("rb") as opened:
            is_pointer = opened.read(24) == b"version https://git-lfs."
        reason = "is a git-lfs pointer, not the weights" if is_pointer else f"is damaged: {error}"
    hint = "Run `git lfs pull` where it was cloned." if is_pointer else "Download or copy it again, whole."
    raise ModelError(f"{what}: {file} {reason}", hint)


def _is_configured(component: Path) -> bool:
    return any((component / file).is_file() for file in _CONFIGURATIONS[component.name])


def _weight_files(component: Path, variant: str | None) -> list[Path]:
    """A component's safetensors of this variant, sharded or not, sorted; none if a shard is missing."""
    stem = WEIGHTS[component.name] + (f".{variant}" if variant else "")
    single = component / f"{stem}.safetensors"
    if single.is_file():
        return [single]
    shards = sorted(path for path in component.glob(f"{stem}-*-of-*.safetensors") if path.is_file())
    counts = {int(found[1]) for shard in shards if (found := _SHARD.search(shard.name))}
    return shards if counts == {len(shards)} else []


def parameters_of(component: Path, variant: str | None) -> int:
    """How many numbers a component's weights are, from the headers of its files."""
    from safetensors import safe_open

    total = 0
    for path in _weight_files(component, variant):
        with safe_open(path, framework="numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def component_digest(component: Path, variant: str | None, remember: bool) -> str:
    """The digest of the files of one component that decide what it computes."""
    files = sorted(path for path in component.iterdir() if path.suffix in (".json", ".txt") and path.is_file())
    if component.name in WEIGHTS:
        files = [component / "config.json", *_weight_files(component, variant)]
    return digest_of("component", {path.name: file_digest(path, remember) for path in files})


def file_digest(path: Path, remember: bool, limit: int = sys.maxsize) -> str:
    """A file's SHA-256: the hub's cache has it as the blob's name; of other large files we remember it."""
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    facts = blob.stat()
    key = digest_of("file", {"path": str(blob), "size": facts.st_size, "changed": facts.st_mtime_ns})
    note = cache_folder() / "hashes" / key
    large = facts.st_size > _REMEMBERED_FROM
    if large and (known := _noted(note)):
        return known
    with opened_file(blob, limit) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if remember and large:
        _put_note(note, digest)
    return digest


def _noted(note: Path) -> str | None:
    """A digest that was remembered, or None."""
    try:
        known = read_file(note, 100).decode("ascii")
    except (OSError, ValueError):
        return None
    return known if re.fullmatch(r"[0-9a-f]{64}", known) else None


def _put_note(note: Path, digest: str) -> None:
    """Remember a digest; a cache that cannot be written only costs the next run the reading."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(digest, encoding="ascii")
    except OSError:
        return


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON object in a file, or None; ModelError for one that is not read."""
    try:
        value = json.loads(read_file(path, JSON_BYTES))
    except UnfitFile as error:
        raise ModelError(f"{path} {error.strerror}", error.hint) from None
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
