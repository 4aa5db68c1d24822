"""The methods of a manifest: its entries → presets and variations of them, each under a name of its own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

from crossinit_batch.manifest.naming import problem_of_method_name
from crossinit_batch.manifest.paths import Refused, local_path, problem_of_text
from crossinit_batch.manifest.reader import BAD, Reader
from crossinit_batch.manifest.schema import MethodEntry
from crossinit_batch.manifest.yaml_nodes import ListNode, MapNode, Node, TextNode
from crossinit_batch.messages import did_you_mean, quoted, unknown
from crossinit_batch.methods import PRESETS, Method
from crossinit_batch.settings import EmbeddingSettings, InitSettings


def read_methods(reader: Reader, node: ListNode, entries: list[Any], folder: Path) -> tuple[Method, ...]:
    """The methods of a list, given its entries as read; paths are relative to `folder`."""
    if not entries:
        reader.report(node, "methods", "the list is empty: remove the key for [cross-init]")
    methods: list[Method] = []
    lines: dict[str, int] = {}
    for i, (item, entry) in enumerate(zip(node.items, entries, strict=True)):
        if entry is BAD:
            continue
        key = f"methods[{i}]"
        if isinstance(item, MapNode):
            place, names = item.values["name"], [name for name, _ in unfolded(item, entry)]
            found = _variations(reader, item, entry, key, folder)
        else:
            place, names = item, [entry]
            found = _preset(reader, item, entry, key)
        for name in names:
            folded = name.casefold()
            if folded in lines:
                reader.report(place, key, f"the name {quoted(name)} is also used on line {lines[folded]}")
            lines.setdefault(folded, place.line)
        methods += found
    return tuple(methods)


def _preset(reader: Reader, item: Node, name: str, key: str) -> list[Method]:
    if name in PRESETS:
        return [Method(name, name, PRESETS[name])]
    reader.report(item, key, unknown(name, tuple(PRESETS), "method"))
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


def _variations(reader: Reader, item: MapNode, entry: MethodEntry, key: str, folder: Path) -> list[Method]:
    """A preset with what the entry sets itself, once for each value of a list; none where there is no such preset."""
    place, variants = item.values["name"], unfolded(item, entry)
    troubles = [problem_of_method_name(name) for name, _ in [(entry.name, {}), *variants]]
    if trouble := next((one for one in troubles if one), None):
        reader.report(place, f"{key}.name", trouble)
    use = entry.name if entry.use is None else entry.use
    if use not in PRESETS:
        if entry.use is not None:
            reader.report(item.values["use"], f"{key}.use", unknown(use, tuple(PRESETS), "preset"))
        elif "use" not in item.values:
            meant = did_you_mean(use, tuple(PRESETS)) or next(iter(PRESETS))
            message = f"{quoted(use)} is no preset: say which one it varies, such as use: {meant}"
            reader.report(place, f"{key}.name", message)
        return []
    given = {word: getattr(entry, word) for word in entry.model_fields_set - {"name", "use"}}
    if "init" in given:
        given["init"] = _init(reader, item.values["init"], entry.init, f"{key}.init", folder)
    settings = {word: getattr(PRESETS[use], word) for word in EmbeddingSettings.model_fields}
    return [Method(name, use, EmbeddingSettings.model_validate({**settings, **given, **own})) for name, own in variants]


def _init(reader: Reader, node: Node, init: InitSettings | str, key: str, folder: Path) -> InitSettings:
    """The initial vector's settings; a names file becomes an absolute path that can be read."""
    if isinstance(init, str):
        return InitSettings()
    if init.names is None or not isinstance(node, MapNode):
        return init
    try:
        return init.model_copy(update={"names": _names_file(init.names, folder)})
    except (Refused, OSError) as error:
        reader.report(node.values["names"], f"{key}.names", str(error))
        return init


def _names_file(names: str, folder: Path) -> str:
    if trouble := problem_of_text(names):
        raise Refused(trouble)
    if "://" in names:
        raise Refused(f"{quoted(names)} is a URL: a names file is a local file")
    file = Path(local_path(names, folder))
    if not file.is_file():
        raise Refused(f"there is no file {quoted(str(file))}")
    with file.open("rb") as stream:
        stream.read(1)
    return str(file)
