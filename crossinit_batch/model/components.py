"""The components of a pipeline's folder, each loaded completely or refused with the reason: ModelError."""

from __future__ import annotations

import json
from typing import Any

import torch
from transformers import CLIPTokenizer

from crossinit_batch.errors import ModelError
from crossinit_batch.model.source import ModelSource
from crossinit_batch.storage.reading import JSON_BYTES, read_file


def load_weights(source: ModelSource, part: str, kind: Any, **precision: torch.dtype) -> Any:
    """One component with weights, all of which come from its files."""
    where = {"subfolder": part, "variant": source.variant, "local_files_only": True}
    try:
        module, report = kind.from_pretrained(
            str(source.folder), use_safetensors=True, output_loading_info=True, **where, **precision
        )
    except Exception as error:  # on damaged files, each library raises types of its own
        raise _unusable(source, part, error) from error
    # The libraries fill what is missing with random numbers, and only log it.
    if missing := sorted(report["missing_keys"]):
        raise _unusable(source, part, f"{len(missing)} tensors are missing, {missing[0]} among them")
    return module


def load_tokenizer(source: ModelSource) -> Any:
    """CLIP's tokenizer with this model's vocabulary."""
    try:
        return CLIPTokenizer.from_pretrained(str(source.folder), subfolder="tokenizer", local_files_only=True)
    except Exception as error:  # as above
        raise _unusable(source, "tokenizer", error) from error


def load_scheduler_config(source: ModelSource) -> dict[str, Any]:
    """The scheduler's configuration, with the two old values that diffusers' own pipeline also corrects."""
    try:
        config: dict[str, Any] = json.loads(read_file(source.folder / "scheduler/scheduler_config.json", JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(source, "scheduler", error) from error
    if "steps_offset" in config:
        config["steps_offset"] = 1
    if config.get("clip_sample"):
        config["clip_sample"] = False
    return config


def _unusable(source: ModelSource, part: str, reason: Exception | str) -> ModelError:
    words = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
    return ModelError(
        f"model {source.id!r}: {source.folder / part} cannot be loaded: {' '.join(words.split())[:300]}",
        "Download or copy it again, whole.",
    )
