"""The reader of a manifest: YAML nodes → values of pydantic types, each mismatch a problem at its node."""

from __future__ import annotations

import types
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node, Source, TextNode, found
from crossinit_batch.messages import complaint, did_you_mean, quoted, unknown

BAD: Final = object()
"""Instead of a value that was wrong, which is already reported."""

_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


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
            models = [branch for branch in branches if isinstance(branch, type) and issubclass(branch, BaseModel)]
            if models:
                return self.model(node, _meant(node, models), key)
        only_list = all(get_origin(branch) is list for branch in branches)
        hint = f": write [{node.text}]" if only_list and isinstance(node, TextNode) and node.text else ""
        self.report(node, key, f"expected {_described(branches)}, found {found(node)}{hint}")
        return BAD

    def model(self, node: MapNode, model: type[BaseModel], key: str) -> Any:
        """The model, with its defaults where a key was wrong; BAD where that is not possible."""
        return self.validated(node, model, key, *self.fields(node, model, key))

    def fields(self, node: MapNode, model: type[BaseModel], key: str) -> tuple[dict[str, Any], set[str]]:
        """The values of a mapping's known keys, and the keys that unknown ones were probably meant to be."""
        known, meant = _fields(model), set()
        names = tuple(known)
        unknown_keys = [word for word in node.values if word not in known]
        for word in unknown_keys:
            few = len(unknown_keys) <= 20  # guessing is slow
            if few and (close := did_you_mean(word, names)):
                meant.add(close)
            message = unknown(word, names, "key") if few else f"unknown key {quoted(word)}"
            self.report(node.keys[word], _joined(key, word), message)
        return {
            word: self._read(value, known[word], _joined(key, word))
            for word, value in node.values.items()
            if word in known
        }, meant

    def validated(
        self, node: MapNode, model: type[BaseModel], key: str, values: dict[str, Any], meant: set[str]
    ) -> Any:
        """A model of the values that are good; `meant` are keys whose absence is explained already."""
        good = {word: value for word, value in values.items() if not _spoiled(value)}
        for _ in range(2):
            try:
                return model.model_validate(good)
            except ValidationError as error:
                # Of a union every branch complains; one of the wrong kind of value has the least to say.
                details, reported = error.errors(include_url=False), set()
                for detail in sorted(details, key=lambda one: one["type"].endswith("_type")):
                    word = str(detail["loc"][0]) if detail["loc"] else ""
                    if detail["type"] == "missing" and word in {*values, *meant}:
                        continue
                    if not (detail["type"].endswith("_type") and word in reported):
                        self._report(detail, node, key)
                    reported.add(word)
                    good.pop(word, None)
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
            self.report(node, key, complaint(detail, found(node)))


def _meant(node: MapNode, models: list[type[BaseModel]]) -> type[BaseModel]:
    """Which of several models a mapping is meant to be, by what they say of its words; else the first."""
    words = {word: value.text for word, value in node.values.items() if isinstance(value, TextNode)}
    return next((model for model in models if len(models) > 1 and model.is_meant(words)), models[0])  # type: ignore[attr-defined]


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
