"""glibc's memory allocator, set to keep freed memory, as every step allocates the same tensors again.

By default it returns large blocks to the kernel, which maps them again page by page, filled with zeros. No result
depends on it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
_NEVER = -1
_LARGEST_PIECE = 2**30
"""Bytes from which a block still comes from the kernel and returns to it: no tensor of a step is that large."""
_ASKED_FOR = ("trim_threshold", "top_pad", "mmap_threshold", "mmap_max")


def keep_freed_memory(environ: Mapping[str, str] = os.environ) -> bool:
    """Keep freed memory for this process's next tensors; whether that was done.

    Only with glibc, and not where the user has configured its allocator. Where another allocator is preloaded, this
    changes nothing.
    """
    if not _is_glibc() or _user_has_decided(environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_THRESHOLD, _LARGEST_PIECE))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows has no confstr, macOS and musl not this name
        return False


def _user_has_decided(environ: Mapping[str, str]) -> bool:
    """Whether MALLOC_TRIM_THRESHOLD_ and the like are set, or the same in GLIBC_TUNABLES."""
    tunables = environ.get("GLIBC_TUNABLES", "")
    return any(f"MALLOC_{name.upper()}_" in environ or f"glibc.malloc.{name}=" in tunables for name in _ASKED_FOR)
