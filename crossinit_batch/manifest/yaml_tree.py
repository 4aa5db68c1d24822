"""YAML text → a tree of nodes that know line and column; whatever is not plain data is refused.

Anchors, aliases, merge keys and tags are refused, so no text can stand for more than its own size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from crossinit_batch.errors import Problem
from crossinit_batch.manifest.yaml_complaints import syntax_problem
from crossinit_batch.manifest.yaml_nodes import ListNode, MapNode, Node, Source, TextNode, found
from crossinit_batch.messages import quoted
from crossinit_batch.storage.text_file import position

MAX_EVENTS = 1_000_000
MAX_DEPTH = 32
MAX_REFUSALS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def parse(text: str, file: str) -> Source:
    """The tree of a YAML text; refusals are in `problems`, and root is None past repair."""
    source = Source(file)
    if bad := _UNPRINTABLE.search(text):
        line, column = position(text, bad.start())
        name = "a NUL character" if bad[0] == "\0" else f"a control character (U+{ord(bad[0]):04X})"
        source.problems.append(Problem(file, line, column, "", f"{name} is in the file: remove it"))
        return source
    try:
        _Builder(source).build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        source.problems.append(syntax_problem(error, text, file))
        source.root = None
    except yaml.YAMLError as error:
        source.problems.append(Problem(file, 1, 1, "", f"this is not YAML: {error}"))
        source.root = None
    if source.root is None and not source.problems:
        source.problems.append(Problem(file, 1, 1, "", "the file is empty"))
    return source


class _Stop(Exception):
    """Reading further makes no sense; the reason is already reported."""


@dataclass(slots=True)
class _Frame:
    """An open collection; `step` leads to it from its parent, `key` waits for its value in a mapping."""

    node: ListNode | MapNode
    step: str
    key: TextNode | None = None

    def next_step(self) -> str:
        """The way to the child that comes next."""
        if isinstance(self.node, ListNode):
            return f"[{len(self.node.items)}]"
        return f".{self.key.text}" if self.key and not self.key.refused else ""


class _Builder:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.open: list[_Frame] = []

    def build(self, events: Iterator[yaml.Event]) -> None:
        """Fill in the source's root; on a rule that ends the reading, root becomes None."""
        try:
            for number, event in enumerate(events, 1):
                mark = event.start_mark
                place = TextNode("", mark.line + 1, mark.column + 1) if mark else TextNode("", 1, 1)
                if number > MAX_EVENTS:
                    self.refuse(place, "the file has more than 1,000,000 parts")
                    raise _Stop
                if isinstance(event, yaml.DocumentStartEvent) and self.source.root is not None:
                    self.refuse(place, "a second document begins here: one file holds one document")
                    return
                self.take(event, place)
        except _Stop:
            self.source.root = None

    def take(self, event: yaml.Event, place: TextNode) -> None:
        if isinstance(event, yaml.NodeEvent) and (event.anchor is not None or getattr(event, "tag", None)):
            self.check(event, place)
        if isinstance(event, yaml.ScalarEvent):
            place.text, place.plain = event.value, not event.style
            if "\0" in event.value:
                self.refuse(place, "the value has a NUL character")
                place.refused = True
            self.add(place)
        elif isinstance(event, yaml.AliasEvent):
            place.refused = True
            self.add(place)
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = MapNode if isinstance(event, yaml.MappingStartEvent) else ListNode
            node = kind(place.line, place.column)
            step = self.open[-1].next_step() if self.open else ""
            self.add(node)
            self.open.append(_Frame(node, step))
            if len(self.open) > MAX_DEPTH:
                self.refuse(place, f"this is nested more than {MAX_DEPTH} levels deep")
                raise _Stop
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()

    def check(self, event: yaml.NodeEvent, place: TextNode) -> None:
        """Refuse aliases, anchors and tags."""
        if isinstance(event, yaml.AliasEvent):
            if not (self.open and self.open[-1].key and self.open[-1].key.refused):
                name = f"*{event.anchor}"
                self.refuse(place, f"{name} is an alias, which is not read here: repeat the value, or quote '{name}'")
        elif event.anchor is not None:
            self.refuse(place, f"&{event.anchor} is an anchor, which is not read here: remove it, or quote the value")
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self.refuse(place, f"{quoted(tag)} is a tag, which is not read here: remove it, or quote the value")

    def add(self, node: Node) -> None:
        """Put a node where the innermost open collection wants it."""
        if not self.open:
            self.source.root = node
            return
        frame = self.open[-1]
        if isinstance(frame.node, ListNode):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = self.key_of(node, frame.node)
        else:
            if not frame.key.refused:
                frame.node.keys[frame.key.text] = frame.key
                frame.node.values[frame.key.text] = node
            frame.key = None

    def key_of(self, node: Node, mapping: MapNode) -> TextNode:
        if not isinstance(node, TextNode):
            self.refuse(node, "a key must be a word, not " + found(node))
            return TextNode("?", node.line, node.column, refused=True)
        if node.plain and node.text == "<<":
            self.refuse(node, "<< (a merge key) is not read here: write the keys out")
            node.refused = True
        elif node.text in mapping.keys:
            first = mapping.keys[node.text].line
            self.refuse(node, f"the key {quoted(node.text)} is given twice, first on line {first}")
            node.refused = True
        return node

    def refuse(self, place: Node, message: str) -> None:
        steps = [frame.step for frame in self.open] + [frame.next_step() for frame in self.open[-1:]]
        key = "".join(steps).lstrip(".") if len(steps) <= MAX_DEPTH else ""
        self.source.report(place, key, message)
        if len(self.source.problems) >= MAX_REFUSALS:
            self.source.report(place, "", f"{MAX_REFUSALS} such problems so far: the rest of the file was not read")
            raise _Stop
