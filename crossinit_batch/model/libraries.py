"""The libraries' own bars and notes, switched off: the program reports progress itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """No bars and no notes from diffusers and transformers while open."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    modules = (diffusers_logging, transformers_logging)
    before = [module.get_verbosity() for module in modules]
    for module in modules:
        module.set_verbosity_error()
        module.disable_progress_bar()
    try:
        yield
    finally:
        for module, level in zip(modules, before, strict=True):
            module.set_verbosity(level)
            module.enable_progress_bar()
