"""The methods of a manifest: its entries → presets and variations of them, each under a name of its own."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

from crossinit_batch.manifest.naming import problem_of_method_name
from crossinit_batch.manifest.paths import Refused, local_path, problem_of_text
from crossinit_batch.manifest.reader import BAD, Reader
from crossinit_batch.manifest.schema import MethodEntry, nested
from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node, TextNode
from crossinit_batch.messages import did_you_mean, quoted, unknown
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.settings import LocalFile, Settings
from crossinit_batch.storage.reading import opened_file


def read_methods(reader: Reader, node: ListNode, entries: list[Any], folder: Path) -> tuple[LearnedMethod, ...]:
    """The methods of a list, given its entries as read; paths are relative to `folder`."""
    if not entries:
        reader.report(node, "methods", "the list is empty: remove the key for [cross-init]")
    methods: list[LearnedMethod] = []
    lines: dict[str, int] = {}
    for i, (item, entry) in enumerate(zip(node.items, entries, strict=True)):
        if entry is BAD:
            continue
        key = f"methods[{i}]"
        if isinstance(item, MapNode):
            at, names = item.values["name"], [name for name, _ in unfolded(item, entry)]
            found = _variations(reader, item, entry, key, folder)
        else:
            at, names = item, [entry]
            found = _preset(reader, item, entry, key)
        for name in names:
            folded = name.casefold()
            if folded in lines:
                reader.report(at, key, f"the name {quoted(name)} is also used on line {lines[folded]}")
            lines.setdefault(folded, at.line)
        methods += found
    return tuple(methods)


def _preset(reader: Reader, item: Node, name: str, key: str) -> list[LearnedMethod]:
    known = presets()
    if name in known:
        return [LearnedMethod(name, name, known[name])]
    reader.report(item, key, unknown(name, tuple(known), "method"))
    return []


def unfolded(item: MapNode, entry: MethodEntry) -> list[tuple[str, dict[str, Any]]]:
    """The names of the methods that an entry makes, each with the values of its own: one for each value of a list.

    A method is named by the entry and the values as they are written: lambda-1e-5. Two lists make every combination.
    """
    swept = [word for word in item.values if isinstance(getattr(entry, word, None), list)]
    texts = [[_in_a_name(value) for value in _items(item.values[word])] for word in swept]
    values = itertools.product(*(getattr(entry, word) for word in swept))
    names = ("-".join([entry.name, *parts]) for parts in itertools.product(*texts))
    return [(name, dict(zip(swept, combination, strict=True))) for name, combination in zip(names, values, strict=True)]


def _items(node: Node) -> list[Node]:
    return node.items if isinstance(node, ListNode) else []


def _in_a_name(node: Node) -> str:
    """A value's text as a part of a method's name."""
    text = node.text if isinstance(node, TextNode) else ""
    return re.sub(r"[^a-z0-9._-]", "", text.lower())


def _variations(reader: Reader, item: MapNode, entry: MethodEntry, key: str, folder: Path) -> list[LearnedMethod]:
    """A preset with what the entry sets itself, once for each value of a list; none where there is no such preset."""
    at, variants = item.values["name"], unfolded(item, entry)
    troubles = [problem_of_method_name(name) for name, _ in [(entry.name, {}), *variants]]
    if trouble := next((one for one in troubles if one), None):
        reader.report(at, f"{key}.name", trouble)
    use, known = entry.name if entry.use is None else entry.use, presets()
    if use not in known:
        if entry.use is not None:
            reader.report(item.values["use"], f"{key}.use", unknown(use, tuple(known), "preset"))
        elif "use" not in item.values:
            meant = did_you_mean(use, tuple(known)) or next(iter(known))
            message = f"{quoted(use)} is no preset: say which one it varies, such as use: {meant}"
            reader.report(at, f"{key}.name", message)
        return []
    given: dict[str, Any] = {}
    for word in entry.model_fields_set - {"name", "use"}:
        value, info = getattr(entry, word), entry.method.settings.model_fields[word]
        if inner := nested(info.annotation):
            value = inner() if isinstance(value, str) else value
            value = _located(reader, item.values[word], value, f"{key}.{word}", folder)
        elif file := _local_file(info.metadata):
            value = _readable(reader, item.values[word], value, f"{key}.{word}", folder, file)
        given[word] = value
    preset = known[use]
    settings = {word: getattr(preset, word) for word in type(preset).model_fields}
    return [
        LearnedMethod(name, use, type(preset).model_validate({**settings, **given, **own})) for name, own in variants
    ]


def _located(reader: Reader, node: Node, settings: Settings, key: str, folder: Path) -> Settings:
    """Settings whose names of local files have become absolute paths that can be read."""
    if not isinstance(node, MapNode):
        return settings
    found = {}
    for word in settings.model_fields_set & node.values.keys():
        file = _local_file(type(settings).model_fields[word].metadata)
        if file is not None:
            text = getattr(settings, word)
            found[word] = _readable(reader, node.values[word], text, f"{key}.{word}", folder, file)
    return settings.model_copy(update=found)


def _local_file(metadata: list[Any]) -> LocalFile | None:
    return next((mark for mark in metadata if isinstance(mark, LocalFile)), None)


def _readable(reader: Reader, node: Node, text: str | None, key: str, folder: Path, file: LocalFile) -> str | None:
    """The absolute path of a local file that can be read; as it was where it cannot, which is reported."""
    if text is None:
        return None
    try:
        return _path_of(text, folder, file.what)
    except (Refused, OSError) as error:
        reader.report(node, key, str(error))
        return text


def _path_of(text: str, folder: Path, what: str) -> str:
    if trouble := problem_of_text(text):
        raise Refused(trouble)
    if "://" in text:
        raise Refused(f"{quoted(text)} is a URL: {what} is a local file")
    file = Path(local_path(text, folder))
    if not file.is_file():
        raise Refused(f"there is no file {quoted(str(file))}")
    with opened_file(file, sys.maxsize):
        return str(file)
