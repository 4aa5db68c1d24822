"""The manifest file as types: what keys it has, what they mean, and the JSON Schema that editors read."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, WithJsonSchema, create_model, field_validator

from crossinit_batch.manifest.naming import ID_PATTERN, METHOD_PATTERN
from crossinit_batch.methods.method import Method, MethodSettings
from crossinit_batch.methods.registry import METHODS, method_of, presets
from crossinit_batch.settings import ComputeSettings, EvaluationSettings, ModelSettings, RenderSettings, Settings

# Source text is what counts, so an editor must not object to an unquoted 007; a pattern binds strings only.
Id = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"], "pattern": ID_PATTERN})]
MethodName = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"], "pattern": METHOD_PATTERN})]
_PRESET = WithJsonSchema({"type": "string"})


class IdentityEntry(Settings):
    """Photographs: without id one identity a file, with id all of one person."""

    images: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="A path, a pattern such as photos/*.jpg, a URL (s3, gs, az), or a list of these."
    )
    id: Id = Field(default_factory=str, description="The person's id; absent, each file's stem is one.")
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="Take only so many files, the first.")


class PromptEntry(Settings):
    """A prompt with its category."""

    prompt: str = Field(description="The text, with {} where the person belongs.")
    category: str = Field("", max_length=64, description="The group that reports count it in.")


def _without_defaults(schema: dict[str, Any]) -> None:
    """A variation's defaults are its preset's, so the schema must not claim one."""
    for key in schema["properties"].values():
        key.pop("default", None)


class MethodEntry(Settings):
    """A preset under a name, with settings of its own; a list of values makes a method of each."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    method: ClassVar[Method[Any]]

    name: MethodName = Field(description="Its folder in the output; a preset's name, or one of your own with use.")
    use: Annotated[str, _PRESET] | None = Field(
        None, description="The preset it varies; absent, the one called as name says."
    )

    @classmethod
    def is_meant(cls, words: Mapping[str, str]) -> bool:
        """Whether a mapping with these words varies a preset of this entry's method."""
        return words.get("use", words.get("name", "")) in cls.method.presets


def nested(annotation: Any) -> type[Settings] | None:
    """The settings' class that a setting holds, None where it is a plain value."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def _entry_fields(settings: type[MethodSettings]) -> dict[str, Any]:
    """The fields of a method's settings: of one value or of a list that unfolds into as many methods.

    Settings within settings replace the preset's as a whole; where these have a word for all defaults, it is taken too.
    """
    fields: dict[str, Any] = {}
    for word, info in settings.model_fields.items():
        kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        if inner := nested(info.annotation):
            defaults = getattr(inner, "ALL_DEFAULTS", None)
            description = f"{info.description} Replaces the preset's {word} as a whole."
            kind = inner | Literal[defaults] if defaults else inner
            fields[word] = (kind, Field(default_factory=inner, description=description))
        else:
            several = Annotated[list[kind], Field(min_length=1)]
            fields[word] = (kind | several, Field(info.default, description=info.description))
    return fields


def _entry_of(method: Method[Any]) -> type[MethodEntry]:
    """The type of an entry that varies a preset of this method."""
    name = "MethodEntry" if method.kind == "embedding" else f"{method.kind.title().replace('-', '')}Entry"
    entry = create_model(name, __base__=MethodEntry, __doc__=MethodEntry.__doc__, **_entry_fields(method.settings))
    entry.method = method
    return entry


class ManifestHead(Settings):
    """All of a manifest but the lists that are expanded: identities, methods and prompts."""

    version: int = Field(1, description="The version of this format.", json_schema_extra={"const": 1})
    name: Id = Field(default_factory=str, description="The run's name; absent, the manifest's file name.")
    model: str | ModelSettings = Field(
        default_factory=ModelSettings, description="A hub id, a local folder, demo, or a mapping."
    )
    output: str = Field(default_factory=str, description="Folder or URL (s3, gs, az) to write to: out/<name>.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="What all randomness is derived from.")
    render: RenderSettings = Field(default_factory=RenderSettings, description="How pictures are drawn.")
    compute: ComputeSettings = Field(default_factory=ComputeSettings, description="How the work is cut up.")
    evaluate: Literal["demo"] | EvaluationSettings | None = Field(
        None, description="By which judges pictures are scored: a mapping, or demo for the small world's; absent, none."
    )

    @field_validator("version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version != 1:
            raise ValueError(f"this program reads version 1, found {version}")
        return version


@lru_cache(maxsize=4)
def _manifest_file(kinds: tuple[str, ...]) -> type[ManifestHead]:
    """The type of a manifest with methods of these kinds."""
    preset = Annotated[str, WithJsonSchema({"type": "string", "enum": list(presets())})]
    entry = functools.reduce(operator.or_, [_entry_of(method_of(kind)) for kind in kinds])
    methods: Any = list[preset | entry]  # type: ignore[valid-type]
    return create_model(
        "ManifestFile",
        __base__=ManifestHead,
        __doc__="A crossinit manifest: whose faces, by which methods, in which pictures.",
        identities=(list[str | IdentityEntry], Field(min_length=1, description="Whose faces.")),
        methods=(
            methods,
            Field(
                default_factory=lambda: ["cross-init"],
                min_length=1,
                description="How embeddings are found: [cross-init].",
            ),
        ),
        prompts=(
            str | Annotated[list[str | PromptEntry], Field(min_length=1)],
            Field("paper", description="A built-in set, a .yaml or .txt file, or a list; {} is the person."),
        ),
    )


def manifest_file() -> type[ManifestHead]:
    """The type of a manifest file: the settings of its head, identities, methods and prompts."""
    return _manifest_file(tuple(METHODS))


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, in keywords that draft 7 has."""
    schema = manifest_file().model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    _wrap_references(schema)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _wrap_references(schema: Any) -> None:
    """Draft 7 ignores what is beside a $ref, so move the reference into an allOf."""
    if isinstance(schema, dict):
        if "$ref" in schema and len(schema) > 1:
            schema["allOf"] = [{"$ref": schema.pop("$ref")}]
        for part in schema.values():
            _wrap_references(part)
    elif isinstance(schema, list):
        for part in schema:
            _wrap_references(part)
