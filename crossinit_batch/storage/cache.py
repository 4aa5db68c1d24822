"""The user's cache folder: files that can be recomputed, under the digest of what they were computed from."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`$CROSSINIT_CACHE`, or the operating system's folder for caches."""
    return Path(os.environ.get("CROSSINIT_CACHE") or platformdirs.user_cache_dir("crossinit", appauthor=False))
