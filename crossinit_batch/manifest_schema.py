"""The manifest file as types: what keys it has, and how a tree of YAML nodes becomes values of them."""

from __future__ import annotations

import difflib
import types
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, field_validator
from pydantic_core import ErrorDetails

from crossinit_batch.methods import PRESETS
from crossinit_batch.settings import (
    ComputeSettings,
    EmbeddingSettings,
    InitSettings,
    ModelSettings,
    RenderSettings,
    Settings,
)
from crossinit_batch.yaml_source import ListNode, MapNode, Node, Source, TextNode, found, shown

BAD: Final = object()
"""Stands for a value that was wrong and is already reported."""

ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
METHOD_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"

_SETTINGS = TypeVar("_SETTINGS", bound=BaseModel)

# Source text is what counts, so an editor must not object to an unquoted 007; a pattern binds strings only.
Id = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"], "pattern": ID_PATTERN})]
MethodName = Annotated[
    str, WithJsonSchema({"type": ["string", "number", "boolean"], "pattern": METHOD_PATTERN})
]
Preset = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PRESETS)})]


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


class MethodEntry(EmbeddingSettings):
    """A preset under a name, with settings of its own."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: MethodName = Field(
        description="Its folder in the output; a preset's name, or one of your own with use."
    )
    use: Preset | None = Field(None, description="The preset it varies; absent, the one called as name says.")
    init: InitSettings | Literal["names"] = Field(  # type: ignore[assignment]
        default_factory=InitSettings, description="Where v starts; replaces the preset's init as a whole."
    )


class ManifestHead(Settings):
    """All of a manifest that stands for itself: what is not a list to be expanded."""

    version: int = Field(1, description="The version of this format.", json_schema_extra={"const": 1})
    name: Id = Field(default_factory=str, description="The run's name; absent, the manifest's file name.")
    model: str | ModelSettings = Field(
        default_factory=ModelSettings, description="A hub id, a local folder, demo, or a mapping."
    )
    output: str = Field(
        default_factory=str, description="Folder or URL (s3, gs, az) to write to: out/<name>."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="What all randomness is derived from.")
    render: RenderSettings = Field(default_factory=RenderSettings, description="How pictures are drawn.")
    compute: ComputeSettings = Field(default_factory=ComputeSettings, description="How the work is cut up.")

    @field_validator("version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version != 1:
            raise ValueError(f"this program reads version 1, found {version}")
        return version


def _default_methods() -> list[str | MethodEntry]:
    return ["cross-init"]


class ManifestFile(ManifestHead):
    """A crossinit manifest: whose faces, by which methods, in which pictures."""

    identities: list[str | IdentityEntry] = Field(min_length=1, description="Whose faces.")
    methods: list[Preset | MethodEntry] = Field(
        default_factory=_default_methods,
        min_length=1,
        description="How embeddings are found: [cross-init].",
    )
    prompts: str | Annotated[list[str | PromptEntry], Field(min_length=1)] = Field(
        "paper", description="A built-in set, a .yaml or .txt file, or a list; {} is the person."
    )


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, in keywords that draft 7 has."""
    schema = ManifestFile.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    _wrap_references(schema)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _wrap_references(schema: Any) -> None:
    """Draft 7 ignores what stands beside a $ref, so move the reference into an allOf."""
    if isinstance(schema, dict):
        if "$ref" in schema and len(schema) > 1:
            schema["allOf"] = [{"$ref": schema.pop("$ref")}]
        for part in schema.values():
            _wrap_references(part)
    elif isinstance(schema, list):
        for part in schema:
            _wrap_references(part)


@lru_cache(maxsize=1024)
def suggestion(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that was probably meant."""
    if len(word) > 64:
        return None
    return next(iter(difflib.get_close_matches(word.lower(), known, n=1)), None)


def unknown(word: str, known: tuple[str, ...], kind: str) -> str:
    """The message for a word that is not among the known ones."""
    meant = suggestion(word, known)
    advice = f"did you mean {meant}?" if meant else "there are " + ", ".join(known)
    return f"unknown {kind} {shown(word)}: {advice}"


class Reader:
    """Turns nodes into values of pydantic types, and reports every mismatch at its node."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._bad: set[int] = set()

    def report(self, node: Node, key: str, message: str) -> None:
        """Note a problem, and that the node's value is of no use."""
        self._bad.add(id(node))
        self.source.report(node, key, message)

    def bad(self, node: Node) -> bool:
        """Whether something was reported of this very node."""
        return id(node) in self._bad or (isinstance(node, TextNode) and node.refused)

    def read(self, node: Node, kind: Any, key: str) -> Any:
        """The value of a node for a type: text as written, a list with BAD in it, a model, None, or BAD."""
        return self._read(node, _branches(kind), key)

    def _read(self, node: Node, branches: tuple[Any, ...], key: str) -> Any:
        if isinstance(node, TextNode):
            if node.refused:
                return BAD
            if node.null and type(None) in branches:
                return None
            if (node.text or not node.plain) and any(_of_text(branch) for branch in branches):
                return node.text
        elif isinstance(node, ListNode):
            for branch in branches:
                if get_origin(branch) in (list, tuple):
                    inner = _branches(get_args(branch)[0])
                    return [self._read(item, inner, f"{key}[{i}]") for i, item in enumerate(node.items)]
        else:
            for branch in branches:
                if isinstance(branch, type) and issubclass(branch, BaseModel):
                    return self.model(node, branch, key)
        only_list = all(get_origin(branch) is list for branch in branches)
        hint = f": write [{node.text}]" if only_list and isinstance(node, TextNode) and node.text else ""
        self.report(node, key, f"expected {_described(branches)}, found {found(node)}{hint}")
        return BAD

    def model(self, node: MapNode, model: type[_SETTINGS], key: str) -> Any:
        """The model, with its defaults where a key was wrong; BAD where that is not possible."""
        return self.validated(node, model, key, *self.fields(node, model, key))

    def fields(self, node: MapNode, model: type[BaseModel], key: str) -> tuple[dict[str, Any], set[str]]:
        """The values of a mapping's known keys, and the keys that unknown ones were probably meant to be."""
        known, meant = _fields(model), set()
        names = tuple(known)
        strangers = [word for word in node.values if word not in known]
        for word in strangers:
            few = len(strangers) <= 20  # a guess takes a while
            if few and (close := suggestion(word, names)):
                meant.add(close)
            message = unknown(word, names, "key") if few else f"unknown key {shown(word)}"
            self.report(node.keys[word], _joined(key, word), message)
        return {
            word: self._read(value, known[word], _joined(key, word))
            for word, value in node.values.items()
            if word in known
        }, meant

    def validated(
        self, node: MapNode, model: type[_SETTINGS], key: str, values: dict[str, Any], meant: set[str]
    ) -> Any:
        """A model of the values that are good; `meant` are keys whose absence is explained already."""
        good = {word: value for word, value in values.items() if not _spoiled(value)}
        for _ in range(2):
            try:
                return model.model_validate(good)
            except ValidationError as error:
                # Of a union every branch complains; one of the wrong kind of value has the least to say.
                for detail in sorted(
                    error.errors(include_url=False), key=lambda one: one["type"].endswith("_type")
                ):
                    if detail["type"] == "missing" and (
                        detail["loc"][0] in values or detail["loc"][0] in meant
                    ):
                        continue
                    self._report(detail, node, key)
                    good.pop(str(detail["loc"][0]) if detail["loc"] else "", None)
        return BAD

    def _report(self, detail: ErrorDetails, node: Node, key: str) -> None:
        """Report pydantic's complaint at the node that it is about; a node is complained of once."""
        for step in detail["loc"]:
            if isinstance(node, MapNode) and step in node.values:
                node, key = node.values[str(step)], _joined(key, str(step))
            elif isinstance(node, ListNode) and isinstance(step, int):
                node, key = node.items[step], f"{key}[{step}]"
        if detail["type"] == "missing":
            word = str(detail["loc"][-1])
            self.source.report(node, _joined(key, word), f"the key {word} is required")
        elif not self.bad(node):
            self.report(node, key, _message(detail, found(node)))


def _joined(key: str, word: str) -> str:
    return f"{key}.{word}" if key else word


def _spoiled(value: Any) -> bool:
    return value is BAD or (isinstance(value, list) and any(item is BAD for item in value))


def _branches(kind: Any) -> tuple[Any, ...]:
    """The types that a union offers, without their annotations."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _branches(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return tuple(branch for part in get_args(kind) for branch in _branches(part))
    return (kind,)


@lru_cache(maxsize=64)
def _fields(model: type[BaseModel]) -> dict[str, tuple[Any, ...]]:
    return {name: _branches(info.annotation) for name, info in model.model_fields.items()}


def _of_text(branch: Any) -> bool:
    return branch in (str, int, float, bool) or get_origin(branch) is Literal


_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _described(branches: tuple[Any, ...]) -> str:
    """What a value could be, in words."""
    words = []
    for branch in branches:
        if get_origin(branch) is Literal:
            words.append(" or ".join(map(str, get_args(branch))))
        elif get_origin(branch) in (list, tuple):
            words.append("a list")
        elif branch in _EXPECTED:
            words.append(_EXPECTED[branch])
        elif branch is not type(None):
            words.append(f"a mapping ({', '.join(list(_fields(branch))[:4])}, …)")
    return " or ".join(words)


_COMPLAINTS = {
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number of fewer digits",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected true or false",
    "finite_number": "expected a finite number",
    "greater_than": "expected a number above {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected a number below {lt}",
    "less_than_equal": "expected at most {le}",
    "multiple_of": "expected a multiple of {multiple_of}",
    "string_too_short": "expected some text",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected at least {min_length} in the list",
    "too_long": "expected at most {max_length} in the list",
}


def _message(detail: ErrorDetails, instead: str) -> str:
    """A complaint of pydantic in our words."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        options = tuple(word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(","))
        meant = suggestion(str(detail["input"]), options)
        choice = ", ".join(options) if len(options) == 1 else f"one of {', '.join(options)}"
        return f"expected {choice}, found {instead}" + (f": did you mean {meant}?" if meant else "")
    if kind == "too_short" and detail["input"] in ([], ()):
        return "the list is empty"
    words = _COMPLAINTS.get(kind)
    return f"{words.format(**context) if words else detail['msg']}, found {instead}"
