"""Cross Initialization (Pang et al., CVPR 2024): v starts at E(mean name) and stays near it (Eqs. 3-5)."""

from __future__ import annotations

from crossinit_batch.settings import EmbeddingSettings

CROSS_INIT = EmbeddingSettings()
"""The paper's setting: 320 steps at 0.005."""

CROSS_INIT_FAST = CROSS_INIT.model_copy(update={"steps": 25, "learning_rate": 0.08})
"""The paper's fast setting: 25 steps at 0.08."""

CROSS_INIT_RELEASED = CROSS_INIT.model_copy(update={"regularizer": "l2", "crop": "stretch"})
"""As the released code computes: distance not squared, mean over tokens, pictures stretched to a square.

Its list of names is not part of this package: `init: {names: wiki_names_v2.txt}` adds it.
"""
