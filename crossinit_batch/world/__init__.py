"""The bundled small world: the pipeline that `model: demo` names, and the judges that go with it."""

from __future__ import annotations

from pathlib import Path

PIPELINE = Path(__file__).with_name("pipeline")
"""A pipeline in diffusers' layout."""
JUDGES = Path(__file__).with_name("judges")
"""`detector.onnx`, `recogniser.onnx`, `attributes.onnx` and `clip/`; `crossinit_batch.demo.judges` describes them."""
