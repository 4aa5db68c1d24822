"""What figures were measured on and with; nothing here imports torch."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from crossinit_batch import __version__
from crossinit_batch.model.device_speed import cores, present_device, processor_name

_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "numpy")


def machine() -> dict[str, Any]:
    """Processor, the cores this process may use, GPU (None where there is none), and versions."""
    device = present_device()
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {
        "processor": processor_name(),
        "cores": cores(),
        "gpu": device.name if device.kind == "cuda" else None,
        "versions": {"crossinit": __version__, "python": platform.python_version(), **versions},
    }
