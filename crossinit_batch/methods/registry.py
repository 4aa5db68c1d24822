"""The methods that a manifest can name: one line each. Names are resolved without torch."""

from __future__ import annotations

import pkgutil
from functools import cache
from typing import Any

from crossinit_batch.methods.artifact import ArtifactKind
from crossinit_batch.methods.method import Method, MethodSettings

METHODS = {
    "embedding": "crossinit_batch.methods.embedding.method:EMBEDDING",
    "celeb-basis-direct": "crossinit_batch.methods.celeb_basis.method:CELEB_BASIS_DIRECT",
}


@cache
def method_of(kind: str) -> Method[Any]:
    """The method of this kind; KeyError where none is registered."""
    found: Method[Any] = pkgutil.resolve_name(METHODS[kind])
    return found


def methods() -> list[Method[Any]]:
    """All registered methods."""
    return [method_of(kind) for kind in METHODS]


def presets() -> dict[str, MethodSettings]:
    """The settings of every preset by its name."""
    return {name: settings for method in methods() for name, settings in method.presets.items()}


def method_of_preset(preset: str) -> Method[Any]:
    """The method that a preset belongs to; KeyError where there is no such preset."""
    for method in methods():
        if preset in method.presets:
            return method
    raise KeyError(preset)


def artifact_kind(name: str) -> ArtifactKind:
    """The kind of artifact of this name; KeyError where no method makes it."""
    for method in methods():
        if method.artifact.name == name:
            kind: ArtifactKind = method.artifact
            return kind
    raise KeyError(name)
