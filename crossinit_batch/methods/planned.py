"""The methods of a run under their names in it: one that learns with its settings, or artifacts that were imported."""

from __future__ import annotations

from typing import Any

from pydantic import SerializeAsAny, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer
from pydantic.dataclasses import dataclass

from crossinit_batch.methods.artifact import ArtifactKind
from crossinit_batch.methods.method import LearningWork, Method, MethodSettings
from crossinit_batch.methods.registry import artifact_kind, method_of_preset, presets

IMPORTED = "given"
"""The method's name in stored plans for artifacts of unknown origin."""
_EMBEDDING = "embedding"


@dataclass(frozen=True)
class LearnedMethod:
    """A method as a manifest names it: `name` is its folder in the output, `preset` the registry's, which it varies."""

    name: str
    preset: str
    settings: SerializeAsAny[MethodSettings]

    @field_validator("settings", mode="before")
    @classmethod
    def _of_its_method(cls, value: Any, info: ValidationInfo) -> Any:
        """Stored settings are read by the settings' class of their preset's method."""
        if isinstance(value, MethodSettings) or not isinstance(value, dict):
            return value
        preset = info.data.get("preset", "")
        if preset not in presets():
            raise ValueError(f"there is no preset {preset!r}")
        return method_of_preset(preset).settings.model_validate(value)

    @property
    def method(self) -> Method[Any]:
        found: Method[Any] = method_of_preset(self.preset)
        return found

    @property
    def artifact(self) -> ArtifactKind:
        """The kind of what it makes."""
        return self.method.artifact

    @property
    def work(self) -> LearningWork:
        """What learning an identity takes."""
        return self.method.work(self.settings)

    @property
    def decides(self) -> dict[str, Any]:
        """What of it decides a result; an embedding's digest is older than other kinds and does not name its own."""
        kind = {} if self.method.kind == _EMBEDDING else {"method": self.method.kind}
        return {**kind, **self.method.decides(self.settings)}

    @property
    def summary(self) -> str:
        """The settings in one line, for display."""
        return self.method.summary(self.settings)


@dataclass(frozen=True)
class ImportedMethod:
    """Artifacts that are imported instead of learned; `kind` says what they are."""

    name: str
    preset: str = IMPORTED
    settings: None = None
    kind: str = _EMBEDDING

    @model_serializer(mode="wrap")
    def _as_it_was(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Embeddings are serialized as when there was no other kind."""
        stored: dict[str, Any] = handler(self)
        if self.kind == _EMBEDDING:
            del stored["kind"]
        return stored

    @property
    def artifact(self) -> ArtifactKind:
        """The kind of what is imported."""
        return artifact_kind(self.kind)

    @property
    def summary(self) -> str:
        """For display, instead of settings."""
        return f"given {self.artifact.plural}"


PlannedMethod = LearnedMethod | ImportedMethod
