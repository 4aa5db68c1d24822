"""Networks in ONNX files, through onnxruntime; nothing is ever downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.errors import RequestError


class Network:
    """One ONNX network with a picture as its input (batch, 3, height, width)."""

    def __init__(self, data: bytes, name: str, device: str = "cpu") -> None:
        """Open the bytes of the file `name`; RequestError for what is no such network."""
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = _threads()
        options.log_severity_level = 4
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        there = runtime.get_available_providers()
        providers = [*(one for one in wanted if one in there), "CPUExecutionProvider"]
        try:
            self._session = runtime.InferenceSession(data, options, providers=providers)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise RequestError(f"{name} is no network that onnxruntime reads: {reason}", _SAVE) from None
        self.name = name
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise RequestError(f"{name} does not take one picture (batch, 3, height, width) but {found}", _SAVE)
        self._input = inputs[0].name
        self.outputs = tuple(one.name for one in self._session.get_outputs())
        height, width = inputs[0].shape[2:]
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        """Height and width in pixels where the file fixes them."""

    def __call__(self, samples: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """All outputs by name for samples (1, 3, height, width); RequestError where it cannot compute them."""
        try:
            values = self._session.run(None, {self._input: samples})
        except Exception as error:  # as above
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
            raise RequestError(f"{self.name} cannot judge a picture of {samples.shape}: {reason}", _SAVE) from None
        return dict(zip(self.outputs, values, strict=True))


_SAVE = "Name an .onnx file of the layout that the README's section on scores describes."


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise RequestError(
            "identity scores need the package onnxruntime, which is not installed",
            "Install it with: pip install 'crossinit-batch[metrics]'",
        ) from None
    return onnxruntime


def _threads() -> int:
    import torch

    return torch.get_num_threads()
