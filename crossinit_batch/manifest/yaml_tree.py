"""YAML text → a tree of nodes that know line and column; whatever is not plain data is refused.

Scalars keep their source text (`007`, `no`, `12:30:45` stay as written): the reader knows what they mean. Anchors,
aliases, merge keys and tags are refused, so that no text can mean more than its own size. `yaml.compose` would forget
anchors and tags, and has no limit of depth: libyaml's ends the process at 100,000 brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from crossinit_batch.errors import Problem
from crossinit_batch.manifest.yaml_complaints import syntax_problem
from crossinit_batch.messages import quoted
from crossinit_batch.storage.text_file import position

MAX_EVENTS = 1_000_000
MAX_DEPTH = 32
MAX_REFUSALS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class TextNode:
    """A scalar as written; `refused` where it is already reported, so that no more need be said of it."""

    text: str
    line: int
    column: int
    plain: bool = True
    refused: bool = False

    @property
    def null(self) -> bool:
        """Whether YAML reads it as no value."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class ListNode:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode:
    """A mapping: its keys as written and their values; of a key given twice, the first."""

    line: int
    column: int
    keys: dict[str, TextNode] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)


Node = TextNode | ListNode | MapNode


@dataclass
class Source:
    """A YAML file that was read: its tree, None if there is none to go on with, and its problems so far."""

    file: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)

    def report(self, node: Node, key: str, message: str) -> None:
        """Note a problem at a node; `key` is its path, such as `identities[3].id`."""
        self.problems.append(Problem(self.file, node.line, node.column, key, message))


def found(node: Node) -> str:
    """What a node is, for a message that says what was found."""
    if isinstance(node, TextNode):
        return quoted(node.text) if node.text or not node.plain else "nothing"
    return "a list" if isinstance(node, ListNode) else "a mapping"


def parse(text: str, file: str) -> Source:
    """The tree of a YAML text; refusals are in `problems`, and root is None past repair."""
    source, start = Source(file), TextNode("", 1, 1)
    if bad := _UNPRINTABLE.search(text):
        name = "a NUL character" if bad[0] == "\0" else f"a control character (U+{ord(bad[0]):04X})"
        source.report(TextNode("", *position(text, bad.start())), "", f"{name} is in the file: remove it")
        return source
    try:
        source.root = _Builder(source, yaml.parse(text, Loader=_LOADER)).document()
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        source.problems.append(syntax_problem(error, text, file))
    except yaml.YAMLError as error:
        source.report(start, "", f"this is not YAML: {error}")
    if source.root is None and not source.problems:
        source.report(start, "", "the file is empty")
    return source


class _Stop(Exception):
    """Reading further makes no sense; the reason is already reported."""


class _Builder:
    """Builds the tree from the parser's events; it recurses, to MAX_DEPTH at most."""

    def __init__(self, source: Source, events: Iterator[yaml.Event]) -> None:
        self.source, self.events, self.taken = source, events, 0
        self.steps: list[str | int] = []  # one for each open collection: the way to the child that comes next

    def document(self) -> Node | None:
        """The root of the first document, None where there is none."""
        root = None
        while not isinstance(event := self.next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event)
            elif root is not None and isinstance(event, yaml.DocumentStartEvent):
                self.refuse(_at(event), "a second document begins here: one file holds one document")
                break
        return root

    def next(self) -> Any:  # an event, of which only some have anchor, tag and value
        event = next(self.events)
        self.taken += 1
        if self.taken > MAX_EVENTS:
            self.refuse(_at(event), "the file has more than 1,000,000 parts")
            raise _Stop
        return event

    def node(self, event: Any, is_key: bool = False) -> Node:
        """The node that begins with an event."""
        node = _at(event)
        if isinstance(event, yaml.AliasEvent):
            name, node.refused = f"*{event.anchor}", True
            self.refuse(node, f"{name} is an alias, which is not read here: repeat the value, or quote '{name}'")
            return node
        if event.anchor is not None:
            self.refuse(node, f"&{event.anchor} is an anchor, which is not read here: remove it, or quote the value")
        if event.tag is not None:
            tag = quoted(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self.refuse(node, f"{tag} is a tag, which is not read here: remove it, or quote the value")
        if isinstance(event, yaml.CollectionStartEvent):
            return self.collection(event, node, is_key)
        node.text, node.plain, node.refused = event.value, not event.style, "\0" in event.value
        if node.refused:
            self.refuse(node, "the value has a NUL character")
        return node

    def collection(self, event: yaml.Event, at: TextNode, is_key: bool) -> Node:
        kind = MapNode if isinstance(event, yaml.MappingStartEvent) else ListNode
        node = kind(at.line, at.column)
        if is_key:
            self.refuse(node, "a key must be a word, not " + found(node))
        if len(self.steps) == MAX_DEPTH:
            self.refuse(node, f"this is nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        self.steps.append("")
        if isinstance(node, MapNode):
            self.fill_mapping(node)
        else:
            self.fill_list(node)
        self.steps.pop()
        return node

    def fill_list(self, node: ListNode) -> None:
        self.steps[-1] = 0
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            node.items.append(self.node(event))
            self.steps[-1] = len(node.items)

    def fill_mapping(self, node: MapNode) -> None:
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.key(event, node)
            self.steps[-1] = "" if key.refused else f".{key.text}"
            event = self.next()
            if not key.refused:
                node.keys[key.text], node.values[key.text] = key, self.node(event)
            elif not isinstance(event, yaml.AliasEvent):  # of <<: *a enough is said
                self.node(event)
            self.steps[-1] = ""

    def key(self, event: yaml.Event, mapping: MapNode) -> TextNode:
        node = self.node(event, is_key=True)
        if not isinstance(node, TextNode):
            return TextNode("?", node.line, node.column, refused=True)
        if node.plain and node.text == "<<":
            self.refuse(node, "<< (a merge key) is not read here: write the keys out")
            node.refused = True
        elif node.text in mapping.keys:
            first = mapping.keys[node.text].line
            self.refuse(node, f"the key {quoted(node.text)} is given twice, first on line {first}")
            node.refused = True
        return node

    def refuse(self, node: Node, message: str) -> None:
        steps = self.steps if len(self.steps) < MAX_DEPTH else []
        key = "".join(f"[{step}]" if isinstance(step, int) else step for step in steps).lstrip(".")
        self.source.report(node, key, message)
        if len(self.source.problems) >= MAX_REFUSALS:
            self.source.report(node, "", f"{MAX_REFUSALS} such problems so far: the rest of the file was not read")
            raise _Stop


def _at(event: yaml.Event) -> TextNode:
    """A node without text where an event begins."""
    mark = event.start_mark
    return TextNode("", mark.line + 1, mark.column + 1) if mark else TextNode("", 1, 1)
