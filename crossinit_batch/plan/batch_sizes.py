"""How much goes through a device together: from its free memory, and from what one sample takes by the counts.

Only what the manifest leaves open is chosen, once: the plan keeps it, so that a resumed run uses the same.
"""

from __future__ import annotations

import psutil
import torch

from crossinit_batch.model.device import DTYPES
from crossinit_batch.model.files import parameters_of
from crossinit_batch.model.flops import Architecture
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.estimate import largest_batch
from crossinit_batch.plan.plan import Plan

_USED = 0.8
"""The fraction of free memory to use, since memory is fragmented and other programs need some too."""
_KEPT_FOR_BACKWARD = 0.75
"""The fraction of the numbers that layers write that is kept; a test compares it with what autograd keeps."""
_KEPT_FORWARD = 0.3
"""The largest fraction held at a time when nothing is kept for the backward pass."""
_DECODING_BYTES = 4 * 2**30
"""For decoding, in float32: more pictures together than this holds are no faster."""
_MOST_DECODED = 8
_ENOUGH = {"cpu": (4, 8), "cuda": (8, 32)}
"""Identities and pictures in a batch beyond which a kind of device is no faster by the piece."""


def chosen_sizes(plan: Plan, source: ModelSource, device: torch.device, sharing: int = 1) -> dict[str, int]:
    """The batch sizes of `compute` for this device with so many workers on it, whether asked for or not."""
    architecture, element = Architecture.read(source.folder), DTYPES[plan.model.dtype].itemsize
    room = max(free_memory(device) / sharing - weight_bytes(source, element), 0) * _USED
    most_identities, most_pictures = _ENOUGH.get(device.type, _ENOUGH["cpu"])
    batch_size = largest_batch(plan)
    samples = int(room // learning_bytes(architecture, element))
    asked = plan.compute.identities_per_batch
    identities = asked if asked != "auto" else _between(1, samples // batch_size, most_identities)
    pictures = int(room // drawing_bytes(architecture, plan.render.size, element))
    return {
        "identities_per_batch": identities,
        "samples_per_pass": _between(1, samples, identities * batch_size),
        "images_per_batch": _between(1, pictures, most_pictures),
    }


def _between(least: int, value: int, most: int) -> int:
    return min(max(value, least), most)


def weight_bytes(source: ModelSource, element: int) -> int:
    """The bytes of the frozen model, its U-Net's numbers of `element` bytes and all others of four."""
    parts = {part: parameters_of(source.folder / part, source.variant) for part in ("unet", "text_encoder", "vae")}
    return sum(count * (element if part == "unet" else 4) for part, count in parts.items())


def learning_bytes(architecture: Architecture, element: int) -> float:
    """Memory that a sample takes in its forward and backward pass, with a U-Net whose numbers have `element` bytes."""
    unet = architecture.noise_prediction(architecture.latent_side(None))
    return _KEPT_FOR_BACKWARD * (unet.numbers * element + architecture.text_encoding.numbers * 4)


def drawing_bytes(architecture: Architecture, size: int | None, element: int) -> float:
    """Memory that a picture takes while it is denoised: a sample with its prompt and one without."""
    return 2 * _KEPT_FORWARD * architecture.noise_prediction(architecture.latent_side(size)).numbers * element


def decoded_together(architecture: Architecture, side: int) -> int:
    """How many pictures with latents of this side are decoded at a time, on any device."""
    numbers = architecture.picture_decoding(side).numbers
    return _between(1, int(_DECODING_BYTES // (_KEPT_FORWARD * numbers * 4)), _MOST_DECODED)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on a device; for kinds that do not report it, what the host has."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)
