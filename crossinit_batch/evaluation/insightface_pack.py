"""A pack of networks as the package insightface reads it: one detects, one recognises; nothing is ever downloaded."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.errors import RequestError
from crossinit_batch.model.files import file_digest
from crossinit_batch.storage.failures import reason_of

_TASKS = ("detection", "recognition")
_MOST_BYTES = 2**31  # of one file
_DETECTION_SIZE = (640, 640)
"""Width and height in pixels that pictures are scaled to: insightface's old default, set here since 2.0 varies it."""


def pack_identity(folder: Path) -> str:
    """What a pack is: the version of insightface, and the SHA-256 of every file that it could read.

    RequestError where the package is not installed or a file cannot be read.
    """
    files = sorted([*folder.rglob("*.onnx"), *folder.glob("manifest.json")])
    if not files:
        raise RequestError(f"the insightface pack {folder} has no .onnx file", "Unpack the whole pack there.")
    try:
        version = importlib.metadata.version("insightface")
        found = {path.relative_to(folder).as_posix(): file_digest(path, True, _MOST_BYTES) for path in files}
    except importlib.metadata.PackageNotFoundError:
        raise _not_installed() from None
    except OSError as error:
        raise RequestError(f"the insightface pack {folder} cannot be read: {reason_of(error)}", _PACK_HINT) from None
    return ", ".join([f"insightface {version}", *(f"{name} {digest}" for name, digest in found.items())])


class InsightFacePack:
    """Finds and recognises faces with insightface's FaceAnalysis."""

    def __init__(self, folder: Path, confidence: float, device: str = "cpu") -> None:
        """Open an existing pack; RequestError where insightface is not installed, or cannot use it."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # which some versions print to
                self._analysis = _opened(folder, confidence, device)
        except ImportError:
            raise _not_installed() from None
        except Exception as error:  # its errors have no common base but Exception; it asserts that one detects
            unsaid = "no network for detection" if isinstance(error, AssertionError) else type(error).__name__
            reason = (str(error).strip().splitlines() or [unsaid])[0][:200]
            raise RequestError(f"insightface cannot use the pack {folder}: {reason}", _PACK_HINT) from None
        missing = [task for task in _TASKS if task not in self._analysis.models]
        if missing:
            raise RequestError(f"the insightface pack {folder} has no network for {' and '.join(missing)}", _PACK_HINT)

    def vectors(self, picture: Image.Image) -> list[NDArray[np.float32]]:
        """A unit vector (width,) for every face of an RGB picture, the largest face first."""
        pixels = np.ascontiguousarray(np.asarray(picture)[..., ::-1])  # insightface takes BGR, as OpenCV reads
        faces = sorted(self._analysis.get(pixels), key=lambda face: -_area(face.bbox))
        vectors = [np.asarray(face.normed_embedding, dtype=np.float32) for face in faces]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise RequestError("insightface gave a face no direction", _PACK_HINT)
        return vectors


_PACK_HINT = "Name a whole pack, such as buffalo_l or antelopev2, that this version of insightface can read."


def _opened(folder: Path, confidence: float, device: str) -> Any:
    """insightface's FaceAnalysis on the folder: for an existing path it downloads nothing."""
    import onnxruntime
    from insightface.app import FaceAnalysis

    on_gpu = device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if on_gpu else ["CPUExecutionProvider"]
    analysis = FaceAnalysis(name=str(folder), allowed_modules=list(_TASKS), providers=providers)
    analysis.prepare(ctx_id=0 if on_gpu else -1, det_thresh=confidence, det_size=_DETECTION_SIZE)
    return analysis


def _area(box: NDArray[Any]) -> float:
    """Of a box (left, top, right, bottom)."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _not_installed() -> RequestError:
    return RequestError(
        "the package insightface is not installed",
        "Install it with: pip install 'crossinit-batch[insightface]'",
    )
