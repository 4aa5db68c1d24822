"""Cross Initialization (CVPR 2024) for many faces: one photograph of a person in, one small embedding out."""

__version__ = "0.1.0"
